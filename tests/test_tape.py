"""Tapes: the same numbers as the graph, gradients that are exact at saturation, simplification that changes no bit."""

import json
import math
import pickle

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, ops
from micrograd_xor.gradient import gradient
from micrograd_xor.table import TABLE
from micrograd_xor.tape import Step, Tape
from micrograd_xor.testing import Graph, graphs, operands

EXACT = [TABLE[name] for name in ("add", "sub", "mul", "neg", "abs", "maximum", "minimum", "where", "step", "sign")]
EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, -2.5, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
BASIC = ("add", "sub", "mul", "div", "neg", "pow", "exp", "log", "log1p", "expm1", "sqrt", "step", "where", "abs")
BASIC += ("maximum", "minimum", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "erf")

few = settings(max_examples=40, deadline=None)


def same(a: float, b: float) -> bool:
    """The same float64: a zero's sign counts, a NaN is a NaN."""
    return a.hex() == b.hex()


def tape_of(graph: Graph) -> Tape:
    return Tape.of([graph.output], graph.inputs)


def at(graph: Graph) -> list[float]:
    return [x.data for x in graph.inputs]


def leaves(*names: str) -> list[Value]:
    return [Value(0.5, label=name) for name in names]


def unary(function) -> Tape:
    """The tape of a function of one Value, simplified; recorded at NaN, where every operation is defined."""
    x = Value(math.nan, label="x")
    return Tape.of([function(x)], [x]).simplified()


def rows(tape: Tape) -> list[str]:
    return [step.op.name for step in tape.steps]


# --- meaning ----------------------------------------------------------------------------------


@few
@given(graphs())
def test_a_tape_runs_to_the_bits_of_its_graph(graph):
    assert same(tape_of(graph).run(*at(graph))[0], graph.output.data)


@few
@given(graphs())
def test_a_tape_runs_on_values_and_so_records_the_graph(graph):
    [output] = tape_of(graph).run(*map(Value, at(graph)))
    assert isinstance(output, Value)
    assert same(output.data, graph.output.data)


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_row_is_a_step(op, data):
    xs = data.draw(operands(op))
    values = [Value(x) for x in xs]
    assert same(Tape.of([op(*values)], values).run(*xs)[0], op(*xs))


@few
@given(graphs())
def test_the_gradient_is_the_engines(graph):
    expected = [d.data for d in gradient(graph.output, graph.inputs)]
    assert tape_of(graph).gradient().run(*at(graph)) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@few
@given(graphs(size=5, inputs=2))
def test_a_gradient_has_a_gradient(graph):
    expected = [d.data for slope in gradient(graph.output, graph.inputs) for d in gradient(slope, graph.inputs)]
    assert tape_of(graph).gradient().gradient().run(*at(graph)) == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_a_gradient_by_name_has_zeros_where_nothing_depends():
    x, y, other = leaves("x", "y", "other")
    tape = Tape.of([x * y, x], [x, y, other])
    assert tape.gradient(["other", "x"]).run(2.0, 3.0, 9.0) == (0.0, 3.0, 0.0, 1.0)


@few
@given(graphs())
def test_lowering_keeps_the_meaning(graph):
    lowered = tape_of(graph).lowered(BASIC)
    assert {*rows(lowered)} <= {*BASIC}
    assert lowered.run(*at(graph))[0] == pytest.approx(graph.output.data, rel=1e-12, abs=1e-13)


def test_lowering_names_the_row_without_an_instruction():
    x = Value(1.0)
    with pytest.raises(TypeError, match="must be an instruction of the emitter, got sin"):
        Tape.of([ops.sin(x)], [x]).lowered(["add"])


def test_lowering_takes_the_emitters_expansion_before_the_tables():
    x = Value(1.0)
    lowered = Tape.of([ops.relu(x)], [x]).lowered(["mul", "step"], {"relu": lambda x: x * ops.step(x)})
    assert rows(lowered) == ["step", "mul"]


# --- simplification ---------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(graphs(EXACT), st.lists(st.one_of(st.sampled_from(EDGES), st.floats()), min_size=3, max_size=3))
def test_simplifying_arithmetic_changes_no_bit(graph, numbers):
    tape = tape_of(graph)
    numbers = numbers[: len(tape.inputs)]
    assert same(tape.simplified().run(*numbers)[0], tape.run(*numbers)[0])


@pytest.mark.parametrize("x", EDGES)
@pytest.mark.parametrize(
    "identity",
    [
        lambda x: x * 1.0,
        lambda x: -1.0 * x,
        lambda x: x / 1.0,
        lambda x: x / -1.0,
        lambda x: x + -0.0,
        lambda x: x - 0.0,
        lambda x: 2.0 - (-x),
        lambda x: 2.0 + (-x),
        lambda x: x**1.0,
        lambda x: ops.neg(-x),
        lambda x: (-x) * (-x),
        lambda x: (-x) / 3.0,
        lambda x: ops.abs(-x),
        lambda x: ops.abs(ops.abs(x)),
        lambda x: ops.maximum(x, x),
        lambda x: ops.where(1.0, x, 2.0),
        lambda x: ops.where(x, x, x),
    ],
)
def test_an_identity_holds_for_every_float64(identity, x):
    raw = Tape.of([identity(v := Value(math.nan))], [v])
    simplified = raw.simplified()
    assert rows(simplified) != rows(raw)
    assert same(simplified.run(x)[0], raw.run(x)[0])


@pytest.mark.parametrize("unsafe", [lambda x: x + 0.0, lambda x: x * 0.0, lambda x: x - x, lambda x: x / x])
def test_what_fails_for_a_zero_or_an_infinity_is_no_identity(unsafe):
    assert len(unary(unsafe).steps) == 1


def test_equal_steps_are_one_and_dead_steps_none():
    x, y = leaves("x", "y")
    tape = Tape.of([(x * y).exp() + (y * x).exp()], [x, y]).simplified()
    assert rows(tape) == ["mul", "exp", "add"]
    assert rows(tape.gradient(["x"])).count("exp") == 1


def test_constants_fold_except_where_that_would_raise():
    tape = Tape.trace(lambda x: [x * (x.recorder.register(2.0) * 3.0)], ["x"])
    assert (rows(tape), tape.constants) == (["mul"], (6.0,))
    bad = Tape.trace(lambda x: [x + x.recorder.register(1.0) / 0.0], ["x"])
    assert rows(bad) == ["div", "add"]
    with pytest.raises(ZeroDivisionError, match="div's right operand must be other than 0"):
        bad.run(1.0)


@pytest.mark.parametrize(
    ("textbook", "accurate"),
    [
        (lambda x: x.sigmoid().log(), ["log_sigmoid"]),
        (lambda x: (1.0 - x.sigmoid()).log(), ["neg", "log_sigmoid"]),
        (lambda x: (-x.sigmoid() + 1.0).log(), ["neg", "log_sigmoid"]),
        (lambda x: 1.0 - x.sigmoid(), ["neg", "sigmoid"]),
        (lambda x: x.exp() - 1.0, ["expm1"]),
        (lambda x: (1.0 + x).log(), ["log1p"]),
        (lambda x: (x.exp() + 1.0).log(), ["softplus"]),
        (lambda x: (-(x**2.0)).exp(), ["gaussian"]),
        (lambda x: (-x * x).exp(), ["gaussian"]),
        (lambda x: 1.0 / ops.sqrt(x), ["rsqrt"]),
    ],
)
def test_the_textbooks_expression_becomes_the_accurate_row(textbook, accurate):
    assert rows(unary(textbook)) == accurate


def test_one_minus_tanh_squared_is_exact_in_the_tails():
    tape = unary(lambda x: 1.0 - x.tanh() * x.tanh())
    assert tape.run(30.0)[0] == pytest.approx(float(mpmath.sech(30.0) ** 2), rel=1e-15)


def test_the_papers_loss_as_written_has_the_gradient_z_minus_r_even_where_z_saturates():
    z_bar, r = leaves("z_bar", "r")
    z = z_bar.sigmoid()
    tape = Tape.of([-r * z.log() - (1 - r) * (1 - z).log()], [z_bar, r])
    slope = tape.gradient(["z_bar"])
    with mpmath.workdps(700):
        for x in (-700.0, -40.0, -1.0, 0.0, 0.3, 40.0, 700.0):
            for target in (0.0, 1.0):
                exact = 1 / (1 + mpmath.exp(-mpmath.mpf(x))) - target
                loss = mpmath.log1p(mpmath.exp(-x if target else x))
                assert slope.run(x, target)[0] == pytest.approx(float(exact), rel=4e-16, abs=0.0)
                assert tape.simplified().run(x, target)[0] == pytest.approx(float(loss), rel=4e-16, abs=0.0)


@few
@given(graphs())
def test_simplifying_twice_is_simplifying_once(graph):
    once = tape_of(graph).simplified()
    assert len(once.simplified().steps) == len(once.steps)


def test_a_deep_graph_needs_no_recursion():
    x = y = Value(0.5, label="x")
    for _ in range(5_000):
        y = (y * 3.9).sigmoid()
    tape = Tape.of([y], [x])
    y.backward()
    assert tape.run(0.5)[0] == y.data
    assert tape.gradient().run(0.5)[0] == pytest.approx(x.grad, abs=1e-300)


def test_labels_survive_differentiation():
    [x] = leaves("x")
    h = x.exp()
    h.label = "h"
    assert "exp(r0)  # h" in str(Tape.of([h * h], [x]).gradient())


# --- saving -----------------------------------------------------------------------------------


@few
@given(graphs())
def test_json_and_pickle_give_the_same_tape(graph):
    tape = tape_of(graph).gradient()
    assert Tape.from_json(tape.to_json()) == tape == pickle.loads(pickle.dumps(tape))


def test_json_keeps_every_float_and_stays_json():
    tape = Tape((), (math.inf, -math.inf, -0.0, 0.1), (), (0, 1, 2, 3))
    strict = json.loads(tape.to_json(), parse_constant=pytest.fail)
    assert strict["version"] == 1
    assert list(map(float.hex, Tape.from_json(tape.to_json()).run())) == list(map(float.hex, tape.run()))
    assert math.isnan(Tape.from_json(Tape((), (math.nan,), (), (0,)).to_json()).run()[0])


SAVED = {
    "format": "micrograd_xor.tape",
    "version": 1,
    "inputs": ["x"],
    "constants": [2.0],
    "steps": [["mul", [0, 1], ""]],
    "outputs": [2],
}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"inputs": "x"},
        {"inputs": [3]},
        {"inputs": ["x", "x"]},
        {"constants": ["__import__('os')"]},
        {"constants": [[1.0]]},
        {"constants": [True]},
        {"steps": [["system", [0, 1], ""]]},
        {"steps": [[["mul"], [0, 1], ""]]},
        {"steps": [["mul", [0, 2], ""]]},
        {"steps": [["mul", [0, -1], ""]]},
        {"steps": [["mul", [0], ""]]},
        {"steps": [["mul", [0, 1.0], ""]]},
        {"steps": [["mul", [0, 1]]]},
        {"steps": [["mul", [0, 1], None]]},
        {"outputs": [3]},
        {"outputs": None},
    ],
)
def test_a_damaged_file_is_refused(change):
    assert Tape.from_json(json.dumps(SAVED)).run(3.0) == (6.0,)
    with pytest.raises(ValueError, match="A tape's JSON must be written by to_json of version 1"):
        Tape.from_json(json.dumps(SAVED | change))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "{", '"x"', "1"])
def test_what_is_no_tape_is_refused(text):
    with pytest.raises(ValueError, match="A tape's JSON must be written by to_json of version 1"):
        Tape.from_json(text)


# --- bad input --------------------------------------------------------------------------------


def test_inputs_must_be_leaves_with_different_names():
    x, y = leaves("x", "x")
    with pytest.raises(ValueError, match="inputs must have different names"):
        Tape.of([x + y], [x, y])
    with pytest.raises(ValueError, match="must be a leaf Value"):
        Tape.of([x + 1.0], [x + 1.0])
    with pytest.raises(ValueError, match="must be a leaf Value, got 3"):
        Tape.of([x + 1.0], [3.0])


def test_an_operation_of_the_users_own_is_refused():
    x = Value(2.0)
    own = Value(4.0, (x,), (4.0,))
    with pytest.raises(TypeError, match="A tape's operation must be a row of the table"):
        Tape.of([own * 2.0], [x])


def test_run_counts_its_operands():
    [x] = leaves("x")
    with pytest.raises(TypeError, match="must run on 1 inputs, got 2"):
        Tape.of([x + 1.0], [x]).run(1.0, 2.0)


def test_a_tape_that_exists_can_be_run():
    with pytest.raises(ValueError, match="must be one of the 1 written before it is read, got r1"):
        Tape(("x",), (), (Step(ops.exp, (1,)),), (1,))
    with pytest.raises(TypeError, match="mul must take 2 operands, got 1"):
        Tape(("x",), (), (Step(ops.mul, (0,)),), (1,))


def test_unlabelled_inputs_are_named_by_position():
    x, y = Value(1.0), Value(2.0, label="y")
    assert Tape.of([x * y], [x, y]).inputs == ("in_0", "y")
