"""Derivatives as graphs: the table's rules run on Values, so every derivative can be differentiated again.

`Value.backward` pushes numbers; here the same sweep pushes Values. What comes back is ordinary graph:
print it, draw it, compile it, or take its gradient for the next order. No node's `grad` changes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from micrograd_xor.value import Operand, Value, topological_order


def gradient(output: Value, wrt: Iterable[Value]) -> list[Value]:
    """∂output/∂w for each w of `wrt`, leaves or computed nodes, as Values of a new graph.

    A w that output does not depend on gets a constant 0. TypeError where `wrt` holds something else than
    Values, or where an operation on the way is no row of the table (a node with a `_backward` of its own).

    >>> x = Value(3.0)
    >>> [slope] = gradient(x**3, [x])
    >>> [bend] = gradient(slope, [x])
    >>> slope.data, bend.data
    (27.0, 18.0)
    """
    wrt = _nodes(wrt)
    order = _dependents([output], wrt)
    inside = set(order)
    adjoint: dict[Value, Operand] = {output: 1.0}
    for node in reversed(order):
        for i, x in enumerate(node.args if node in adjoint else ()):
            if isinstance(x, Value) and x in inside:
                share = _times(adjoint[node], _partial(node, i))
                adjoint[x] = _plus(adjoint.get(x, 0.0), share)
    return [_value(adjoint.get(w, 0.0)) for w in wrt]


def derivative(output: Value, x: Value) -> Value:
    """∂output/∂x between any two nodes, as a Value.

    >>> z_bar = Value(0.0)
    >>> z = z_bar.sigmoid()
    >>> derivative(z * 3, z).data, derivative(z * 3, z_bar).data
    (3.0, 0.75)
    """
    return gradient(output, [x])[0]


def jacobian(outputs: Iterable[Value], wrt: Iterable[Value]) -> list[list[Value]]:
    """The derivative of each output (rows) by each of `wrt` (columns), as Values: shape (m, n).

    >>> x, y = Value(2.0), Value(5.0)
    >>> [[d.data for d in row] for row in jacobian([x * y, x + y], [x, y])]
    [[5.0, 2.0], [1.0, 1.0]]
    """
    wrt = _nodes(wrt)
    return [gradient(output, wrt) for output in _nodes(outputs, "outputs")]


def hessian(output: Value, wrt: Iterable[Value]) -> list[list[Value]]:
    """The second derivatives of output by each pair of `wrt`, as Values: shape (n, n).

    >>> x, y = Value(2.0), Value(5.0)
    >>> [[d.data for d in row] for row in hessian(x * x * y, [x, y])]
    [[10.0, 4.0], [4.0, 0.0]]
    """
    wrt = _nodes(wrt)
    return jacobian(gradient(output, wrt), wrt)


def jvp(outputs: Iterable[Value], wrt: Iterable[Value], tangents: Sequence[Operand]) -> list[Value]:
    """The outputs' change along `tangents`, one number or Value for each of `wrt`: the Jacobian times a vector.

    One forward sweep, whatever the number of outputs. ValueError where the lengths differ.

    >>> x, y = Value(2.0), Value(5.0)
    >>> [d.data for d in jvp([x * y, x + y], [x, y], [1.0, 10.0])]
    [25.0, 11.0]
    """
    wrt, outputs = _nodes(wrt), _nodes(outputs, "outputs")
    if len(wrt) != len(tangents):
        raise ValueError(
            f"tangents must be one for each of wrt, got {len(tangents)} for {len(wrt)}. Match their lengths."
        )
    tangent: dict[Value, Operand] = dict(zip(wrt, tangents, strict=True))
    for node in _dependents(outputs, wrt):
        if node not in tangent:
            tangent[node] = 0.0
            for i, x in enumerate(node.args):
                if isinstance(x, Value) and x in tangent:
                    tangent[node] = _plus(tangent[node], _times(tangent[x], _partial(node, i)))
    return [_value(tangent.get(output, 0.0)) for output in outputs]


def hvp(output: Value, wrt: Iterable[Value], vector: Sequence[Operand]) -> list[Value]:
    """The Hessian of output times a vector, as Values: shape (n,), at the cost of a few sweeps.

    >>> x, y = Value(2.0), Value(5.0)
    >>> [d.data for d in hvp(x * x * y, [x, y], [1.0, 0.0])]
    [10.0, 4.0]
    """
    wrt = _nodes(wrt)
    return jvp(gradient(output, wrt), wrt, vector)


class Node(NamedTuple):
    """A row of `Partials`: a node and its adjoint ∂output/∂node."""

    name: str
    value: Value
    adjoint: float


class Edge(NamedTuple):
    """A row of `Partials`: a node, one of its operands, and the local partial ∂node/∂operand."""

    node: str
    operand: str
    partial: float


class Partials(NamedTuple):
    """Every node of a graph with its adjoint and every edge with its local partial; prints as a table."""

    nodes: list[Node]
    edges: list[Edge]

    def __str__(self) -> str:
        nodes = [(n.name, n.value._op, f"{n.value.data:.6g}", f"{n.adjoint:.6g}") for n in self.nodes]
        edges = [(f"∂{e.node}/∂{e.operand}", f"{e.partial:.6g}") for e in self.edges]
        return "\n".join(
            [*_columns(("node", "op", "data", "adjoint"), nodes), "", *_columns(("edge", "local partial"), edges)]
        )


def partials(output: Value) -> Partials:
    """Every node below output with its adjoint and every edge with its local partial, operands first.

    Nodes without a label are named v1, v2, ... in that order.

    >>> x = Value(3.0, label="x")
    >>> print(partials(x * x))
    node  op  data  adjoint
    x         3     6
    v1    *   9     1
    <BLANKLINE>
    edge    local partial
    ∂v1/∂x  3
    ∂v1/∂x  3
    """
    order = topological_order(output)
    unlabelled = (f"v{i}" for i in range(1, len(order) + 1))
    name = {node: node.label or next(unlabelled) for node in order}
    adjoint = _adjoints(order)
    edges = [Edge(name[node], name[x], d) for node in order for x, d in _edges(node)]
    return Partials([Node(name[node], node, adjoint[node]) for node in order], edges)


def _edges(node: Value) -> list[tuple[Value, float]]:
    return list(zip(node._children, node._local_grads, strict=True))


def _adjoints(order: list[Value]) -> dict[Value, float]:
    """The adjoint of each node of a topological order, as the reverse sweep has it, from the recorded partials."""
    adjoint = dict.fromkeys(order, 0.0)
    adjoint[order[-1]] = 1.0
    for node in reversed(order):
        for x, partial in _edges(node):
            adjoint[x] += adjoint[node] * partial
    return adjoint


def _columns(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]


def _nodes(values: Iterable[Value], thing: str = "wrt") -> list[Value]:
    if isinstance(values, Value):
        raise TypeError(f"{thing} must be a list of Values, got {values!r} alone. Put it in brackets.")
    values = list(values)
    for x in values:
        if not isinstance(x, Value):
            raise TypeError(f"{thing} must hold Values, got {x!r}. Differentiate by a Value that was recorded.")
    return values


def _dependents(outputs: list[Value], wrt: list[Value]) -> list[Value]:
    """The nodes below outputs that are in wrt or were computed from it: operands before results."""
    inside, order = set(wrt), []
    for node in topological_order(*outputs):
        if node in inside or not inside.isdisjoint(node._children):
            inside.add(node)
            order.append(node)
    return order


def _partial(node: Value, i: int) -> Operand:
    if node.op is None:
        raise TypeError(f"A differentiated operation must be a row of the table, got {node._op!r}. Add a row with Op.")
    partial: Operand = node.op.partial(i, node.args, node)
    return partial


def _times(x: Operand, y: Operand) -> Operand:
    """x * y without the nodes that a factor 0 or 1 of the rules themselves would add."""
    for factor, other in ((x, y), (y, x)):
        if isinstance(factor, float) and factor in (0.0, 1.0):
            return other if factor else 0.0
    return x * y


def _plus(x: Operand, y: Operand) -> Operand:
    return y if isinstance(x, float) and x == 0.0 else x + y


def _value(x: Operand) -> Value:
    return x if isinstance(x, Value) else Value(x)
