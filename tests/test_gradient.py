"""Derivatives as graphs: against the reverse sweep, against each other, against mpmath."""

import math
import re
from itertools import chain

import pytest
from exact import Exact, mp
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, ops, topological_order
from micrograd_xor.gradient import derivative, gradient, hessian, hvp, jacobian, jvp, partials
from micrograd_xor.table import TABLE
from micrograd_xor.testing import graphs

SMOOTH = [row for row in TABLE.values() if row.arity == 1 and row.name not in ("step", "sign", "relu", "abs")]
FEW = settings(max_examples=30)
vectors = st.lists(st.floats(-4.0, 4.0, width=16), min_size=3, max_size=3)


def data(values):
    return [data(v) if isinstance(v, list) else v.data for v in values]


def flat(rows):
    return list(chain.from_iterable(rows))


def close(x, scale=1.0):
    return pytest.approx(x, rel=1e-9, abs=1e-9 * scale)


def largest(*values):
    """What rounding is relative to: where large terms cancel, a derivative of 0 comes out as 1e-16 of them."""
    return max(abs(node.data) for node in topological_order(*values))


# --- against the reverse sweep and mpmath -------------------------------------------------------


@given(graphs())
@settings(max_examples=60)
def test_gradient_is_what_backward_gives_at_every_node(graph):
    order = topological_order(graph.output)
    slopes = gradient(graph.output, order)
    assert all(node.grad == 0.0 for node in order)
    graph.output.backward()
    most = max(abs(node.grad) for node in order)
    assert data(slopes) == close([node.grad for node in order], most)


@pytest.mark.parametrize("row", SMOOTH, ids=repr)
@pytest.mark.parametrize("at", [0.375, 0.75])
def test_derivatives_to_the_fourth_order_are_those_of_mpmath(row, at):
    [x] = [Value(at)]
    node = row(x)
    for order in range(1, 5):
        node = derivative(node, x)
        exact = float(nth_derivative(row, at, order))
        assert node.data == pytest.approx(exact, rel=1e-12, abs=1e-12)


def nth_derivative(row, at, order):
    """By central differences at 700 digits, whose error is the square of the step."""
    h = mp.mpf(10) ** -40
    terms = ((-1) ** k * math.comb(order, k) * row(Exact(mp.mpf(at) + (order / 2 - k) * h)).x for k in range(order + 1))
    return mp.fsum(terms) / h**order


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
def test_second_derivatives_of_arithmetic(name):
    x, y = Value(1.5), Value(2.5)
    z = TABLE[name](x, y)
    xx = {"div": 0.0, "pow": 2.5 * 1.5 * 1.5**0.5}.get(name, 0.0)
    xy = {"mul": 1.0, "div": -1 / 2.5**2, "pow": 1.5**1.5 * (1 + 2.5 * math.log(1.5))}.get(name, 0.0)
    yy = {"div": 2 * 1.5 / 2.5**3, "pow": 1.5**2.5 * math.log(1.5) ** 2}.get(name, 0.0)
    assert flat(data(hessian(z, [x, y]))) == pytest.approx([xx, xy, xy, yy], rel=1e-14)


def test_the_third_derivative_of_a_cube_and_the_fourth():
    [x] = [Value(2.0)]
    y = x**3
    found = []
    for _ in range(4):
        y = derivative(y, x)
        found.append(y.data)
    assert found == [12.0, 12.0, 6.0, 0.0]


def test_the_chain_rule_holds_through_a_computed_node():
    x = Value(0.5)
    z_bar = x * 3.0 + 1.0
    z = z_bar.sigmoid()
    loss = -z.log()
    assert derivative(loss, x).data == close(
        derivative(loss, z).data * derivative(z, z_bar).data * derivative(z_bar, x).data
    )
    assert derivative(loss, z_bar).data == close(z.data - 1.0)
    assert derivative(z, z).data == 1.0


def test_a_reduction_differentiates_twice():
    x, y = Value(2.0), Value(3.0)
    z = ops.dot([x, y, x], [x, x, 5.0])
    assert data(gradient(z, [x, y])) == [2 * 2.0 + 3.0 + 5.0, 2.0]
    assert data(hessian(z, [x, y])) == [[2.0, 1.0], [1.0, 0.0]]
    assert data(hessian(ops.total([x * x, y * y, 1.0]), [x, y])) == [[2.0, 0.0], [0.0, 2.0]]


# --- laws ---------------------------------------------------------------------------------------


@given(graphs(size=6))
@FEW
def test_the_hessian_is_symmetric_and_is_the_jacobian_of_the_gradient(graph):
    rows = hessian(graph.output, graph.inputs)
    columns = [list(column) for column in zip(*rows, strict=True)]
    assert data(flat(rows)) == close(data(flat(columns)), largest(*flat(rows)))
    assert data(rows) == data(jacobian(gradient(graph.output, graph.inputs), graph.inputs))


@given(graphs(), vectors)
@FEW
def test_jvp_is_the_jacobian_times_the_vector(graph, vector):
    v = vector[: len(graph.inputs)]
    outputs = topological_order(graph.output)
    rows = jacobian(outputs, graph.inputs)
    assert data(jvp(outputs, graph.inputs, v)) == close(product(rows, v), largest(*flat(rows)) * max(map(abs, v)))


@given(graphs(size=6), vectors)
@FEW
def test_hvp_is_the_hessian_times_the_vector(graph, vector):
    v = vector[: len(graph.inputs)]
    rows = hessian(graph.output, graph.inputs)
    assert data(hvp(graph.output, graph.inputs, v)) == close(product(rows, v), largest(*flat(rows)) * max(map(abs, v)))


def product(rows, vector):
    return [math.fsum(d * t for d, t in zip(row, vector, strict=True)) for row in data(rows)]


@given(graphs(), st.floats(-4.0, 4.0, width=16), st.floats(-4.0, 4.0, width=16))
@FEW
def test_the_gradient_is_linear(graph, a, b):
    x = graph.inputs[0]
    f, g = graph.output, x * x
    [slope] = gradient(a * f + b * g, [x])
    [df], [dg] = gradient(f, [x]), gradient(g, [x])
    assert slope.data == close(a * df.data + b * dg.data, largest(slope))


@given(graphs())
@FEW
def test_the_chain_rule_holds_for_any_function_of_a_graph(graph):
    outer = ops.tanh(graph.output * 0.25)
    inner = gradient(graph.output, graph.inputs)
    slope = derivative(outer, graph.output).data
    expected = [slope * d for d in data(inner)]
    assert data(gradient(outer, graph.inputs)) == close(expected, abs(slope) * largest(*inner))


def test_tangents_may_be_values_and_be_differentiated():
    x, t = Value(3.0), Value(2.0)
    [change] = jvp([x * x], [x], [t])
    assert (change.data, derivative(change, t).data, derivative(change, x).data) == (12.0, 6.0, 4.0)


# --- what is asked by -----------------------------------------------------------------------------


def test_a_node_may_be_asked_by_itself_and_by_what_it_does_not_depend_on():
    x, y = Value(3.0), Value(5.0)
    z = x * x
    assert data(gradient(z, [z, y, x, x])) == [1.0, 0.0, 6.0, 6.0]
    assert data(jacobian([z, y], [y])) == [[0.0], [1.0]]
    assert data(jvp([z, y], [x], [1.0])) == [6.0, 0.0]
    assert gradient(z, []) == []


def test_a_computed_node_is_held_fixed_while_its_own_operands_are_asked_by():
    x = Value(3.0)
    square = x * x
    z = square * x
    assert data(gradient(z, [x, square])) == [27.0, 3.0]


def test_jvp_through_a_computed_node_takes_its_tangent_as_given():
    x = Value(3.0)
    square = x * x
    assert data(jvp([square * x], [square, x], [1.0, 0.0])) == [3.0]


def test_a_deep_chain_differentiates():
    x = Value(1.0)
    y = x
    for _ in range(20_000):
        y = y * 1.0 + x
    assert derivative(y, x).data == 20_001.0
    assert jvp([y], [x], [1.0])[0].data == 20_001.0


def test_no_grad_changes():
    x = Value(3.0)
    y = x * x
    hvp(y, [x], [1.0])
    assert (x.grad, y.grad) == (0.0, 0.0)


# --- the table of partials ----------------------------------------------------------------------


@given(graphs())
@FEW
def test_partials_lists_every_node_with_its_adjoint_and_every_edge(graph):
    table = partials(graph.output)
    order = topological_order(graph.output)
    assert [row.value for row in table.nodes] == order
    assert all(node.grad == 0.0 for node in order)
    graph.output.backward()
    assert [row.adjoint for row in table.nodes] == close(
        [node.grad for node in order], max(abs(node.grad) for node in order)
    )
    assert [edge.partial for edge in table.edges] == [d for node in order for d in node._local_grads]
    assert len({row.name for row in table.nodes}) == len(order)


def test_partials_print_as_a_table():
    x, y = Value(3.0, label="x"), Value(-0.5, label="y")
    lines = [
        "node  op   data     adjoint",
        "x          3        -0.824361",
        "y          -0.5     4.94616",
        "v1    *    -1.5     1.64872",
        "v2    +    0.5      1.64872",
        "v3    exp  1.64872  1",
        "",
        "edge     local partial",
        "∂v1/∂x   -0.5",
        "∂v1/∂y   3",
        "∂v2/∂v1  1",
        "∂v3/∂v2  1.64872",
    ]
    assert str(partials((x * y + 2.0).exp())) == "\n".join(lines)


def test_partials_of_a_node_of_ones_own():
    x = Value(3.0, label="x")
    own = Value(9.0, (x,), (6.0,))
    assert [row.adjoint for row in partials(own).nodes] == [6.0, 1.0]


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [1.0, "x", None], ids=repr)
@pytest.mark.parametrize("ask", [gradient, hessian, lambda y, wrt: jacobian([y], wrt)])
def test_wrt_must_hold_values(ask, wrong):
    x = Value(1.0)
    text = f"wrt must hold Values, got {wrong!r}. Differentiate by a Value that was recorded."
    with pytest.raises(TypeError, match=re.escape(text)):
        ask(x * x, [x, wrong])


def test_outputs_must_hold_values():
    x = Value(1.0)
    with pytest.raises(TypeError, match=r"outputs must hold Values, got 2\.0\."):
        jacobian([x, 2.0], [x])


def test_tangents_must_be_as_many_as_wrt():
    x = Value(1.0)
    with pytest.raises(ValueError, match=r"tangents must be one for each of wrt, got 2 for 1\. Match their lengths\."):
        jvp([x], [x], [1.0, 2.0])


@pytest.mark.parametrize("ask", [gradient, hessian, lambda y, wrt: jvp([y], wrt, [1.0])])
def test_an_operation_of_ones_own_has_no_rule_to_differentiate(ask):
    x = Value(3.0)
    own = Value(9.0, (x,), "square")
    with pytest.raises(TypeError, match=r"must be a row of the table, got 'square'\. Add a row with Op\."):
        ask(own * 2, [x])
    y = Value(1.0)
    assert data(gradient(own * y, [y])) == [9.0]


def test_wrt_must_be_a_list():
    x = Value(1.0)
    with pytest.raises(TypeError, match="wrt must be a list of Values"):
        gradient(x * x, x)
