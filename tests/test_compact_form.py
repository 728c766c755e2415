"""The numpy form: against the open form, complex steps, differences and 50 digits; its weights and their files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from paper import TARGET, equations, exactly, leaves, mp, networks, partial, well_conditioned

from micrograd_xor import Value
from micrograd_xor.ops import total
from micrograd_xor.xor import COMPACT_FORMS, PATTERNS, open_form, parameter_names
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, R, Weights, X, forward, gradient, loss

ONE_PATTERN = leaves()


def pattern_of(case):
    return [[case["x1"], case["x2"]]], [case["r"]]


def weights_of(case):
    return Weights.from_names({name: w for name, w in case.items() if name not in ("x1", "x2", "r")})


def agree(got, expected, relative=1e-12, absolute=1e-320):
    np.testing.assert_allclose(got, np.array(expected, dtype=float), rtol=relative, atol=absolute)


# --- one network: value and gradient -------------------------------------------------------------


@settings(max_examples=50)
@given(case=ONE_PATTERN)
def test_the_forward_pass_is_the_open_form_s(case):
    inputs, r = pattern_of(case[1])
    weights = weights_of(case[1])
    form = open_form(weights.names(), *inputs[0], *r)
    got = forward(weights, inputs)
    agree(got.h_bar[0], [h.data for h in form.h_bar], absolute=1e-14)
    agree(got.h[0], [h.data for h in form.h])
    agree(got.z_bar, [form.z_bar.data], absolute=1e-14)
    agree(got.z, [form.z.data])


@settings(max_examples=50)
@given(case=networks(), inputs=st.lists(leaves(st.just(1)), min_size=1, max_size=6))
def test_loss_and_gradient_are_the_open_form_s_mean(case, inputs):
    patterns = [(numbers["x1"], numbers["x2"], numbers["r"]) for _, numbers in inputs]
    parameters = {name: Value(w, label=name) for name, w in case[1].items()}
    mean = total(open_form(parameters, *pattern, stable=True).E for pattern in patterns) / len(patterns)
    mean.backward()
    weights = Weights.from_names(case[1])
    points, r = np.array(patterns)[:, :2], np.array(patterns)[:, 2]
    agree(loss(weights, points, r), mean.data)
    expected = Weights.from_names({name: w.grad for name, w in parameters.items()})
    agree(gradient(weights, points, r).vector(), expected.vector(), absolute=1e-14)


@settings(max_examples=25)
@given(case=ONE_PATTERN)
def test_loss_and_gradient_are_right_to_50_digits(case):
    hidden, numbers = case
    assume(well_conditioned(numbers, hidden))
    inputs, r = pattern_of(numbers)
    weights = weights_of(numbers)
    agree(loss(weights, inputs, r), equations(exactly(numbers), hidden)["E"])
    slopes = gradient(weights, inputs, r).names()
    agree(list(slopes.values()), [partial("E", name, numbers, hidden) for name in slopes])


def by_hand(vector):
    """The mean E of XOR in plain numpy, real or complex."""
    hidden = (len(vector) - 1) // 4
    units = vector[hidden + 1 :].reshape(hidden, 3)
    h = 1.0 / (1.0 + np.exp(-(X @ units[:, :2].T + units[:, 2])))
    z = 1.0 / (1.0 + np.exp(-(h @ vector[:hidden] + vector[hidden])))
    return -(R * np.log(z) + (1.0 - R) * np.log(1.0 - z)).mean()


@settings(max_examples=25)
@given(case=networks())
def test_the_gradient_is_the_complex_step_s_and_the_central_difference_s(case):
    weights = Weights.from_names(case[1])
    theta, got = weights.vector(), gradient(weights).vector()
    steps = np.eye(len(theta))
    agree(got, [by_hand(theta + 1e-30j * step).imag / 1e-30 for step in steps], absolute=1e-15)
    far, near = (Weights.from_vector(theta + 1e-5 * sign * steps) for sign in (1, -1))
    agree(got, (loss(far) - loss(near)) / 2e-5, absolute=1e-9)


@settings(max_examples=25)
@given(case=ONE_PATTERN)
def test_the_gradient_is_the_paper_s_compact_closed_form(case):
    hidden, numbers = case
    assume(well_conditioned(numbers, hidden))
    (x,), (r,) = pattern_of(numbers)
    weights = weights_of(numbers)
    got = forward(weights, [x])
    names = {"z": got.z[0], "r": r, "h": got.h.T, "U": weights.U[None, :], "x": np.array([x]).T}
    slopes = gradient(weights, [x], [r])
    for row in COMPACT_FORMS.values():
        slope = np.asarray(row.function(names))
        shape = {"U": (1, hidden), "b_z": (), "W": (hidden, 2), "b_h": (hidden, 1)}[row.by]
        assert slope.shape == shape
        agree(getattr(slopes, row.by).reshape(shape), slope)


@given(logit=st.floats(-745.0, 745.0), r=TARGET)
@example(logit=700.0, r=0.0)
@example(logit=700.0, r=1.0)
@example(logit=-700.0, r=1.0)
def test_loss_and_gradient_are_exact_where_sigma_saturates(logit, r):
    weights = Weights.from_names({**dict.fromkeys(parameter_names(2), 0.0), "b_z": logit})
    with mp.workdps(700):
        z, not_z = 1 / (1 + mp.exp(-mp.mpf(logit))), 1 / (1 + mp.exp(mp.mpf(logit)))
        exact = -mp.mpf(r) * mp.log(z) - (1 - mp.mpf(r)) * mp.log(not_z)
        slope = z * (1 - mp.mpf(r)) - not_z * mp.mpf(r)
    agree(loss(weights, [[0, 0]], [r]), exact, 1e-14)
    agree(gradient(weights, [[0, 0]], [r]).b_z, slope, 1e-13, 1e-16 if 0 < r < 1 else 1e-320)


def test_a_saturated_hidden_unit_still_learns():
    weights = Weights.from_names({"u1": 1.0, "b_z": 0.0, "w11": 700.0, "w12": 0.0, "b1": 0.0})
    with mp.workdps(700):
        h = 1 / (1 + mp.exp(mp.mpf(-700)))
        expected = -h * (1 - h) / (1 + mp.exp(h))
    agree(gradient(weights, [[1, 0]], [1]).W[0, 0], expected, 1e-13)


# --- the facts of the paper file ------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [1, 2, 3, 8])
def test_at_zero_the_loss_is_ln_2_and_the_gradient_0(hidden):
    zero = Weights.random(hidden, seed=0, scale=0.0)
    assert float(loss(zero)) == math.log(2.0)
    assert not gradient(zero).vector().any()


def test_the_printed_weights_solve_xor():
    assert forward(PAPER_WEIGHTS).z.round(8).tolist() == [0.00115217, 0.99913532, 0.99914375, 0.00102255]
    assert abs(float(loss(PAPER_WEIGHTS)) - 0.00097439) < 1e-8


TWO_TIED = Weights(U=[-80, 80], b_z=0, W=[[-80, -80], [-80, 80]], b_h=[40, -40])  # units: 00 only, 01 only
THREE_TIED = Weights(U=[-80, 0], b_z=math.log(2.0), W=[[-80, -80], [0, 0]], b_h=[40, -80])  # units: 00 only, never


@pytest.mark.parametrize(
    ("weights", "plateau"),
    [
        (TWO_TIED, math.log(2.0) / 2.0),  # z is 1/2 at 10 and 11
        (THREE_TIED, 0.75 * (math.log(3.0) - 2.0 / 3.0 * math.log(2.0))),  # z is 2/3 at 01, 10 and 11
    ],
)
def test_plateaus_are_stationary_at_their_closed_form_losses(weights, plateau):
    assert abs(float(loss(weights)) - plateau) < 1e-14
    assert np.abs(gradient(weights).vector()).max() < 1e-15


# --- many networks at once ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_a_batch_is_its_networks_one_by_one(shape):
    single = [Weights.random(3, seed=7 + i) for i in range(6)]
    batch = Weights.from_vector(Weights.random(3, seed=7, networks=6).vector().reshape(*shape, -1))
    assert (batch.U.shape, batch.b_z.shape, batch.W.shape) == ((*shape, 3), shape, (*shape, 3, 2))
    for i, index in enumerate(np.ndindex(shape)):
        assert np.array_equal(batch[index].vector(), single[i].vector())
        agree(loss(batch)[index], loss(single[i]), 1e-14)
        agree(forward(batch).z[index], forward(single[i]).z, 1e-14)
        agree(gradient(batch)[index].vector(), gradient(single[i]).vector(), 1e-13, 1e-16)


def test_random_weights_fill_their_interval_and_repeat():
    batch = Weights.random(5, seed=1, scale=3.0, networks=200).vector()
    assert batch.shape == (200, 21)
    assert -3.0 <= batch.min() < -2.99
    assert 2.99 < batch.max() <= 3.0
    assert np.array_equal(Weights.random(5, seed=4, scale=3.0).vector(), batch[3])


@given(case=networks())
def test_names_and_vectors_go_both_ways(case):
    weights = Weights.from_names(case[1])
    assert weights.names() == case[1]
    assert list(weights.names()) == list(parameter_names(case[0]))
    assert np.array_equal(Weights.from_vector(weights.vector()).vector(), weights.vector())
    assert weights.W[-1].tolist() == [case[1][f"w{case[0]}1"], case[1][f"w{case[0]}2"]]


def test_weights_keep_their_own_copy():
    vector = np.zeros(9)
    weights = Weights.from_vector(vector)
    vector[:] = 1.0
    assert not weights.vector().any()


# --- bad input --------------------------------------------------------------------------------------

TWO = {"U": [0, 0], "b_z": 0, "W": [[0, 0], [0, 0]], "b_h": [0, 0]}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"U": [0, math.nan]}, r"U must hold finite numbers, got nan"),
        ({"W": [[0, 0], [0, math.inf]]}, r"W must hold finite numbers, got inf"),
        ({"U": []}, r"The number of hidden units must be a whole number of at least 1, got 0"),
        ({"U": 1.0}, r"The number of hidden units must be a whole number of at least 1, got 0"),
        ({"W": [[0, 0]]}, r"W must have shape \(2, 2\), got \(1, 2\)"),
        ({"b_z": [0]}, r"b_z must have shape \(\), got \(1,\)"),
        ({"b_h": [[0, 0]]}, r"b_h must have shape \(2,\), got \(1, 2\)"),
    ],
)
def test_weights_are_checked(changed, text):
    with pytest.raises(ValueError, match=rf"^{text}\. \S"):
        Weights(**{**TWO, **changed})


@pytest.mark.parametrize("bad", ["many", [[1], [1, 2]], [1j], None, [{}]])
def test_weights_must_be_numbers(bad):
    with pytest.raises((TypeError, ValueError), match=r"^W must .*, got .*\. \S"):
        Weights(**{**TWO, "W": bad})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: loss(PAPER_WEIGHTS, [[0, math.nan]], [0]), r"X must hold finite numbers, got nan"),
        (lambda: forward(PAPER_WEIGHTS, [0, 1]), r"X must have shape \(2, 2\), got \(2,\)"),
        (lambda: forward(PAPER_WEIGHTS, 1.0), r"X must have shape \(2,\), got \(\)"),
        (lambda: loss(PAPER_WEIGHTS, X, R[:2]), r"r must have shape \(4,\), got \(2,\)"),
        (lambda: gradient(PAPER_WEIGHTS, X, R - 0.5), r"The targets r must be between 0 and 1, got \[-0.5, .*\]"),
        (lambda: loss(PAPER_WEIGHTS, X, R + 0.5), r"The targets r must be between 0 and 1, got \[0.5, .*\]"),
        (lambda: Weights.random(0, seed=0), r"hidden must be a whole number of at least 1, got 0"),
        (lambda: Weights.random(2, seed=-1), r"seed must be a whole number of at least 0, got -1"),
        (lambda: Weights.random(2, seed=0, networks=0), r"networks must be a whole number of at least 1, got 0"),
        (lambda: Weights.random(2, seed=0, scale=-1.0), r"scale must be a finite number of at least 0, got -1\.0"),
        (lambda: Weights.random(2, seed=0, scale=math.nan), r"scale must be a finite number of at least 0, got nan"),
        (lambda: Weights.from_vector(np.zeros(8)), r"vector must have shape \(\.\.\., 4 H \+ 1\), got \(8,\)"),
        (lambda: Weights.from_vector(0.0), r"vector must have shape \(\.\.\., 4 H \+ 1\), got \(\)"),
        (lambda: PAPER_WEIGHTS[0], r"vector must have shape \(\.\.\., 4 H \+ 1\), got \(\)"),
        (lambda: Weights.from_names({"u1": 1.0}), r"The weights must be named .*"),
        (lambda: Weights.random(2, 0, networks=3).names(), r"Named weights must be of one network, got a batch .*"),
    ],
)
def test_arguments_are_checked(call, text):
    with pytest.raises(ValueError, match=rf"^{text}\. \S"):
        call()


# --- files --------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(vector=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5, max_size=5))
def test_a_file_gives_back_the_same_bits(tmp_path_factory, vector):
    path = tmp_path_factory.mktemp("weights") / "weights.json"
    Weights.from_vector(vector).save(path)
    assert Weights.load(path).vector().tobytes() == np.array(vector).tobytes()


def test_a_second_save_overwrites_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "weights.json"
    Weights.random(5, seed=0).save(path)
    PAPER_WEIGHTS.save(str(path))
    assert Weights.load(str(path)).names() == PAPER_WEIGHTS.names()
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.json"
    path.write_text("old")
    with pytest.raises(ValueError, match=r"one network"):
        Weights.random(2, seed=0, networks=2).save(path)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        PAPER_WEIGHTS.save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_path_that_cannot_be_written_is_an_os_error(tmp_path, folder):
    with pytest.raises(OSError, match=folder if folder != "." else str(tmp_path.name)):
        PAPER_WEIGHTS.save(tmp_path / folder / "w.json" if folder != "." else tmp_path)
    assert list(tmp_path.iterdir()) == []


def saved(**changed):
    names = {**PAPER_WEIGHTS.names(), **changed.pop("names", {})}
    return json.dumps({"format": "micrograd-xor weights", "version": 1, "weights": names, **changed})


HOSTILE = {
    "empty": "",
    "another format": saved(format="weights"),
    "a later version": saved(version=2),
    "no weights": json.dumps({"format": "micrograd-xor weights", "version": 1}),
    "a list": "[1, 2, 3]",
    "a number": "1",
    "null": "null",
    "weights in a list": saved(weights=[1.0]),
    "nested": saved(weights={"u1": {"u1": 1}}),
    "deep": "[" * 200_000,
    "deep objects": '{"weights":' * 200_000,
    "nan": saved(names={"u1": math.nan}),
    "infinite": saved(names={"u1": math.inf}),
    "too large": saved().replace("14.80952344", "1e999"),
    "a huge integer": saved().replace("14.80952344", "1" * 10_000),
    "text": saved(names={"u1": "1.0"}),
    "a truth value": saved(names={"u1": True}),
    "null inside": saved(names={"u1": None}),
    "an extra name": saved(names={"u3": 1.0}),
    "code": "__import__('os').system('true')",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_is_not_ours_is_refused(tmp_path, text):
    refused(tmp_path, text.encode())


def test_a_truncated_file_is_refused(tmp_path):
    PAPER_WEIGHTS.save(tmp_path / "whole.json")
    whole = (tmp_path / "whole.json").read_bytes()
    for length in range(0, len(whole.rstrip()), 5):
        refused(tmp_path, whole[:length])


def test_a_file_written_by_hand_may_hold_whole_numbers(tmp_path):
    (tmp_path / "w.json").write_text(saved(names={"u1": 15}))
    assert Weights.load(tmp_path / "w.json").U[0] == 15.0


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x00" * 64, b"\x89PNG\r\n", b" " * (1 << 24) + saved().encode()]
)
def test_a_binary_or_endless_file_is_refused(tmp_path, content):
    refused(tmp_path, content)


def refused(folder, content):
    path = folder / "w.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^A weights file must be what Weights\.save writes, got .*w\.json'\. \S"):
        Weights.load(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Weights.load(tmp_path / "none.json")


def test_patterns_are_xor():
    assert [(int(a), int(b), int(r)) for a, b, r in PATTERNS] == [(a, b, a ^ b) for a in (0, 1) for b in (0, 1)]
    assert np.array_equal(np.column_stack([X, R]), PATTERNS)
