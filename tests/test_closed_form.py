"""The 25 partials of the paper: the engine, both ways, against the closed forms and against 50 digits."""

import re

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paper import close, leaves, partial, well_conditioned

from micrograd_xor import derivative
from micrograd_xor.xor import CLOSED_FORMS, COMPACT_FORMS, open_form

TWO = leaves(st.just(2))
ROWS = pytest.mark.parametrize("row", CLOSED_FORMS.values(), ids=CLOSED_FORMS)


def recorded(leaves):
    inputs = {name: leaves[name] for name in ("x1", "x2", "r")}
    return open_form({name: w for name, w in leaves.items() if name not in inputs}, **inputs)


def test_there_are_the_25_rows_of_the_paper():
    assert list(CLOSED_FORMS) == [f"L{i}" for i in range(1, 17)] + [f"T{i}" for i in range(1, 10)]
    assert len({(row.of, row.by) for row in CLOSED_FORMS.values()}) == 25
    assert all(id == row.id for id, row in {**CLOSED_FORMS, **COMPACT_FORMS}.items())


@ROWS
@settings(max_examples=25)
@given(case=TWO)
def test_the_engine_s_derivative_is_the_closed_form(row, case):
    assume(well_conditioned(case[1], 2))
    form = recorded(case[1])
    expected = row.function(form.numbers())
    assert close(derivative(form[row.of], form[row.by]).data, expected)


@ROWS
@settings(max_examples=25)
@given(case=TWO)
def test_the_reverse_sweep_is_the_closed_form(row, case):
    assume(well_conditioned(case[1], 2))
    form = recorded(case[1])
    form[row.of].backward()
    assert close(form[row.by].grad, row.function(form.numbers()))


@ROWS
@settings(max_examples=10)
@given(case=TWO)
def test_the_closed_form_is_the_derivative_at_50_digits(row, case):
    assume(well_conditioned(case[1], 2))
    assert close(row.function(recorded(case[1]).numbers()), partial(row.of, row.by, case[1], 2))


@ROWS
def test_the_text_says_what_the_function_does(row):
    said = sympy.sympify(re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", row.text))
    symbols = {name: sympy.Symbol(name) for name in ("z", "r", "u1", "u2", "h1", "h2", "x1", "x2")}
    assert sympy.simplify(said - row.function(symbols)) == 0


def test_names_that_a_row_does_not_use_are_let_pass():
    assert CLOSED_FORMS["L3"].function({"z": 0.75, "r": 1.0, "unknown": 0.0}) == -0.25
