"""The network recorded with Values, against the paper's equations at 50 digits."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from paper import TARGET, close, equations, exactly, leaves, mp, networks, partial, second_partial, well_conditioned

from micrograd_xor import Value, derivative, gradient, hessian
from micrograd_xor.xor import PATTERNS, open_form, parameter_names
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS
from micrograd_xor.xor.open_form import hidden_units
from micrograd_xor.xor.training import mean_loss

ZEROS = {hidden: dict.fromkeys(parameter_names(hidden), 0.0) for hidden in (1, 2, 3, 4)}


def recorded(case, **how):
    inputs = {name: case[name] for name in ("x1", "x2", "r")}
    return open_form({name: w for name, w in case.items() if name not in inputs}, **inputs, **how)


# --- values and derivatives ---------------------------------------------------------------------


@settings(max_examples=50)
@given(case=leaves())
def test_every_node_is_the_paper_s(case):
    hidden, numbers = case
    assume(well_conditioned(numbers, hidden))
    expected = equations(exactly(numbers), hidden)
    got = recorded(numbers).numbers()
    assert got.keys() == expected.keys()
    for name, x in got.items():  # a sum's error is relative to its terms, here all below 30
        assert math.isclose(x, expected[name], rel_tol=1e-12, abs_tol=1e-14), name


@settings(max_examples=25)
@given(case=leaves(), stable=st.booleans())
def test_the_gradient_is_right_for_any_number_of_hidden_units(case, stable):
    hidden, numbers = case
    assume(well_conditioned(numbers, hidden))
    form = recorded(numbers, stable=stable)
    form.E.backward()
    by_graph = gradient(form.E, form.parameters.values())
    for (name, w), slope in zip(form.parameters.items(), by_graph, strict=True):
        assert close(w.grad, partial("E", name, numbers, hidden)), name
        assert close(slope.data, w.grad, 1e-14), name


@settings(max_examples=25)
@given(case=leaves(), data=st.data())
def test_second_derivatives_are_right(case, data):
    hidden, numbers = case
    assume(well_conditioned(numbers, hidden))
    a, b = (data.draw(st.sampled_from(parameter_names(hidden))) for _ in "ab")
    form = recorded(numbers, stable=True)
    got = derivative(derivative(form.E, form[a]), form[b]).data
    assert math.isclose(got, second_partial(a, b, numbers, hidden), rel_tol=1e-12, abs_tol=1e-13)


@given(logit=st.floats(-745.0, 745.0) | st.sampled_from([-700.0, 700.0]), r=TARGET)
@example(logit=700.0, r=0.0)
@example(logit=-700.0, r=1.0)
@example(logit=700.0, r=1.0)
def test_the_stable_loss_is_exact_where_sigma_saturates(logit, r):
    form = open_form({**ZEROS[1], "b_z": logit}, 0.0, 0.0, r, stable=True)
    form.E.backward()
    with mp.workdps(700):
        r = mp.mpf(r)
        z, not_z = 1 / (1 + mp.exp(-mp.mpf(logit))), 1 / (1 + mp.exp(mp.mpf(logit)))
        loss, slope = -r * mp.log(z) - (1 - r) * mp.log(not_z), not_z * -r + z * (1 - r)
        assert close(form.E.data, float(loss), 1e-14)
        assert math.isclose(form["b_z"].grad, slope, rel_tol=1e-13, abs_tol=1e-16 if 0 < r < 1 else 1e-320)


@given(case=networks())
def test_both_losses_are_one_where_sigma_does_not_saturate(case):
    pattern = (1.0, 0.0, 1.0)
    assert close(open_form(case[1], *pattern).E.data, open_form(case[1], *pattern, stable=True).E.data, 1e-10)


def test_the_paper_s_loss_is_strict_where_sigma_saturates():
    with pytest.raises(ValueError, match=r"^log's operand must be greater than 0, got log\(.*0\.0\)\. \S"):
        open_form({**ZEROS[1], "b_z": 800.0}, 0.0, 0.0, 1.0)


# --- the facts of the paper file ------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ZEROS)
def test_at_zero_the_loss_is_ln_2_and_the_gradient_0(hidden):
    weights = {name: Value(w, label=name) for name, w in ZEROS[hidden].items()}
    loss = mean_loss(weights)
    loss.backward()
    assert loss.data == math.log(2.0)
    assert {w.grad for w in weights.values()} == {0.0}


@pytest.mark.parametrize("hidden", ZEROS)
def test_at_zero_the_hessian_has_one_eigenvalue(hidden):
    weights = {name: Value(w, label=name) for name, w in ZEROS[hidden].items()}
    matrix = np.array([[d.data for d in row] for row in hessian(mean_loss(weights), weights.values())])
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert np.array_equal(matrix, matrix.T)
    assert np.allclose(eigenvalues, [0.0] * (4 * hidden) + [0.25 * (1.0 + hidden / 4.0)], rtol=0.0, atol=1e-15)


def test_the_printed_weights_solve_xor():
    forms = [open_form(PAPER_WEIGHTS.names(), *pattern) for pattern in PATTERNS]
    assert [round(form.z.data, 8) for form in forms] == [0.00115217, 0.99913532, 0.99914375, 0.00102255]
    assert abs(sum(form.E.data for form in forms) / 4 - 0.00097439) < 1e-8


# --- the form itself ------------------------------------------------------------------------------


def test_nodes_bear_the_paper_s_names():
    form = open_form(PAPER_WEIGHTS.names(), 0.0, 1.0, 1.0)
    names = ["x1", "x2", "r", *parameter_names(2), "h1_bar", "h1", "h2_bar", "h2", "z_bar", "z", "E"]
    assert list(form.nodes()) == names
    assert [node.label for node in form.nodes().values()] == names
    assert form["h2_bar"] is form.h_bar[1]
    assert form["h1"] is form.h[0]
    assert form["E"] is form.E
    with pytest.raises(KeyError):
        form["h3"]


def test_values_are_shared_and_keep_their_labels():
    weights = {name: Value(0.5, label="mine" if name == "u1" else "") for name in parameter_names(2)}
    first, second = (open_form(weights, *pattern) for pattern in PATTERNS[:2])
    assert first["w11"] is second["w11"] is weights["w11"]
    assert (first["u1"].label, first["u2"].label) == ("mine", "u2")


@given(hidden=st.integers(1, 120))
def test_names_tell_the_number_of_hidden_units(hidden):
    names = parameter_names(hidden)
    assert len(set(names)) == 4 * hidden + 1
    assert hidden_units(names) == hidden


@pytest.mark.parametrize("hidden", [0, -1, 2.0, "2", None])
def test_hidden_units_must_be_a_whole_number(hidden):
    with pytest.raises(ValueError, match=r"^hidden must be a whole number of at least 1, got .*\. \S"):
        parameter_names(hidden)


@pytest.mark.parametrize(
    "names", [[], ["u1"], [*parameter_names(2), "u3"], parameter_names(2)[1:], [*parameter_names(1)[:-1], "c1"], [1, 2]]
)
def test_names_that_are_no_network_s_are_refused(names):
    with pytest.raises(ValueError, match=r"^The weights must be named .*, got .*\. \S"):
        open_form(dict.fromkeys(names, 0.0), 0.0, 0.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, Value(math.nan)])
@pytest.mark.parametrize("name", ["x1", "r", "w11"])
def test_leaves_must_be_finite(name, bad):
    case = {**ZEROS[2], "x1": 0.0, "x2": 0.0, "r": 0.0, name: bad}
    with pytest.raises(ValueError, match=rf"^{name} must be a finite number, got (nan|inf)\. \S"):
        recorded(case)


@pytest.mark.parametrize("r", [-0.5, 1.5, 2])
def test_the_target_is_a_probability(r):
    with pytest.raises(ValueError, match=r"^The target r must be between 0 and 1, got .*\. \S"):
        open_form(ZEROS[1], 0.0, 0.0, r)
