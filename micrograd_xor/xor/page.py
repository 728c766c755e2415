"""The study's page: one HTML file that needs no network. `SECTIONS` lists what it shows, in order."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from string import Template

from micrograd_xor.xor.compact_form import forward
from micrograd_xor.xor.derivation import fragment
from micrograd_xor.xor.experiments import Comparison, Study, agreement, shown, solved, verdict
from micrograd_xor.xor.open_form import PATTERNS


@dataclass(frozen=True)
class Picture:
    """A rendered figure: the name of its files, its title and caption, and its SVG."""

    name: str
    title: str
    caption: str
    svg: bytes


@dataclass(frozen=True)
class Content:
    """All that a section may show: the study, the graph's SVG, the rendered figures and the printed weights."""

    study: Study
    network: str
    pictures: list[Picture]
    weights: str


def render(study: Study, network: str, pictures: list[Picture], weights: str) -> str:
    """The page, from what its sections show."""
    content = Content(study, network, pictures, weights)
    sections = [f"<section>\n<h2>{title}</h2>\n{body(content)}\n</section>" for title, body in SECTIONS.items()]
    return _PAGE.substitute(body="\n".join(sections))


def _outcome(content: Content) -> str:
    study = content.study
    history, state = study.history, "good" if solved(study.history.final) else "bad"
    how = (
        f"learning rate {history.learning_rate:g}, seed {history.seed}"
        if study.trained
        else "weights given, not trained here"
    )
    interrupted = "<p>This run was interrupted; it shows what was done until then.</p>" if study.interrupted else ""
    rows = [
        [f"{x1:g}", f"{x2:g}", f"{r:g}", f"{z:.8f}", f"{abs(z - r):.2e}"]
        for (x1, x2, r), z in zip(PATTERNS, forward(history.final).z, strict=True)
    ]
    return (
        f'<p class="{state}">{escape(verdict(study))}</p>\n{interrupted}'
        f"<p>{history.final.hidden} hidden units; {how}; full batch, mean loss.</p>\n"
        + _table(("x₁", "x₂", "target r", "output z", "|z − r|"), rows)
    )


def _network(content: Content) -> str:
    return _figure(
        f'<div class="wide scroll">{content.network[content.network.index("<svg") :]}</div>',
        "The recorded graph of the open form, for x = (1, 0) and r = 1: each value with its adjoint ∂E/∂value, "
        "each edge with its local partial. An adjoint is the sum, over the edges that leave the value, of the "
        "adjoint at the edge's end times its local partial.",
        _links("network.svg"),
    )


def _partials(content: Content) -> str:
    comparisons = content.study.comparisons
    if not comparisons:
        return (
            f'<p class="bad">Not checked, since the paper\'s E is not finite here. {escape(content.study.refusal)}</p>'
        )
    state = "good" if all(c.ok for c in comparisons) else "bad"
    return (
        f'<p class="{state}">{agreement(comparisons)}</p>\n'
        "<p>L: local partials, T: totals, C: the compact form. The numbers are those at x = (1, 1); the difference is "
        "the largest relative one over the four patterns, and over the reverse sweep and the derivative as a graph. "
        "Above 1e-12 it is rounding where a σ saturates: 1 − z cancels in the paper's E, z − r and 1 − h in its closed "
        "forms, and then so many digits are all that float64 can keep.</p>\n"
        + _table(
            ("id", "partial", "closed form", "by the engine", "by the form", "difference"),
            list(map(_comparison, comparisons)),
        )
    )


def _derivation(content: Content) -> str:
    return fragment(content.study.history.final.hidden)


def _comparison(c: Comparison) -> list[str]:
    difference = f"{c.difference:.1e}" if c.difference else "0"
    return [c.row.id, c.partial, c.formula, shown(c.engine, 12), shown(c.closed, 12), difference]


def _pictures(content: Content) -> str:
    return "\n".join(map(_picture, content.pictures))


def _picture(picture: Picture) -> str:
    source = base64.b64encode(picture.svg).decode()
    image = f'<img alt="{escape(picture.title)}" src="data:image/svg+xml;base64,{source}">'
    links = _links(f"{picture.name}.svg", f"{picture.name}.png")
    return _figure(f'<div class="paper">{image}</div>', f"<b>{picture.title}.</b> {picture.caption}", links)


def _weights(content: Content) -> str:
    return _figure(
        f"<pre>{escape(content.weights)}</pre>",
        "<b>Figure 4C.</b> The weights, as the paper prints them: W_z is U, and the W_h are the rows of W.",
        _links("weights.json", "figure-4c.txt", "losses.csv", "figure-1.csv"),
    )


SECTIONS: dict[str, Callable[[Content], str]] = {
    "Does it solve XOR?": _outcome,
    "The network": _network,
    "Every partial derivative, by the engine and in closed form": _partials,
    "The derivation, from the equations alone": _derivation,
    "The experiments": _pictures,
    "The weights": _weights,
}


def _figure(content: str, caption: str, links: str) -> str:
    return f"<figure>\n{content}\n<figcaption>{caption} {links}</figcaption>\n</figure>"


def _links(*names: str) -> str:
    return '<span class="files">' + " ".join(f'<a href="{name}">{name}</a>' for name in names) + "</span>"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    def row(cells: list[str] | tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return f'<div class="scroll"><table>\n<thead>{row(head, "th")}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A network that learns XOR</title>
<style>
:root {
  color-scheme: light dark;
  --ink: #1f2328; --soft: #57606a; --line: #d8dee4; --ground: #fff; --card: #f6f8fa; --link: #0969da;
  --good: #116329; --bad: #a40e26;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ee; --soft: #a5adb8; --line: #343b45; --ground: #14171c; --card: #1c2027; --link: #6cb6ff;
    --good: #6fd08c; --bad: #ff8a80;
  }
}
body { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
a { color: var(--link); }
.good, .bad { font-weight: 600; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
figure { margin: 1.5rem 0 2.5rem; }
.wide { position: relative; left: 50%; width: min(96vw, 100rem); transform: translateX(-50%); }
.wide svg { width: 100%; min-width: 64rem; height: auto; }
.paper { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .75rem; text-align: center; }
.paper img { max-width: 100%; height: auto; }
figcaption { margin-top: .6rem; color: var(--soft); font-size: .95rem; max-width: 48rem; }
figcaption b { color: var(--ink); }
.files { white-space: nowrap; font-size: .85rem; }
.files a { margin-left: .5rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; overflow-x: auto; }
@media print {
  body { max-width: none; }
  .wide svg { min-width: 0; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
</style>
<h1>A network that learns XOR</h1>
<p>Two inputs, a layer of hidden units, one output; sigmoids and cross-entropy. Trained, differentiated and drawn by
micrograd_xor, from the equations of its forward pass alone.</p>
$body
</html>
""")
