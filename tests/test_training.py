"""Gradient descent through the engine, against the same descent in numpy; what a run keeps; how it ends early."""

import math
import sys
from contextlib import suppress

import numpy as np
import pytest

from micrograd_xor.xor import training
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, Weights, forward, gradient, loss
from micrograd_xor.xor.training import mean_loss, train


@pytest.mark.parametrize("hidden", [1, 2, 4])
def test_training_is_the_numpy_descent(hidden):
    weights = Weights.random(hidden, seed=3)
    history = train(weights, iterations=40, learning_rate=0.7, record=range(41))
    for i in range(41):
        np.testing.assert_allclose(history.losses[i], loss(weights), rtol=1e-12)
        np.testing.assert_allclose(history.snapshots[i].vector(), weights.vector(), rtol=0.0, atol=1e-12)
        weights = Weights.from_vector(weights.vector() - 0.7 * gradient(weights).vector())


def test_xor_is_learnt():
    history = train(Weights.random(2, seed=0), iterations=400, learning_rate=10.0, seed=0)
    assert ((forward(history.final).z > 0.5) == [False, True, True, False]).all()
    assert history.losses[-1] < 0.05 < history.losses[0]
    assert (history.learning_rate, history.seed) == (10.0, 0)


def test_the_mean_loss_is_the_compact_form_s():
    assert math.isclose(mean_loss(PAPER_WEIGHTS.names()).data, float(loss(PAPER_WEIGHTS)), rel_tol=1e-12)


def test_a_run_repeats_to_the_last_bit():
    first, second = (train(Weights.random(3, seed=5), iterations=25) for _ in "ab")
    assert first.losses.tobytes() == second.losses.tobytes()
    assert first.final.vector().tobytes() == second.final.vector().tobytes()


def test_the_history_holds_the_losses_and_the_asked_snapshots():
    history = train(Weights.random(2, seed=0), iterations=12, record=[12, 0, 5])
    assert history.losses.shape == (13,)
    assert history.losses.dtype == np.float64
    assert list(history.snapshots) == [0, 5, 12]
    for i, weights in history.snapshots.items():
        np.testing.assert_allclose(history.losses[i], loss(weights), rtol=1e-12)
    assert np.array_equal(history.final.vector(), history.snapshots[12].vector())
    assert history.seed is None


def test_no_iterations_leave_the_start():
    weights = Weights.random(2, seed=0)
    history = train(weights, iterations=0)
    assert history.losses.shape == (1,)
    assert np.array_equal(history.final.vector(), weights.vector())


def test_a_rate_of_0_moves_nothing():
    weights = Weights.random(2, seed=0)
    assert np.array_equal(train(weights, iterations=3, learning_rate=0.0).final.vector(), weights.vector())


def test_progress_is_told_every_iteration():
    told = []
    history = train(Weights.random(2, seed=0), iterations=4, progress=lambda i, loss: told.append((i, loss)))
    assert told == list(enumerate(history.losses))


# --- ending early -------------------------------------------------------------------------------------


def interrupt_in_progress(monkeypatch, at):
    def progress(iteration, _):
        if iteration == at:
            raise KeyboardInterrupt

    return progress


def interrupt_in_the_step(monkeypatch, at):
    """Ctrl-C while iteration `at` + 1 is being recorded, the weights already moved."""
    calls = iter(range(at + 1))

    def recording(weights):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return mean_loss(weights)

    monkeypatch.setattr(training, "mean_loss", recording)


@pytest.mark.parametrize("interrupt", [interrupt_in_progress, interrupt_in_the_step])
@pytest.mark.parametrize("at", [0, 1, 5])
def test_ctrl_c_returns_what_is_there(monkeypatch, interrupt, at):
    progress = interrupt(monkeypatch, at)
    history = train(Weights.random(2, seed=0), iterations=20, record=[0, 3, 20], progress=progress)
    assert history.losses.shape == (at + 1,)
    assert list(history.snapshots) == [i for i in (0, 3) if i <= at]
    np.testing.assert_allclose(history.losses[-1], loss(history.final), rtol=1e-12)


def interrupted_at(line):
    """A run with Ctrl-C at the given line event of `train` itself."""
    events = iter(range(line))

    def lines(_frame, event, _):
        if event == "line" and next(events, None) is None:
            raise KeyboardInterrupt
        return lines

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: lines if frame.f_code is train.__code__ else None)
    try:
        return train(Weights.random(1, seed=0), iterations=3, record=[1], progress=lambda *_: None)
    finally:
        sys.settrace(before)


def test_ctrl_c_at_any_line_leaves_weights_that_fit_the_last_loss():
    lengths = set()
    for line in range(60):
        with suppress(KeyboardInterrupt):
            history = interrupted_at(line)
            lengths.add(len(history.losses))
            np.testing.assert_allclose(history.losses[-1], loss(history.final), rtol=1e-12)
            assert list(history.snapshots) == [1] * (len(history.losses) > 1)
    assert lengths == {1, 2, 3, 4}


def test_ctrl_c_before_anything_is_there_is_passed_on(monkeypatch):
    interrupt_in_the_step(monkeypatch, -1)
    with pytest.raises(KeyboardInterrupt):
        train(Weights.random(2, seed=0), iterations=20)


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"learning_rate": -1.0}, r"learning_rate must be a finite number of at least 0, got -1\.0"),
        ({"learning_rate": math.nan}, r"learning_rate must be a finite number of at least 0, got nan"),
        ({"learning_rate": math.inf}, r"learning_rate must be a finite number of at least 0, got inf"),
        ({"iterations": -1}, r"iterations must be a whole number of at least 0, got -1"),
        ({"iterations": 2.5}, r"iterations must be a whole number of at least 0, got 2\.5"),
        ({"iterations": 5, "record": [2, 6]}, r"record must hold iterations within 0 \.\. 5, got 6"),
        ({"iterations": 5, "record": [-1]}, r"record must hold iterations within 0 \.\. 5, got -1"),
        ({"iterations": 5, "record": [2.5]}, r"record must hold iterations within 0 \.\. 5, got 2\.5"),
    ],
)
def test_arguments_are_checked(options, text):
    with pytest.raises(ValueError, match=rf"^{text}\. \S"):
        train(Weights.random(2, seed=0), **options)


def test_a_rate_that_is_no_number_is_a_type_error():
    with pytest.raises(TypeError, match=r"^learning_rate must be a real number .*, got 'fast'\. \S"):
        train(Weights.random(2, seed=0), learning_rate="fast")


STEEP = Weights.from_names({"u1": 1e4, "b_z": 0.0, "w11": 0.0, "w12": 0.0, "b1": 0.0})


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("weights", [STEEP, Weights.random(64, seed=0)], ids=["the weights", "the loss"])
def test_a_rate_that_overflows_is_named(weights, engine):
    with pytest.raises(ValueError, match=r"^learning_rate must keep the loss finite, got 1e\+308\. \S"):
        train(weights, iterations=5, learning_rate=1e308, engine=engine)


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"^Named weights must be of one network, got a batch .*\. \S"):
        train(Weights.random(2, seed=0, networks=3))


def test_the_compiled_loop_gives_the_eager_history():
    options = {"iterations": 300, "learning_rate": 2.0, "record": [0, 7, 300], "seed": 3}
    eager, compiled = (train(Weights.random(3, seed=3), engine=engine, **options) for engine in ("eager", "compiled"))
    np.testing.assert_allclose(compiled.losses, eager.losses, rtol=1e-11)
    np.testing.assert_allclose(compiled.final.vector(), eager.final.vector(), rtol=1e-9)
    assert sorted(compiled.snapshots) == [0, 7, 300]
    for i, weights in eager.snapshots.items():
        np.testing.assert_allclose(compiled.snapshots[i].vector(), weights.vector(), rtol=1e-9)


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="engine must be one of compiled, eager, got 'fast'"):
        train(Weights.random(2, seed=0), engine="fast")
