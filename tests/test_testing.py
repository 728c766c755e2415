"""The strategies give what they promise; the checks find a wrong gradient and pass a right one."""

import math
import re

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, ops, topological_order
from micrograd_xor.table import TABLE, Domain, Op
from micrograd_xor.testing import CONSTANTS, _record, check_gradient, graphs, operands, taylor_order

EVERY_ROW = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
SEARCH = settings(max_examples=2000, database=None, derandomize=True, phases=[Phase.generate])


# --- strategies ---------------------------------------------------------------------------------


@EVERY_ROW
@given(st.data())
@settings(max_examples=10)
def test_operands_lie_in_the_domain_and_give_finite_numbers(row, data):
    at = data.draw(operands(row, size=50.0))
    out = row(*at)
    assert len(at) == row.arity or (row.arity is None and len(at) in (2, 4))
    assert all(domain.contains(x) for x, domain in zip(at, row.domain, strict=False))
    assert all(abs(x) <= 50.0 for x in at)
    assert all(map(math.isfinite, [out, *(row.partial(i, at, out) for i in range(len(at)))]))


@pytest.mark.parametrize(
    ("row", "edge"),
    [(ops.relu, 0.0), (ops.exp, -100.0), (ops.sin, 5e-324), (ops.arctan, 100.0), (ops.sqrt, 100.0), (ops.tanh, 1e-5)],
    ids=str,
)
def test_operands_include_the_edges(row, edge):
    find(operands(row), lambda at: at[0] == edge, settings=SEARCH)


@pytest.fixture(scope="module")
def gap():
    domain = (Domain("other than 0", hole=0.0), Domain("between 0 and 1", low=0.0, high=1.0, closed=False))
    yield Op("gap", "gap", lambda x, y: x + y, (lambda *_: 1.0,) * 2, domain)
    del TABLE["gap"]


@given(data=st.data())
@settings(max_examples=60)
def test_operands_leave_out_a_hole_and_an_open_edge(gap, data):
    x, y = data.draw(operands(gap))
    assert x != 0.0
    assert 0.0 < y < 1.0


@pytest.mark.parametrize("wrong", ["sin", math.sin, None], ids=repr)
def test_operands_and_graphs_take_rows(wrong):
    with pytest.raises(TypeError, match=r"op must be a row of the table, got .*\. Take one from micrograd_xor\.ops\."):
        operands(wrong)
    with pytest.raises(TypeError, match=r"rows must hold rows of the table, got .*\. Take them from"):
        graphs([ops.sin, wrong])


@pytest.mark.parametrize("size", [0.0, -1.0, math.inf, math.nan])
def test_operands_have_a_finite_size(size):
    with pytest.raises(ValueError, match=f"size must be positive and finite, got {size!r}"):
        operands(ops.sin, size=size)


@pytest.mark.parametrize(
    ("counts", "thing"), [({"rows": []}, "rows"), ({"inputs": 0}, "inputs"), ({"size": 0}, "size")]
)
def test_graphs_have_a_leaf_and_a_row(counts, thing):
    with pytest.raises(ValueError, match=f"{thing} must be at least 1, got 0"):
        graphs(**counts)


@EVERY_ROW
def test_every_row_appears_in_graphs(row):
    graph = find(graphs([row, ops.add], size=4), lambda g: row in {step for step, _ in g.steps}, settings=SEARCH)
    assert row in {node.op for node in [*topological_order(graph.output), *replayed(graph)]}


def replayed(graph):
    """Every node of the steps, also those that the output does not need."""
    registers = [*graph.inputs, *CONSTANTS]
    for row, reads in graph.steps:
        registers.append(row(*(registers[i] for i in reads)))
    return [x for x in registers if isinstance(x, Value)]


@given(graphs(inputs=2, size=5))
@settings(max_examples=50)
def test_a_graph_is_what_it_says(graph):
    assert 1 <= len(graph.inputs) <= 2
    assert len(graph.steps) <= 5
    assert [x.label for x in graph.inputs] == ["x1", "x2"][: len(graph.inputs)]
    assert graph(*graph.inputs).data == graph.output.data
    assert graph(*(x.data for x in graph.inputs)) == graph.output.data
    names = {row.name: row for row, _ in graph.steps} | {x.label: x.data for x in graph.inputs}
    assert run(repr(graph), names) == graph.output.data


def run(text, names):
    """A graph's repr is a program: `Graph: x1 = 0.5; v1 = sin(x1)`."""
    statements = [s.split(" = ") for s in re.split("; ", text.removeprefix("Graph: "))[1:]]
    result = names["x1"]
    for name, call in statements:
        result = names[name] = eval(call, dict(names))
    return result


@given(graphs() | graphs([ops.sub, ops.sin]))
@settings(max_examples=60)
def test_graphs_are_well_conditioned(graph):
    for node in topological_order(graph.output):
        assert all(d == 0.0 or 1e-3 <= abs(d) <= 1e3 for d in node.partials)
        for x, d in zip(node.args, node.partials, strict=True):
            assert abs(d * getattr(x, "data", x)) <= 100.0 * abs(node.data)


@given(graphs())
@settings(max_examples=40)
def test_graphs_stay_away_from_kinks(graph):
    for node in topological_order(graph.output):
        numbers = [getattr(x, "data", x) for x in node.args]
        if node.op in (ops.relu, ops.abs, ops.sign, ops.step):
            assert abs(numbers[0]) >= 0.009
        if node.op is ops.where and isinstance(node.args[0], Value):
            assert abs(numbers[0]) >= 0.009
        if node.op in (ops.maximum, ops.minimum) and node.args[0] is not node.args[1]:
            assert abs(numbers[0] - numbers[1]) >= 0.009 or numbers[0] == numbers[1] == numbers[0]


@pytest.mark.parametrize("row", [ops.relu, ops.abs, ops.sign, ops.step, ops.where], ids=str)
@pytest.mark.parametrize("x", [-0.0078125, 0.0, 5e-324, 0.0078125])
def test_no_graph_has_a_step_this_near_to_a_kink(row, x):
    x1, constants = len(CONSTANTS), range(row.arity - 1)
    assert not _record([x], [(row, (x1, *constants))]).steps
    assert not _record([x], [(row, (x1, *[0] * (row.arity - 1)))]).steps
    assert _record([0.5], [(row, (x1, *constants))]).steps


# --- checks -------------------------------------------------------------------------------------


def own(value, slope):
    """An operation of one's own, with the slope it claims."""

    def record(x):
        return Value(value(x.data), (x,), (slope(x.data),))

    return record


wrong_square = own(lambda x: x * x, lambda x: x)
right_square = own(lambda x: x * x, lambda x: 2 * x)
RIGHT = [
    (lambda x, y: x * y.sigmoid() + x**3, (3.0, -1.0)),
    (lambda x, y: right_square(x) * y, (3.0, -1.0)),
    (lambda x: ops.log(x), (1e-5,)),
    (lambda x: 1 / x, (0.25,)),
    (lambda x: ops.exp(x), (700.0,)),
    (lambda x: x * 1e-9, (1.0,)),
    (lambda x: (1e8 + x) - 1e8, (1.0,)),
    (lambda *xs: ops.dot(xs, xs), (1.0, 2.0, 3.0)),
    (lambda x, y: ops.where(x - y, x, y) * x, (3.0, 1.0)),
]
WRONG = [
    (lambda x, y: x + wrong_square(y), (3.0, -1.0), "∂f/∂y at x = 3.0, y = -1.0 must be -2.0"),
    (lambda a, b: a * b.data, (3.0, 2.0), "∂f/∂b at a = 3.0, b = 2.0 must be 3.0"),
    (lambda *xs: wrong_square(xs[1]) * xs[0], (3.0, 2.0), "∂f/∂x2 at x1 = 3.0, x2 = 2.0 must be 12.0"),
    (lambda x: own(math.sin, lambda t: math.cos(t) * (1 + 1e-4))(x) * 2.0, (1.0,), "∂f/∂x at x = 1.0 must be 1.08060"),
]


@pytest.mark.parametrize(("formula", "at"), RIGHT)
def test_a_right_gradient_passes(formula, at):
    check_gradient(formula, *at)
    assert taylor_order(formula, *at) > 1.9


@pytest.mark.parametrize(("formula", "at", "text"), WRONG)
def test_a_wrong_gradient_is_named_with_its_place_and_its_numeric_side(formula, at, text):
    with pytest.raises(AssertionError, match=rf"{re.escape(text)}.* \(numeric\), got .* \(backward\)\. "):
        check_gradient(formula, *at)
    assert taylor_order(formula, *at) == pytest.approx(1.0, abs=0.1)


def test_the_numeric_side_has_twelve_digits_where_nothing_rounds():
    check_gradient(lambda x: ops.sin(30.0 * x), 0.0, tolerance=1e-12)


@given(graphs())
@settings(max_examples=20)
def test_every_random_graph_passes(graph):
    check_gradient(graph, *(x.data for x in graph.inputs))


@given(graphs(size=4), st.sampled_from([0.5, -1.0, 1.001]))
@settings(max_examples=20)
def test_a_wrong_factor_anywhere_is_found(graph, factor):
    at = [x.data for x in graph.inputs]

    def wrong(*xs):
        out = graph(*xs)
        return own(math.sin, lambda t: factor * math.cos(t))(out) if isinstance(out, Value) else out

    graph.output.backward()
    if max(abs(x.grad) for x in graph.inputs) > 0.01 and abs(math.cos(graph.output.data)) > 0.1:
        with pytest.raises(AssertionError, match="numeric"):
            check_gradient(wrong, *at)


def test_the_row_to_blame_is_named():
    cube = Op("cube", "³", lambda x: x**3, (lambda x, _: x * x,))
    try:
        with pytest.raises(AssertionError, match=r"Look at <row cube>, partial 0: 27\.0 \(numeric\), got 9\.0\.$"):
            check_gradient(lambda x, y: cube(x) * y, 3.0, 2.0)
    finally:
        del TABLE["cube"]


def test_an_operation_of_ones_own_and_a_lost_operand_are_suspected():
    with pytest.raises(AssertionError, match=r"Look at your own operation '', whose result is 9\.0\."):
        check_gradient(wrong_square, 3.0)
    with pytest.raises(AssertionError, match=r"\(numeric\), got nan \(backward\)"):
        check_gradient(lambda x: ops.sqrt(x * x) * x, 0.0)
    with pytest.raises(AssertionError, match=r"Is a `\.data` on the way\?"):
        check_gradient(lambda x, y: x * y.data, 3.0, 2.0)


@pytest.mark.parametrize("at", [0.0, 0.01, -0.003, 1e-9])
def test_a_kink_takes_any_slope_between_its_sides(at):
    check_gradient(ops.relu, at)
    check_gradient(ops.abs, at)
    check_gradient(lambda x: ops.maximum(x, 0.0) * 3.0, at)


def test_a_slope_outside_of_a_kink_is_wrong():
    with pytest.raises(AssertionError, match=r"must be 0\.5 \(numeric\), got 1\.5"):
        check_gradient(own(lambda t: max(t, 0.0), lambda _: 1.5), 0.0)


def test_a_kink_has_no_taylor_order():
    with pytest.raises(ValueError, match=r"The formula must be smooth at x = 0\.0, got a kink\. Move the point away"):
        taylor_order(lambda x: x.relu(), 0.0)
    assert taylor_order(lambda x: x.relu() * x, 0.5) > 1.9


def test_taylor_order_looks_along_a_direction():
    def formula(x, y):
        return x * x + wrong_square(y)

    assert taylor_order(formula, 3.0, 2.0, along=[1.0, 0.0]) > 1.9
    assert taylor_order(formula, 3.0, 2.0, along=[0.0, 1.0]) < 1.1
    assert taylor_order(lambda x: 2.0 * x + 1.0, 3.0) == math.inf


@pytest.mark.parametrize("check", [check_gradient, taylor_order])
def test_a_check_needs_a_value_and_room_on_both_sides(check):
    with pytest.raises(TypeError, match=r"The formula must return a Value, got 3\.0\. Compute it from its operands\."):
        check(lambda x: x.data, 3.0)
    with pytest.raises(ValueError, match=r"The formula must be defined on both sides of the point\. sqrt's operand"):
        check(lambda x: ops.sqrt(x), 0.0)
