"""The paper's figures, each a function of the `Study` that gives a matplotlib figure of its own.

The figures bring their own light background, so that they read the same on paper, on a light page and on a dark one.
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import cycle
from math import ceil, sqrt
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from micrograd_xor.xor.compact_form import Array, R, Weights, X, forward, loss
from micrograd_xor.xor.experiments import PLATEAUS, Study

# Okabe and Ito's colours, told apart by colour-blind readers; the dashes tell them apart in grey
SKY = "#56B4E9"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", SKY, "#000000")
DASHES = ("-", "--", "-.", ":")
INK, FAINT = "#1b1f24", "#8a929c"
OUTPUT = LinearSegmentedColormap.from_list("output", ["#e07a35", "#f6cdb0", "#ffffff", "#b3d8ee", "#3589c4"])
UNITS_SHOWN = 8

STYLE: Any = {  # Any: matplotlib types each key
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 11.5,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "mathtext.fontset": "cm",
    "legend.frameon": False,
    "svg.hashsalt": "micrograd-xor",  # the same study gives the same bytes
}

_styled = mpl.rc_context(STYLE)
_AROUND = np.linspace(-0.25, 1.25, 61)  # a margin around the input square
_UNIT = np.linspace(0.0, 1.0, 33)
_TICKS: dict[str, Any] = {"xticks": [0, 0.5, 1], "yticks": [0, 0.5, 1]}
_MARKERS = ((0.0, "o", "white"), (1.0, "s", INK))  # XOR's points: open circles where r is 0, full squares where 1


@_styled
def render(figure: Figure, format: str) -> bytes:
    """The figure as the bytes of an "svg" or a "png" file; the same figure gives the same bytes.

    >>> render(Figure(), "svg")[:5]
    b'<?xml'
    """
    file = BytesIO()
    metadata = {"Date": None} if format == "svg" else {"Software": None}
    figure.savefig(file, format=format, dpi=160, bbox_inches="tight", pad_inches=0.12, metadata=metadata)
    return file.getvalue()


@_styled
def training_figure(study: Study) -> Figure:
    """The mean cross-entropy of this run at every iteration, with the plateaus on which runs linger."""
    figure = _figure(8.0, 3.4)
    axes = figure.subplots()
    axes.semilogy(study.history.losses, color=COLOURS[0], lw=2)
    for name, level in PLATEAUS.items():
        axes.axhline(level, color=FAINT, lw=0.8, ls=(0, (4, 4)), zorder=0)
        axes.text(1.01, level, name.split(":")[0], transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.set(xlabel="iteration", ylabel="mean $E$ (nats)", xlim=(0, len(study.history.losses) - 1))
    return figure


@_styled
def figure_1(study: Study) -> Figure:
    """Figure 1: the effect of the number of hidden units on convergence."""
    figure = _figure(9.0, 4.0)
    left, right = figure.subplots(1, 2)
    for runs, colour, dash in zip(study.convergence, _size_colours(study), cycle(DASHES), strict=False):
        style = {"color": colour, "ls": dash, "lw": 1.8, "label": f"$H$ = {runs.hidden}"}
        lower, median, upper = runs.quartiles()
        left.fill_between(runs.iterations, lower, upper, color=colour, alpha=0.13, lw=0)
        left.plot(runs.iterations, median, **style)
        right.plot(runs.iterations, 100.0 * runs.fraction_solved(), **style)
    left.set(xlabel="iteration", ylabel="mean $E$ (nats): median and quartiles", yscale="log")
    right.set(xlabel="iteration", ylabel="networks that solve XOR (%)", ylim=(0, 103))
    right.legend(title="hidden units", loc="lower right")
    for axes in (left, right):
        axes.margins(x=0)
        axes.grid(color="#e6e8eb", lw=0.6)
    return figure


@_styled
def figure_2(study: Study) -> Figure:
    """Figure 2: the evolution of the planes that the hidden units generate over the input square.

    Of many units, those with the largest weights u.
    """
    rows, columns = _grid(len(study.panels))
    figure = _figure(4.0 * columns, 4.0 * rows)
    for axes, weights in _panels(figure, study):
        features, shade = _features(weights, _AROUND), 0.28 / len(_units(weights))
        for j in _units(weights):
            colour, dash = COLOURS[j % len(COLOURS)], DASHES[j % len(DASHES)]
            axes.contourf(_AROUND, _AROUND, features[j], levels=[0.1, 0.9], colors=[colour], alpha=shade)
            axes.contour(_AROUND, _AROUND, features[j], levels=[0.5], colors=[colour], linestyles=[dash], linewidths=2)
            _arrow(axes, weights, j, colour)
    return figure


@_styled
def figure_3(study: Study) -> Figure:
    """Figure 3: the evolution of the final discriminant over the input square."""
    rows, columns = _grid(len(study.panels))
    figure = _figure(4.0 * columns + 0.8, 4.0 * rows)
    for axes, weights in _panels(figure, study):
        z, levels = _output(weights, _AROUND), np.linspace(0.0, 1.0, 11)
        filled = axes.contourf(_AROUND, _AROUND, z, levels=levels, cmap=OUTPUT, vmin=0.0, vmax=1.0)
        axes.contour(_AROUND, _AROUND, z, levels=[0.5], colors=[INK], linewidths=2)
    figure.colorbar(filled, ax=figure.axes, label="output $z$", shrink=0.6, ticks=[0, 0.5, 1])
    return figure


@_styled
def figure_4a(study: Study) -> Figure:
    """Figure 4A: the planes that generate the hidden features; of many units, those with the largest weights u."""
    weights = study.history.final
    units = _units(weights)
    rows, columns = _grid(len(units))
    figure = _figure(4.2 * columns, 3.8 * rows)
    for place, j in enumerate(units, 1):
        axes = figure.add_subplot(rows, columns, place, projection="3d")
        _surface(axes, _features(weights, _UNIT)[j], forward(weights).h[:, j], COLOURS[j % len(COLOURS)])
        axes.set_zlabel(f"$h_{{{j + 1}}}$", rotation=0)
    return figure


@_styled
def figure_4b(study: Study) -> Figure:
    """Figure 4B: the final plane, the output z over the input square; below it, where z is 1/2."""
    weights = study.history.final
    figure = _figure(6.4, 5.4)
    axes = figure.add_subplot(projection="3d")
    z = _output(weights, _UNIT)
    _surface(axes, z, forward(weights).z, SKY)
    axes.contour(_UNIT, _UNIT, z, levels=[0.5], colors=[INK], offset=0.0, linewidths=1.5)
    axes.set_zlabel("$z$", rotation=0)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _grid(panels: int) -> tuple[int, int]:
    columns = ceil(sqrt(panels))
    return ceil(panels / columns), columns


def _panels(figure: Figure, study: Study) -> Iterator[tuple[Axes, Weights]]:
    """For each panel of the study its axes, with the input square and the patterns drawn, and its weights."""
    rows, columns = _grid(len(study.panels))
    for place, (iteration, weights) in enumerate(study.panels.items(), 1):
        axes = figure.add_subplot(rows, columns, place, aspect="equal")
        when = f"after {iteration} iterations" if study.trained else "as given"
        axes.set(title=f"{when},  mean $E$ = {float(loss(weights)):.3g}", xlabel="$x_1$", ylabel="$x_2$", **_TICKS)
        axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=FAINT, lw=0.8))
        for r, marker, face in _MARKERS:
            x1, x2 = X[r == R].T
            axes.scatter(x1, x2, marker=marker, s=60, facecolor=face, edgecolor=INK, linewidth=1.5, zorder=5)
        yield axes, weights


def _units(weights: Weights) -> list[int]:
    largest = np.argsort(-abs(weights.U), kind="stable")[:UNITS_SHOWN]
    return sorted(largest.tolist())


def _points(along: Array) -> Array:
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)


def _features(weights: Weights, along: Array) -> Array:
    """Each hidden unit over the square, (H, n, n)."""
    return forward(weights, _points(along)).h.T.reshape(-1, len(along), len(along))


def _output(weights: Weights, along: Array) -> Array:
    return forward(weights, _points(along)).z.reshape(len(along), len(along))


def _size_colours(study: Study) -> list[Any]:
    return list(mpl.colormaps["viridis"](np.linspace(0.0, 0.88, len(study.convergence))))


def _arrow(axes: Axes, weights: Weights, j: int, colour: str) -> None:
    """From the point of the plane nearest to the square's middle, towards h_j = 1."""
    w, length = weights.W[j], float(np.hypot(*weights.W[j]))
    foot = 0.5 - w * (w.sum() / 2 + weights.b_h[j]) / max(length**2, 1e-300)
    if length > 0.0 and (abs(foot - 0.5) < 0.75).all():
        tip, label = foot + 0.16 * w / length, foot + 0.23 * w / length
        axes.annotate("", tip, foot, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8, "shrinkA": 0})
        axes.annotate(f"$h_{{{j + 1}}}$", label, color=colour, fontsize=13, ha="center", va="center")


def _surface(axes: Any, height: Array, at_patterns: Array, colour: str) -> None:
    x1, x2 = np.meshgrid(_UNIT, _UNIT)
    axes.plot_surface(
        x1, x2, height, rstride=1, cstride=1, edgecolor=(1, 1, 1, 0.35), lw=0.25, alpha=0.94, color=colour
    )
    for r, marker, face in _MARKERS:
        points = (*X[r == R].T, at_patterns[r == R])
        axes.scatter(*points, marker=marker, s=46, facecolor=face, edgecolor=INK, linewidth=1.4, depthshade=False)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", zlim=(0, 1), zticks=[0, 0.5, 1], **_TICKS)
    axes.zaxis.set_rotate_label(False)
    axes.view_init(elev=33, azim=-66)
    axes.set_box_aspect((1, 1, 0.72))
