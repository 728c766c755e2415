"""The paper's section 2 as a document, derived from its section 1: equations in, derivation out.

print(document(2))                      to read in a terminal
Path("a.tex").write_text(document(2, "tex"))     to typeset
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from string import Template
from typing import NamedTuple
from unicodedata import combining

from micrograd_xor.derive import Derivation
from micrograd_xor.notation import LATEX, MATHML, TEXT, Notation
from micrograd_xor.xor.families import families, matrix_form, network, rows

LONGEST = 40  # a section of more equations is left out where the derivation is a part of a page


class Section(NamedTuple):
    """A title, a sentence, and equations: each a left side and what it is equal to, one after the other."""

    title: str
    text: str
    equations: list[list[str]]


def document(hidden: int = 2, format: str = "text") -> str:
    """The derivation of the network with `hidden` units: as text, latex (to include), markdown, html or tex (a file).

    ValueError where hidden is not a whole number of at least 1 or the format is none of these.

    >>> print(document(1).splitlines()[-1])
    ∂E/∂b_h = (z - r) ((1 - h) ⊙ h ⊙ Uᵀ)
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}. Choose one of these.")
    notation, write = FORMATS[format]
    return write(sections(hidden, notation))


@lru_cache
def fragment(hidden: int = 2) -> str:
    """The derivation as a part of an HTML page, in MathML; sections of more than 40 equations are left out."""
    return _STYLE + _mathml([s for s in sections(hidden, MATHML) if len(s.equations) <= LONGEST])


def sections(hidden: int, notation: Notation) -> list[Section]:
    """The equations, every row with its steps, and the general rows, in a notation."""
    derived = rows(network(hidden))
    general = families(derived)
    by_parameter = general[-4:]  # u_j, b_z, w_jk, b_j
    return [
        Section("The equations", "The forward pass: all that is recorded.", _forward(derived, notation)),
        Section(
            "Every local partial",
            "Each equation by each name in it: as the table of operations gives it, then simplified.",
            [_local(row, notation) for row in derived if len(row.steps[0].partials) == 1],
        ),
        Section(
            "Every derivative of E",
            "The chain rule: the partials from E down to the parameter are multiplied, and what cancels is cancelled.",
            [_total(row, notation) for row in derived if len(row.steps[0].partials) > 1],
        ),
        Section(
            "The same for any unit",
            "Rows that differ in their indices only, as one: j counts the hidden units, k the inputs.",
            [family.sides(notation) for family in general],
        ),
        Section(
            "In matrices",
            "The derivatives by all parameters at once; ⊙ multiplies element by element.",
            [matrix_form(family).sides(notation) for family in by_parameter],
        ),
    ]


def _forward(derived: list[Derivation], notation: Notation) -> list[list[str]]:
    equations = derived[0].chain.equations
    symbols = dict.fromkeys(equations.symbols[row.chain.upper] for row in derived)
    return [[notation.symbol(s.name), equations.formula(s).write(notation)] for s in symbols]


def _local(row: Derivation, notation: Notation) -> list[str]:
    [partial] = row.steps[0].partials
    sides = [partial.rule.write(notation), row.formula.write(notation)]
    return [row.heading.write(notation), *dict.fromkeys(sides)]


def _total(row: Derivation, notation: Notation) -> list[str]:
    *steps, _ = row.steps[0].sides(notation)
    return [row.heading.write(notation), *steps, row.formula.write(notation)]


def _text(parts: list[Section]) -> str:
    return _joined(f"{title}\n{'-' * len(title)}\n{text}\n\n{_lines(rows)}" for title, text, rows in parts)


def _latex(parts: list[Section]) -> str:
    return _joined(
        f"\\section*{{{title}}}\n{text}\n\\begin{{align*}}\n{_aligned(rows)}\n\\end{{align*}}"
        for title, text, rows in parts
    ).replace("⊙", r"$\odot$")


def _markdown(parts: list[Section]) -> str:
    return _joined(
        f"## {title}\n\n{text}\n\n$$\n\\begin{{aligned}}\n{_aligned(rows)}\n\\end{{aligned}}\n$$"
        for title, text, rows in parts
    )


def _tex(parts: list[Section]) -> str:
    return _TEX.substitute(body=_latex(parts))


def _html(parts: list[Section]) -> str:
    return _PAGE.substitute(style=_STYLE, body=_mathml(parts))


def _mathml(parts: list[Section]) -> str:
    return _joined(f"<h3>{title}</h3>\n<p>{text}</p>\n{_table(rows)}" for title, text, rows in parts)


def _table(rows: list[list[str]]) -> str:
    row = "<mtr><mtd>{}</mtd><mtd><mo>=</mo></mtd><mtd>{}</mtd></mtr>".format
    cells = "\n".join(row(left, side) for left, side in _by_side(rows))
    return f'<div class="derivation"><math><mtable displaystyle="true">\n{cells}\n</mtable></math></div>'


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _lines(rows: list[list[str]]) -> str:
    """Equations with their equals signs below each other."""
    width = max(_width(left) for left, *_ in rows)
    return "\n".join(f"{left}{' ' * (width - _width(left))} = {side}" for left, side in _by_side(rows))


def _aligned(rows: list[list[str]]) -> str:
    return " \\\\\n".join(f"{left} &= {side}" for left, side in _by_side(rows))


def _by_side(rows: list[list[str]]) -> Iterator[tuple[str, str]]:
    """Each right side with its left one, or with none where that stands above."""
    for left, first, *more in rows:
        yield left, first
        yield from (("", side) for side in more)


def _width(text: str) -> int:
    return sum(not combining(c) for c in text)  # a bar takes no room of its own


FORMATS: dict[str, tuple[Notation, Callable[[list[Section]], str]]] = {
    "text": (TEXT, _text),
    "latex": (LATEX, _latex),
    "markdown": (LATEX, _markdown),
    "html": (MATHML, _html),
    "tex": (LATEX, _tex),
}

_TEX = Template(r"""\documentclass{article}
\usepackage{amsmath}
\allowdisplaybreaks
\begin{document}
\title{The derivation of a network that learns XOR}
\date{}
\maketitle

$body
\end{document}
""")

_STYLE = """<style>
.derivation { overflow-x: auto; }
.derivation math { font-size: 1.08em; }
.derivation mtd { text-align: left; padding: .3em .2em; }
</style>
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The derivation of a network that learns XOR</title>
<style>
:root { color-scheme: light dark; }
body { max-width: 52rem; margin: 0 auto; padding: 2rem 1.25rem 4rem;
  font: 1rem/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
</style>
$style
<h1>The derivation of a network that learns XOR</h1>
$body
</html>
""")
