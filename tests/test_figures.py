from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet

from micrograd_xor.xor import figures
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, Weights, forward
from micrograd_xor.xor.experiments import Convergence, Study
from micrograd_xor.xor.training import History

ALL = [
    figures.training_figure,
    figures.figure_1,
    figures.figure_2,
    figures.figure_3,
    figures.figure_4a,
    figures.figure_4b,
]


def runs(hidden):
    losses = np.geomspace(0.7, 0.01 / hidden, 5)[:, None] * [1.0, 1.1, 1.3]
    return Convergence(hidden, np.arange(0, 50, 10), losses, losses < 0.1)


def hand_made(weights, panels=(1000, 2000)):
    losses = np.geomspace(0.7, 0.001, max(panels, default=0) + 1)
    history = History(losses, dict.fromkeys(panels, weights), weights, 1.0, 0)
    return Study(history, len(losses) - 1, [runs(2), runs(3)], [])


PAPER = hand_made(PAPER_WEIGHTS)


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.parametrize("hidden", [1, 3])
def test_a_figure_is_an_svg_and_a_png(draw, hidden):
    figure = draw(hand_made(Weights.random(hidden, 0)))
    assert ElementTree.fromstring(figures.render(figure, "svg")).tag.endswith("svg")
    assert figures.render(figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", ALL)
def test_the_same_study_gives_the_same_bytes(draw):
    assert figures.render(draw(PAPER), "svg") == figures.render(draw(PAPER), "svg")


@pytest.mark.parametrize("draw", ALL)
def test_axes_are_labelled(draw):
    for axes in draw(PAPER).axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or not axes.get_xticks().size  # a colour bar has no x


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    figures.render(figures.figure_3(PAPER), "svg")
    assert dict(mpl.rcParams) == before


def test_figure_1_shows_medians_and_successes():
    left, right = figures.figure_1(PAPER).axes
    for run, median, success in zip(PAPER.convergence, left.lines, right.lines, strict=True):
        assert median.get_ydata().tolist() == run.quartiles()[1].tolist()
        assert success.get_ydata().tolist() == (100 * run.fraction_solved()).tolist()
    assert left.get_yscale() == "log"


def contours(axes, level):
    return [c for c in axes.collections if isinstance(c, QuadContourSet) and level in c.levels and not c.filled]


def test_figure_2_draws_each_unit_where_it_is_one_half():
    for axes in figures.figure_2(PAPER).axes:
        drawn = contours(axes, 0.5)
        assert len(drawn) == 2
        for j, contour in enumerate(drawn):
            points = contour.get_paths()[0].vertices
            assert forward(PAPER_WEIGHTS, points).h[:, j] == pytest.approx(np.full(len(points), 0.5), abs=0.02)


def test_figure_2_points_to_where_the_unit_is_1():
    axes = figures.figure_2(PAPER).axes[0]
    for j, arrow in enumerate(axes.texts[::2]):
        foot, tip = forward(PAPER_WEIGHTS, [arrow.xyann, arrow.xy]).h[:, j]
        assert foot == pytest.approx(0.5)
        assert tip > 0.6


def test_figure_3_draws_where_the_output_is_one_half():
    *panels, _ = figures.figure_3(PAPER).axes
    assert [axes.get_title()[:21] for axes in panels] == ["after 1000 iterations", "after 2000 iterations"]
    for axes in panels:
        [contour] = contours(axes, 0.5)
        points = contour.get_paths()[0].vertices
        assert forward(PAPER_WEIGHTS, points).z == pytest.approx(np.full(len(points), 0.5), abs=0.1)


def test_given_weights_make_one_panel():
    study = replace(hand_made(PAPER_WEIGHTS, panels=(0,)), iterations=0)
    [axes] = figures.figure_2(study).axes
    assert axes.get_title().startswith("as given")


def test_of_many_units_the_heaviest_are_drawn():
    weights = Weights.random(12, 0)
    titles = [axes.get_zlabel() for axes in figures.figure_4a(hand_made(weights)).axes]
    heaviest = sorted(np.argsort(-abs(weights.U))[:8] + 1)
    assert titles == [f"$h_{{{j}}}$" for j in heaviest]


def test_a_unit_without_a_plane_is_drawn_without_an_arrow():
    flat = Weights(U=[1, 1], b_z=0, W=[[0, 0], [1, 1]], b_h=[0.3, -1])
    assert len(figures.figure_2(hand_made(flat)).axes[0].texts) == 2
