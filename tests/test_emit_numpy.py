"""The numpy backend and its source: the engine's numbers from any namespace, whatever the blocks."""

import importlib
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, emit_numpy, ops
from micrograd_xor.emit_numpy import Kernel, source
from micrograd_xor.table import TABLE
from micrograd_xor.tape import Tape
from micrograd_xor.testing import graphs, operands

few = settings(max_examples=40)
NAMESPACES = ("numpy", "jax.numpy", "torch", "dask.array")


def function(tape: Tape):
    namespace = {}
    exec(source(tape, "f"), namespace)
    return lambda xp, *columns: namespace["f"](xp, *columns)


def of_row(op, count: int) -> Tape:
    inputs = [Value(math.nan) for _ in range(count)]
    return Tape.of([op(*inputs)], inputs)


def quietly(run):
    with np.errstate(all="ignore"):
        return run()


@few
@given(graphs())
def test_values_and_gradients_are_the_engines(graph):
    tape = Tape.of([graph.output], graph.inputs)
    columns = [np.full(3, x.data) for x in graph.inputs]
    expected = [*tape.run(*[x.data for x in graph.inputs])]
    graph.output.backward()
    expected += [x.grad for x in graph.inputs]
    found = [*function(tape)(np, *columns), *function(tape.gradient())(np, *columns)]
    for numbers, number in zip(found, expected, strict=True):
        assert np.broadcast_to(numbers, 3) == pytest.approx([number] * 3, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
@settings(max_examples=8)
@given(data=st.data())
def test_every_row_has_its_value(op, data):
    points = data.draw(
        st.lists(operands(op), min_size=1, max_size=20).map(lambda xs: [x for x in xs if len(x) == len(xs[0])])
    )
    found = quietly(lambda: function(of_row(op, len(points[0])))(np, *np.array(points).T)[0])
    exact = [op(*x) for x in points]
    assert np.broadcast_to(found, len(points)) == pytest.approx(exact, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
def test_nan_reaches_the_result_where_it_does_on_floats(op):
    count = op.arity or 4
    found = function(of_row(op, count))(np, *[np.array([math.nan])] * count)[0]
    assert np.isnan(found).all() == math.isnan(op(*[math.nan] * count))


def test_erf_is_within_2_ulp():
    x = np.concatenate([np.linspace(-7, 7, 4001), np.logspace(-300, 0, 100), [0.0, -0.0, np.inf, -np.inf]])
    found = quietly(lambda: function(of_row(ops.erf, 1))(np, x)[0])
    exact = np.array([float(mpmath.erf(mpmath.mpf(v))) for v in x])
    assert np.all(np.abs(found - exact) <= 2 * np.spacing(np.abs(exact)))


def test_outside_the_domain_ieee_754_rules():
    [found] = quietly(lambda: function(of_row(ops.log, 1))(np, np.array([0.0, -1.0])))
    assert found == pytest.approx([-math.inf, math.nan], nan_ok=True)


def test_a_step_of_constants_that_would_raise_in_python_is_infinite():
    tape = Tape.trace(lambda x: [x + x.recorder.register(1.0) / 0.0], ["x"])
    assert quietly(lambda: function(tape)(np, np.ones(2)))[0].tolist() == [math.inf] * 2


def test_the_source_holds_no_text_of_others():
    x = Value(2.0, label="x\n    import os  # '''")
    [result] = function(Tape.of([x * x], [x]))(np, 3.0)
    assert result == 9.0


@pytest.mark.parametrize("name", NAMESPACES)
def test_the_source_runs_on_any_namespace(name):
    pytest.importorskip(name.split(".")[0])
    xp = importlib.import_module(name)
    x, y = Value(math.nan, label="x"), Value(math.nan, label="y")
    formula = ops.erf(x * y) + ops.softplus(x).log() * ops.maximum(x, y) + ops.relu(x) * x.sigmoid() - ops.abs(y) ** 3
    formula = (
        formula + ops.where(ops.step(x), ops.sin(y), ops.expm1(y)) + ops.maximum(y, 0.25) + ops.sqrt(2.0 + x.tanh())
    )
    numbers = np.linspace(-2.0, 2.0, 17), np.linspace(0.3, -1.4, 17)
    as_array = xp.asarray if hasattr(xp, "asarray") else xp.array
    tape = Tape.of([formula], [x, y])
    for derived in (tape, tape.gradient()):
        found = function(derived)(xp, *map(as_array, numbers))
        exact = [derived.run(*map(float, point)) for point in zip(*numbers, strict=True)]
        assert np.stack([np.asarray(column) for column in found]) == pytest.approx(np.array(exact).T, rel=1e-6)


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize("sets", [1, 2])
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_blocks_do_not_show(monkeypatch, block, sets, reduce):
    monkeypatch.setattr(emit_numpy, "_BLOCK", block)
    w, x = Value(math.nan, label="w"), Value(math.nan, label="x")
    tape = Tape.of([w * x, w + 1.0, w * 0.0 + 7.0], [w, x])
    theta, column = np.arange(2.0, 2.0 + sets)[:, None], np.arange(7.0)
    every = np.stack([theta * column, theta + 1.0 + 0.0 * column, 0.0 * theta * column + 7.0], axis=-1)
    expected = {None: every, "sum": every.sum(axis=1), "mean": every.mean(axis=1)}[reduce]
    first, others = np.full_like(expected[..., :1], np.nan), np.full_like(expected[..., 1:], np.nan)
    Kernel(tape, 1).bind(theta, (column,), (first, others), reduce)()
    assert np.concatenate([first, others], axis=-1) == pytest.approx(expected)


def test_a_large_graph_is_a_function_too():
    x = y = Value(0.5, label="x")
    for _ in range(5_000):
        y = ops.sin(y * 1.7)
    [found] = function(Tape.of([y], [x]))(np, np.array([0.5]))
    assert found == pytest.approx([y.data], rel=1e-9)
