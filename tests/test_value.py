"""Recording and the reverse sweep: operators, leaves and computed nodes, errors, nodes of one's own."""

import doctest
import gc
import math
import operator
import re
import struct
import sys
import weakref
from fractions import Fraction

import numpy as np
import pytest
from exact import slope
from hypothesis import example, given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, compiled, gradient, ops, topological_order
from micrograd_xor.table import TABLE
from micrograd_xor.testing import _record, graphs, operands

OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
}
EVERY_OPERATOR = pytest.mark.parametrize("name", OPERATORS)
NUMBERS = [3, True, 2.5, Fraction(1, 2), np.float64(2.5), np.float32(2.5), np.int64(3), np.bool_(True)]


def bits(node):
    """A node's row, number and partials to the last bit, the sign of a zero included."""
    return node.op, struct.pack("d", node.data), [struct.pack("d", d) for d in node.partials]


def leaves(*data):
    return tuple(map(Value, data))


# --- operators ----------------------------------------------------------------------------------


@EVERY_OPERATOR
@pytest.mark.parametrize("n", NUMBERS, ids=lambda n: f"{type(n).__name__}({n})")
def test_a_number_may_stand_on_either_side(name, n):
    f, x = OPERATORS[name], Value(1.5, label="x")
    n = np.int64(n) if isinstance(n, np.bool_) else n
    after, before = f(x, n), f(n, x)
    assert type(after) is type(before) is Value
    assert (after.data, before.data) == (f(1.5, float(n)), f(float(n), 1.5))
    assert (after.args, before.args) == ((x, float(n)), (float(n), x))
    assert after.partials[1] == before.partials[0] == 0.0


def test_an_array_holds_values():
    products = np.array([1.0, 2.0]) * Value(3.0)
    assert [type(p) for p in products] == [Value, Value]
    assert [p.data for p in products] == [3.0, 6.0]


@EVERY_OPERATOR
@given(st.data())
@settings(max_examples=50)
def test_an_inline_body_is_its_row(name, data):
    f, row = OPERATORS[name], TABLE[name]
    a, b = data.draw(operands(row, size=1e3 if name != "pow" else 30.0))
    x, y = leaves(a, b)
    assert bits(f(x, y)) == bits(row(x, y))
    assert bits(f(x, b)) == bits(row(x, b))
    assert bits(f(a, y)) == bits(row(a, y))
    assert f(x, b).args == (x, b)
    assert f(a, y).args == (a, y)
    if name not in ("div", "pow"):  # x/x and x**x have another domain
        assert bits(f(x, x)) == bits(row(x, x))


@EVERY_OPERATOR
@given(a=st.floats(0.125, 8.0), n=st.integers(-9, 9).filter(bool))
@settings(max_examples=50)
def test_an_inline_body_is_its_row_for_integers(name, a, n):
    f, row, x = OPERATORS[name], TABLE[name], Value(a)
    assert bits(f(x, n)) == bits(row(x, n))
    if name != "pow":
        assert bits(f(n, x)) == bits(row(n, x))


@given(a=st.floats(-100.0, 100.0), n=st.integers(1, 9))
@settings(max_examples=50)
def test_an_inline_whole_power_is_its_row(a, n):
    assert bits(Value(a) ** n) == bits(ops.pow(Value(a), n))


@given(st.floats(allow_nan=True))
@settings(max_examples=50)
def test_inline_neg_and_relu_are_their_rows(a):
    x = Value(a)
    assert bits(-x) == bits(ops.neg(x))
    if a == a:
        assert bits(x.relu()) == bits(ops.relu(x))


@given(st.floats(max_value=709.78, allow_nan=False))
@settings(max_examples=50)
def test_inline_exp_is_its_row(a):
    x = Value(a)
    assert bits(x.exp()) == bits(ops.exp(x))


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "relu"])
def test_a_method_is_its_row(name):
    x = Value(0.75)
    assert bits(getattr(x, name)()) == bits(TABLE[name](x))


def test_unary_operators():
    x = Value(-2.0)
    assert (+x) is x
    assert abs(x).op is ops.abs
    assert (abs(x).data, abs(x).partials) == (2.0, (-1.0,))


POWERS = [
    (0.0, 2, 0.0, 0.0),
    (0.0, 1, 0.0, 1.0),
    (0.0, 0.5, 0.0, math.inf),
    (-2.0, 3, -8.0, 12.0),
    (-2.0, -1, -0.5, -0.25),
]


@pytest.mark.parametrize(("base", "exponent", "value", "partial"), POWERS)
def test_a_power_of_zero_or_of_a_negative_number(base, exponent, value, partial):
    y = Value(base) ** exponent
    assert (y.data, y.partials[0]) == (value, partial)


def test_sum_starts_from_zero():
    terms = leaves(1.0, 2.0, 3.0)
    y = sum(terms)
    y.backward()
    assert y.data == 6.0
    assert [t.grad for t in terms] == [1.0, 1.0, 1.0]


# --- the reverse sweep --------------------------------------------------------------------------


def test_the_expression_of_micrograds_readme():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.data:.4f} {a.grad:.4f} {b.grad:.4f}" == "24.7041 138.8338 645.5773"


def test_an_operand_used_twice_gets_both_shares():
    [a] = leaves(3.0)
    for y, grad in [(a + a, 2.0), (a * a, 6.0), (a - a, 0.0), (a / a, 0.0), (ops.dot([a, a], [a, 2.0]), 8.0)]:
        a.grad = 0.0
        y.backward()
        assert a.grad == pytest.approx(grad, abs=1e-15)
    assert (a + a).args == (a, a)


def test_leaves_accumulate_and_computed_nodes_keep_the_last_sweep():
    x, y = leaves(2.0, 5.0)
    product = x * y
    double, square = product * 2, product**2
    double.backward()
    double.backward()
    assert (x.grad, y.grad, product.grad, double.grad) == (20.0, 8.0, 2.0, 1.0)
    square.backward()
    assert (x.grad, product.grad, square.grad) == (120.0, 20.0, 1.0)
    square.zero_grad()
    assert [node.grad for node in topological_order(square)] == [0.0] * 4
    assert double.grad == 1.0


def test_a_leaf_is_its_own_root():
    [x] = leaves(2.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0


@pytest.mark.parametrize("row", [*TABLE.values()], ids=str)
def test_the_partial_by_a_constant_is_0(row):
    x = Value(0.375, label="x")
    width = row.arity or 4
    for place in range(width):
        node = row(*[x if i == place else 0.75 for i in range(width)])
        assert [d for arg, d in zip(node.args, node.partials, strict=True) if arg is not x] == [0.0] * (width - 1)


def test_partials_are_those_of_the_recording():
    [x] = leaves(3.0)
    y = x * x
    x.data = 100.0
    y.backward()
    assert (x.data, y.data, x.grad) == (100.0, 9.0, 6.0)


TWICE = (ops.add, [0, 0])
STEPS = [TWICE, TWICE, (ops.add, [0, 3]), TWICE, TWICE, (ops.mul, [0, 42]), TWICE, (ops.where, [0, 0, 1])]


@given(graphs())
@example(_record([0.0] * 3, STEPS))  # its `where` was at 0, and both choices too
@settings(max_examples=40)
def test_random_graphs_have_the_exact_gradient(graph):
    graph.output.backward()
    for i, x in enumerate(graph.inputs):
        exact = float(slope(graph, [leaf.data for leaf in graph.inputs], i))
        assert x.grad == pytest.approx(exact, rel=1e-10, abs=1e-10 * size_of_paths(graph.output, x))


def size_of_paths(output, x):
    """The sum over the paths from output to x of |product of partials|: what a cancelling sum is measured by."""
    size = dict.fromkeys(topological_order(output), 0.0) | {output: 1.0}
    for node in reversed(size):
        for operand, partial in zip(node._children, node._local_grads, strict=True):
            size[operand] += size[node] * abs(partial)
    return size.get(x, 0.0)


@given(graphs())
@settings(max_examples=30)
def test_a_second_sweep_doubles_the_leaves_and_nothing_else(graph):
    graph.output.backward()
    once = {node: node.grad for node in topological_order(graph.output)}
    graph.output.backward()
    for node, grad in once.items():
        assert node.grad == (grad if node.op else pytest.approx(2 * grad, rel=1e-12, abs=1e-12))


@given(graphs())
@settings(max_examples=30)
def test_topological_order_has_operands_first_each_once_root_last(graph):
    order = topological_order(graph.output)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order)
    assert order[-1] is graph.output
    assert all(place[x] < place[node] for node in order for x in node._children)


def test_topological_order_of_several_roots():
    x, y = leaves(1.0, 2.0)
    a, b = x + y, x * y
    assert topological_order(a, b) == [x, y, a, b]
    assert topological_order(b, a, b) == [x, y, b, a]
    assert topological_order() == []


def test_a_chain_of_100_000_operations_sweeps_and_is_freed():
    [x] = leaves(1.0)
    y = x
    for _ in range(50_000):
        y = y * 1.0 + x
    y.backward()
    assert (y.data, x.grad, len(topological_order(y))) == (50_001.0, 50_001.0, 100_001)
    y.zero_grad()
    assert x.grad == 0.0


def test_a_wide_sum_sweeps():
    terms = leaves(*range(10_000))
    y = ops.total(terms)
    y.backward()
    assert (y.data, len(y.args)) == (49_995_000.0, 10_000)
    assert {t.grad for t in terms} == {1.0}


# --- nodes of one's own: micrograd's lectures, microgpt -----------------------------------------


def lecture_tanh(x):
    t = math.tanh(x.data)
    out = Value(t, (x,), "tanh")

    def _backward():
        x.grad += (1 - t**2) * out.grad

    out._backward = _backward
    return out


def test_an_operation_by_its_own_backward():
    x, w = leaves(0.5, -3.0)
    hidden = lecture_tanh(x * w)
    y = hidden * hidden + x
    expected = (2 * math.tanh(-1.5) * (1 - math.tanh(-1.5) ** 2) * -3.0) + 1.0
    y.backward()
    assert x.grad == pytest.approx(expected, rel=1e-15)
    y.backward()
    assert x.grad == pytest.approx(2 * expected, rel=1e-15)
    assert (hidden.op, hidden._op, hidden._prev) == (None, "tanh", {hidden.args[0]})


def test_an_operation_by_its_local_grads_as_microgpt_says_it():
    a, b = leaves(3.0, 4.0)
    for product in (
        Value(12.0, (a, b), (4.0, 3.0)),
        Value(12.0, children=(a, b), local_grads=(4.0, 3.0)),
        Value(12.0, [a, b], local_grads=[4.0, 3.0]),
    ):
        a.grad = b.grad = 0.0
        (product * 2).backward()
        assert (a.grad, b.grad, product.grad) == (8.0, 6.0, 2.0)
        assert (product._children, product._local_grads, product._op) == ((a, b), (4.0, 3.0), "")


def test_the_surface_that_scripts_read():
    [x] = leaves(3.0)
    y = x * x + 2
    square = y.args[0]
    assert (x._op, x._prev, x._children, x._local_grads) == ("", set(), (), ())
    assert (y._op, y._prev, y._children, y._local_grads) == ("+", {square}, (square,), (1.0,))
    assert (square._op, square._prev, square._children, square._local_grads) == ("*", {x}, (x, x), (3.0, 3.0))
    assert (x.op, x.args, x.partials) == (None, (), ())


def test_backward_of_one_node_hands_down_its_adjoint():
    x, y = leaves(2.0, 5.0)
    product = x * y
    product.grad = 10.0
    product._backward()
    assert (x.grad, y.grad) == (50.0, 20.0)


def test_any_attribute_can_be_given():
    [x] = leaves(1.0)
    x.velocity = 0.5
    assert x.velocity == 0.5
    with pytest.raises(AttributeError):
        x.momentum


def test_a_backward_that_raises_leaves_the_graph_in_order():
    x, y = leaves(2.0, 5.0)
    own = Value(2.0, (x,), "own")
    out = own * y + own

    def fail():
        raise RuntimeError("no")

    own._backward = fail
    with pytest.raises(RuntimeError, match="no"):
        out.backward()
    own._backward = lambda: setattr(x, "grad", x.grad + own.grad)
    x.grad = y.grad = 0.0
    out.backward()
    assert (x.grad, y.grad, own.grad) == (6.0, 2.0, 6.0)


@pytest.mark.skipif(compiled, reason="a compiled sweep calls nothing that a test could interrupt")
def test_an_interrupted_sweep_leaves_the_graph_in_order(monkeypatch):
    [x] = leaves(2.0)
    square = x * x
    out = ops.total([square, square]) * square

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("micrograd_xor.value._hand_wide", interrupt)
        with pytest.raises(KeyboardInterrupt):
            out.backward()
    x.grad = 0.0
    out.backward()
    assert x.grad == 8 * 2.0**3


def test_a_backward_may_sweep_another_graph():
    x, y = leaves(2.0, 5.0)
    out = Value(2.0, (x,), "own")
    out._backward = (y * y).backward
    (out + y).backward()
    assert y.grad == 11.0


# --- identity, text, state ----------------------------------------------------------------------


def test_equality_and_hash_are_identity():
    a, b = leaves(1.0, 1.0)
    assert a != b
    assert a == a
    assert a != 1.0
    assert len({a, b, a}) == 2
    assert isinstance(a, Value)


def test_repr():
    assert repr(Value(1)) == "Value(data=1.0, grad=0.0)"
    assert repr(Value(0.1, label="w11")) == "Value(data=0.1, grad=0.0, label='w11')"
    assert Value(2.0, (), "", "b").label == "b"


def test_data_grad_and_label_can_be_assigned():
    [x] = leaves(1.0)
    x.data, x.grad, x.label = 2, np.float64(3), "x"
    assert (x.data, x.grad, x.label) == (2.0, 3.0, "x")
    assert type(x.data) is type(x.grad) is float


# --- errors -------------------------------------------------------------------------------------

NOT_NUMBERS = ["a", None, [1], 1j, np.array([1], dtype=object), np.array(2.0), object, b"1"]


@pytest.mark.parametrize("wrong", NOT_NUMBERS, ids=repr)
def test_data_must_be_a_number(wrong):
    text = r"must be a real number or a Value, got .*\. Convert it with float\(\) first\."
    with pytest.raises(TypeError, match="Value's data " + text):
        Value(wrong)
    [x] = leaves(1.0)
    with pytest.raises(TypeError, match="Value's data " + text):
        x.data = wrong
    with pytest.raises(TypeError, match="Value's grad " + text):
        x.grad = wrong
    assert (x.data, x.grad) == (1.0, 0.0)


@EVERY_OPERATOR
@pytest.mark.parametrize("foreign", ["a", None, [1], 1j, pytest.param(object(), id="object")], ids=repr)
def test_an_operator_leaves_a_foreign_operand_to_python(name, foreign):
    for x, y in ((Value(1.0), foreign), (foreign, Value(1.0))):
        with pytest.raises(TypeError, match=r"unsupported operand|can't multiply|can only concatenate"):
            OPERATORS[name](x, y)


def test_an_integer_must_fit():
    with pytest.raises(OverflowError, match=r"Value's data must fit in a float64, got a larger int\. Scale it down\."):
        Value(10**400)


@pytest.mark.parametrize("question", ["bool(v)", "v < 1", "v <= v", "1 > v", "v >= 1", "max(v, 2)", "[] or (v and 1)"])
def test_a_condition_on_a_value_is_an_error(question):
    v = Value(1.0, label="v")
    with pytest.raises(TypeError, match=r"A condition must be asked of a number, got .*\. Ask \.data, or use where"):
        eval(question, {"v": v})
    with pytest.raises(TypeError):
        assert np.float64(1.0) < v


RECORDINGS = [
    (lambda x: x.log(), 0.0, ValueError, "log's operand must be greater than 0, got log(x = 0.0). Keep it"),
    (lambda x: x.exp(), 1e3, OverflowError, "exp's operand must be at most 709.782712893384, got exp(x = 1000.0)."),
    (lambda x: 1 / x, 0.0, ZeroDivisionError, "div's right operand must be other than 0, got div(1, x = 0.0)."),
    (lambda x: x / 0, 1.0, ZeroDivisionError, "div's right operand must be other than 0, got div(x = 1.0, 0)."),
    (lambda x: Value(1.0) / x, 0.0, ZeroDivisionError, "got div(1.0, x = 0.0)."),
    (lambda x: x ** (1 / 3), -8.0, ValueError, "pow's left operand must be greater than 0, got pow(x = -8.0, 0.3333"),
    (lambda x: x**3, 1e200, OverflowError, "pow's result must be a number that fits in a float64, got pow(x = 1e+200"),
    (lambda x: x**-1, 0.0, ZeroDivisionError, "pow's left operand must be greater than 0, got pow(x = 0.0, -1)."),
    (lambda x: 10.0**x, 400.0, OverflowError, "got pow(10.0, x = 400.0). A negative base takes whole, constant exp"),
    (lambda x: (-2.0) ** x, 2.0, ValueError, "pow's left operand must be greater than 0, got pow(-2.0, x = 2.0)."),
]


@pytest.mark.parametrize(("record", "at", "kind", "text"), RECORDINGS)
def test_an_error_names_operation_label_and_value(record, at, kind, text):
    with pytest.raises(kind, match=re.escape(text)) as raised:
        record(Value(at, label="x"))
    assert raised.value.__suppress_context__


def test_a_label_must_be_text():
    with pytest.raises(TypeError, match=r"Value's label must be a str, got 3\. Name it as you would on paper\."):
        Value(1.0, label=3)


def test_children_and_local_grads_must_fit():
    [x] = leaves(1.0)
    with pytest.raises(
        TypeError, match=r"Value's children must be Values, got 2\.0\. Wrap a constant in Value first\."
    ):
        Value(1.0, (x, 2.0), "own")
    with pytest.raises(ValueError, match=r"Value's local_grads must be one a child, got 2 for 1\."):
        Value(1.0, (x,), (1.0, 2.0))
    with pytest.raises(TypeError, match="A local grad must be a real number"):
        Value(1.0, (x,), ("a",))


@pytest.mark.parametrize("name", ["op", "args", "partials", "_op", "_children", "_prev", "_local_grads"])
def test_what_was_recorded_cannot_be_assigned(name):
    with pytest.raises(AttributeError):
        setattr(Value(1.0) * 2, name, None)


def test_a_power_of_zero_is_flat_at_zero_too():
    x = Value(0.0)
    assert (x**0).partials[0] == 0.0
    slope = x**2
    for expected in (0.0, 2.0, 0.0):
        [slope] = gradient(slope, [x])
        assert slope.data == expected


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (lambda x: x + 10**400, "must fit in a float64"),
        (lambda x: 10**400 * x, "must fit in a float64"),
        (lambda x: (x * -1e200) ** 3, "result must be a number that fits"),
        (lambda x: (x * 1e-200) ** -1, "result must be a number that fits"),
    ],
)
def test_what_overflows_says_so(operation, text):
    with pytest.raises(OverflowError, match=text):
        operation(Value(1.0))


def test_collected_nodes_do_not_come_back():
    def in_a_cycle():
        v = Value(2.0, label="v")
        v.me = v

    for _ in range(1000):
        in_a_cycle()
    gc.collect()
    gc.collect()
    assert [(Value(1.0) * 2.0).data for _ in range(3000)] == [2.0] * 3000


def test_the_docstrings_print_what_they_say():
    """pytest would import the source beside the compiled module, and find them to differ."""
    done = doctest.testmod(sys.modules[Value.__module__])
    assert done.attempted > 5
    assert done.failed == 0


@pytest.mark.parametrize("operands", [(Value(1.0), 2.0, 3.0), (1.0, 2.0, 3.0)], ids=["recorded", "on numbers"])
def test_dot_refuses_an_odd_number_of_factors(operands):
    with pytest.raises(TypeError, match=r"dot must take as many left as right factors, got 3 operands\. Call dot"):
        ops.inner_product(*operands)


def wide_node(x):
    return ops.dot([x, x], [2.0, 3.0])


def node_of_ones_own(x):
    return Value(1.0, (x, x, x), "own")


@pytest.mark.parametrize("kind", [wide_node, node_of_ones_own])
def test_a_wide_node_that_comes_to_hold_itself_is_collected(kind):
    class Sentinel:
        pass

    x = Value(1.0, label="x")
    out = kind(x)
    x.user, out.sentinel = out, Sentinel()
    gone = weakref.ref(out.sentinel)
    del x, out
    gc.collect()
    assert gone() is None
