"""The study as files: every figure, the weights, the numbers, and one page that shows it all."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from matplotlib.figure import Figure

from micrograd_xor.draw import Drawing, draw
from micrograd_xor.state import write as write_whole
from micrograd_xor.xor import figures, page
from micrograd_xor.xor.compact_form import Weights
from micrograd_xor.xor.experiments import Study
from micrograd_xor.xor.open_form import open_form


@dataclass(frozen=True)
class Plate:
    """A figure of the report: the name of its files, its title and caption, and what draws it."""

    name: str
    title: str
    caption: str
    figure: Callable[[Study], Figure]


_POINTS = "Squares: the inputs whose target r is 1; circles: those whose target is 0."
TRAINING = Plate(
    "training",
    "Training",
    "The mean cross-entropy of the network at each iteration. Dashed: the plateaus on which runs linger, where all "
    "four outputs (ln 2), three (¾ H(⅓)) or two of opposite label (½ ln 2) are tied.",
    figures.training_figure,
)
FIGURE_1 = Plate(
    "figure-1",
    "Figure 1",
    "The effect of the number of hidden units on convergence, after 2000 iterations. Left: the median and the "
    "quartiles of many networks, each of its own seed. Right: how many of them put all four outputs on the right side "
    "of ½.",
    figures.figure_1,
)
PLANES = (
    Plate(
        "figure-2",
        "Figure 2",
        "The evolution of the planes that the hidden units generate over the input square. Line: where h is ½; shaded: "
        f"where it lies between 0.1 and 0.9; the arrow points to 1. {_POINTS}",
        figures.figure_2,
    ),
    Plate(
        "figure-3",
        "Figure 3",
        f"The evolution of the final discriminant: the output z, and the line where it is ½. {_POINTS}",
        figures.figure_3,
    ),
    Plate("figure-4a", "Figure 4A", f"The planes that generate the hidden features. {_POINTS}", figures.figure_4a),
    Plate("figure-4b", "Figure 4B", f"The final plane. On the floor: where z is ½. {_POINTS}", figures.figure_4b),
)
_OPTIONAL = (TRAINING, FIGURE_1)


def plates(study: Study) -> list[Plate]:
    """The figures that there is something to show in: no training curve of given weights, no empty Figure 1."""
    shown = {TRAINING: study.trained, FIGURE_1: bool(study.convergence)}
    return [plate for plate in (*_OPTIONAL, *PLANES) if shown.get(plate, True)]


def write(study: Study, folder: Path, progress: Callable[[str, int, int], None] | None = None) -> Path:
    """Write the report into folder, each file whole or not at all; the path of its page, which is written last.

    The same study gives the same bytes. What an earlier report left and this one does not have is removed.
    OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study.history.final.save(folder / "weights.json")
    shown = plates(study)
    for i, (name, content) in enumerate(_contents(study, shown), 1):
        write_whole(content, folder / name)
        if progress:
            progress("Writing", i, 2 * len(shown) + 5)
    for name in _names(_OPTIONAL) - _names(shown):
        (folder / name).unlink(missing_ok=True)
    return folder / "index.html"


def _contents(study: Study, shown: list[Plate]) -> Iterator[tuple[str, bytes]]:
    network = picture(study.history.final, stable=bool(study.refusal)).svg
    yield "network.svg", network.encode()
    yield "figure-4c.txt", printed(study.history.final).encode()
    yield "losses.csv", _csv(("iteration", "mean_E"), enumerate(study.history.losses.tolist()))
    yield (
        "figure-1.csv",
        _csv(("hidden", "iteration", "lower_quartile", "median", "upper_quartile", "solved"), _runs(study)),
    )
    pictures = []
    for plate in shown:
        figure = plate.figure(study)
        svg = figures.render(figure, "svg")
        pictures.append(page.Picture(plate.name, plate.title, plate.caption, svg))
        yield f"{plate.name}.svg", svg
        yield f"{plate.name}.png", figures.render(figure, "png")
    yield "index.html", page.render(study, network, pictures, printed(study.history.final)).encode()


def picture(
    weights: Weights,
    pattern: tuple[float, float, float] = (1.0, 0.0, 1.0),
    *,
    stable: bool = False,
    partials: bool = True,
) -> Drawing:
    """The graph of the open form for one (x1, x2, r) after its reverse sweep, a frame around each layer.

    `stable` draws E taken from z̄, which no saturation makes infinite. ValueError as `open_form` and `draw`.

    >>> from micrograd_xor.xor.compact_form import PAPER_WEIGHTS
    >>> "hidden layer" in picture(PAPER_WEIGHTS).dot
    True
    """
    form = open_form(weights.names(), *pattern, stable=stable)
    form.E.backward()
    layers = {"hidden layer": [*form.h_bar, *form.h], "output": [form.z_bar, form.z]}
    return draw(form.E, form.z, partials=partials, intermediates=False, clusters=layers)


def printed(weights: Weights) -> str:
    """One network's weights as the paper's Figure 4C prints them; W_z is U and W_hj the row j of W.

    >>> from micrograd_xor.xor.compact_form import PAPER_WEIGHTS
    >>> print(printed(PAPER_WEIGHTS), end="")
    W_z  = [[ 14.80952344  14.76101927 ]]      b_z  = -7.27497885
    W_h1 = [ -7.65041714   7.36125404 ]        b_h1 = -3.97000899784
    W_h2 = [  7.64177225  -7.8921135  ]        b_h2 = -4.12111727682
    """
    numbers = [*weights.U, *weights.W.ravel()]
    width = max(len(f"{x:.0f}") for x in numbers)
    cells = iter(_cell(x, width) for x in numbers)
    rows = [f"W_z  = [[ {'  '.join(next(cells) for _ in weights.U)} ]]"]
    rows += [f"W_h{j} = [ {next(cells)}  {next(cells)} ]" for j in range(1, weights.hidden + 1)]
    biases = [f"b_z  = {_trimmed(float(weights.b_z))}", *(f"b_h{j} = {b:.12g}" for j, b in enumerate(weights.b_h, 1))]
    gap = max(map(len, rows)) + 6
    return "".join(f"{row:{gap}}{bias}\n" for row, bias in zip(rows, biases, strict=True))


def _trimmed(x: float) -> str:
    return f"{x:.8f}".rstrip("0")


def _cell(x: float, width: int) -> str:
    """x with its decimal point below the others'."""
    whole, _, digits = _trimmed(x).partition(".")
    return f"{whole:>{width}}.{digits:8}"


def _csv(head: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    file = StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return file.getvalue().encode()


def _runs(study: Study) -> Iterator[tuple[object, ...]]:
    for runs in study.convergence:
        columns = [runs.iterations, *runs.quartiles(), runs.fraction_solved()]
        for row in zip(*(column.tolist() for column in columns), strict=True):
            yield (runs.hidden, *row)


def _names(plates: Iterable[Plate]) -> set[str]:
    return {f"{plate.name}.{suffix}" for plate in plates for suffix in ("svg", "png")}
