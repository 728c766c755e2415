from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor.xor import experiments
from micrograd_xor.xor.closed_form import CLOSED_FORMS, COMPACT_FORMS
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, Weights, loss
from micrograd_xor.xor.experiments import PLATEAUS, Convergence, Study, compare, convergence, solved, study, verdict
from micrograd_xor.xor.training import train

ZERO = Weights.from_vector(np.zeros(9))


def test_the_plateaus_are_the_losses_of_tied_outputs():
    third = -log(1 / 3) / 3 - 2 * log(2 / 3) / 3  # the entropy of three tied outputs, one target unlike the others
    assert list(PLATEAUS.values()) == pytest.approx([log(2), 0.75 * third, log(2) / 2], rel=1e-15)
    assert list(PLATEAUS.values()) == pytest.approx([0.693147, 0.477386, 0.346574], abs=1e-6)
    assert float(loss(ZERO)) == PLATEAUS["ln 2: all four patterns tied at ½"]


def test_solved_asks_for_all_four_outputs():
    three_right = Weights.from_vector([0, 0, -1] + [0] * 6)  # z < 1/2 everywhere
    either = Weights(U=[20, 20], b_z=-10, W=[[20, 20], [0, 0]], b_h=[-10, -40])  # x1 or x2
    barely = replace(PAPER_WEIGHTS, U=1e-3 * PAPER_WEIGHTS.U, b_z=1e-3 * PAPER_WEIGHTS.b_z)
    batch = Weights.from_vector([w.vector() for w in (PAPER_WEIGHTS, barely, ZERO, three_right, either)])
    assert solved(batch).tolist() == [True, True, False, False, False]


def test_convergence_descends_as_the_engine_does():
    runs = convergence(3, networks=3, iterations=40, learning_rate=2.0, seed=5)
    assert runs.iterations.tolist() == [0, 10, 20, 30, 40]
    for i in range(3):
        history = train(Weights.random(3, 5 + i), iterations=40, learning_rate=2.0)
        assert runs.losses[:, i] == pytest.approx(history.losses[::10], rel=1e-12)


def test_convergence_sums_up_its_networks():
    losses = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    runs = Convergence(2, np.array([0]), losses, np.array([[True, False, True, True, False]]))
    assert runs.quartiles().tolist() == [[2.0], [3.0], [4.0]]
    assert runs.fraction_solved().tolist() == [0.6]


def test_more_hidden_units_converge_faster():
    two, eight = (convergence(hidden, networks=30, iterations=300, learning_rate=2.0) for hidden in (2, 8))
    assert eight.quartiles()[1, -1] < two.quartiles()[1, -1]
    assert eight.fraction_solved()[-1] > two.fraction_solved()[-1]


def test_compare_holds_every_row_of_the_paper():
    rows = [c.row for c in compare(PAPER_WEIGHTS)]
    assert rows == [*CLOSED_FORMS.values(), *COMPACT_FORMS.values()]
    assert [c.partial for c in compare(PAPER_WEIGHTS)][:3] == ["∂E/∂z", "∂z/∂z̄", "∂E/∂z̄"]


@pytest.mark.parametrize(("hidden", "rows"), [(1, 15), (2, 25), (3, 25), (8, 25)])
def test_compare_takes_the_rows_whose_nodes_there_are(hidden, rows):
    comparisons = compare(Weights.random(hidden, 1))
    assert len(comparisons) == rows + 4
    assert all(c.ok and c.difference < 1e-12 for c in comparisons)


@settings(max_examples=15)
@given(st.lists(st.floats(-8, 8), min_size=9, max_size=9))
def test_engine_and_closed_forms_agree(vector):
    assert all(c.ok for c in compare(Weights.from_vector(vector)))


@pytest.mark.parametrize("id", [*CLOSED_FORMS, *COMPACT_FORMS])
def test_a_wrong_closed_form_is_found(monkeypatch, id):
    table = CLOSED_FORMS if id in CLOSED_FORMS else COMPACT_FORMS
    right = table[id]
    monkeypatch.setitem(table, id, replace(right, rule=lambda **names: (1.0 + 1e-9) * right.rule(**names)))
    off = [c for c in compare(Weights.random(2, 3)) if not c.ok]
    assert [c.row.id for c in off] == [id]
    assert off[0].difference == pytest.approx(1e-9, rel=1e-5)
    assert experiments.agreement(off).startswith(f"Off: {id}.")


def test_compare_refuses_a_saturated_network():
    with pytest.raises(ValueError, match="log's operand must be greater than 0"):
        compare(Weights(U=[0, 0], b_z=50, W=np.zeros((2, 2)), b_h=[0, 0]))


class Interrupt:
    """A progress that Ctrl-C is pressed at, once for each name that is listed."""

    def __init__(self, **at):
        self.at = at

    def __call__(self, name, done, *_):
        if self.at.get(name.replace(" ", "_").replace(",", "")) == done:
            raise KeyboardInterrupt


def test_an_interrupted_study_keeps_what_was_done():
    found = study(
        Weights.random(2, 0),
        iterations=100,
        networks=2,
        engine="eager",
        progress=Interrupt(Training=5, Figure_1_3_hidden_units=20),
    )
    assert len(found.history.losses) == 6
    assert list(found.panels) == [5]
    assert [runs.hidden for runs in found.convergence] == [2]
    assert found.interrupted
    assert len(found.comparisons) == 29


def test_given_weights_are_studied_as_they_are(monkeypatch):
    monkeypatch.setattr(experiments, "SIZES", (2,))
    found = study(PAPER_WEIGHTS, iterations=0, networks=2)
    assert not found.trained
    assert not found.interrupted
    assert found.history.final.names() == PAPER_WEIGHTS.names()
    assert verdict(found) == (
        "Solves XOR: all four outputs lie on the right side of ½, with a mean E of 0.000974395 nats."
    )


def test_a_saturated_study_says_why_it_was_not_checked(monkeypatch):
    monkeypatch.setattr(experiments, "SIZES", ())
    found = study(Weights(U=[0, 0], b_z=50, W=np.zeros((2, 2)), b_h=[0, 0]), iterations=0)
    assert found.comparisons == []
    assert "log" in found.refusal


@pytest.mark.parametrize(
    ("mean_loss", "plateau"), [(0.70, "ln 2: all"), (0.4774, "¾ H(⅓): three"), (0.3466, "½ ln 2: two")]
)
def test_a_failed_run_is_told_with_its_plateau(mean_loss, plateau):
    history = replace(train(ZERO, iterations=0), losses=np.array([1.0, mean_loss]))
    told = verdict(Study(history, 1, [], []))
    assert told.startswith(f"Does not solve XOR: a mean E of {mean_loss:g} nats after 1 iterations.")
    assert f"The nearest plateau is {plateau}" in told


def test_the_default_run_solves_xor():
    history = train(Weights.random(2, 0), iterations=2000, learning_rate=1.0)
    assert solved(history.final)
    assert history.losses[1000] > 0.5  # late enough for the panels to show how it comes about
