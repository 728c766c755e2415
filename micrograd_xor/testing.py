"""For property tests of your own formulas: Hypothesis strategies, and checks of gradients by numbers alone.

`graphs` and `operands` read the table of operations, so a row of your own joins them at once. The checks
use nothing of the table's derivatives: only the values of a formula at points nearby.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from micrograd_xor.table import REALS, TABLE, Domain, Op
from micrograd_xor.value import Operand, Value, topological_order

CONSTANTS = (2.0, 0.5, -1.5)
_NUDGE = 0.01  # how far from a kink or an edge the operands of a random graph stay

Formula = Callable[..., Value]


def operands(op: Op, *, size: float = 100.0) -> SearchStrategy[tuple[float, ...]]:
    """Tuples of floats in the row's domain, up to ±size, where its value and its local partials are finite.

    Zeros of both signs, subnormal numbers and the domain's own edges are among them. A row of any number of
    operands gets two or four. TypeError where op is no row, ValueError where size is not positive and finite.

    >>> from hypothesis import given
    >>> from micrograd_xor import ops
    >>> @given(operands(ops.log))
    ... def log_is_below_its_tangent_at_1(at):
    ...     assert ops.log(*at) <= at[0] - 1
    >>> log_is_below_its_tangent_at_1()
    """
    if not isinstance(op, Op):
        raise TypeError(f"op must be a row of the table, got {op!r}. Take one from micrograd_xor.ops.")
    if not 0.0 < size < math.inf:
        raise ValueError(f"size must be positive and finite, got {size!r}. 100.0 keeps powers away from overflow.")
    shapes = [op.domain or (REALS,) * op.arity] if op.arity else [(REALS,) * 2, (REALS,) * 4]
    boxes = [st.tuples(*(_inside(domain, size) for domain in shape)) for shape in shapes]
    return st.one_of(boxes).filter(lambda at: all(map(math.isfinite, _value_and_partials(op, at))))


def _inside(domain: Domain, size: float) -> SearchStrategy[float]:
    return st.floats(max(domain.low, -size), min(domain.high, size)).filter(domain.contains)


def _value_and_partials(op: Op, at: tuple[float, ...]) -> list[float]:
    """The row's value and its partials at a point, NaNs outside of its domain."""
    try:
        out = op.evaluate(*at)
        return [out, *(op.partial(i, at, out) for i in range(len(at)))]
    except (ValueError, ArithmeticError):
        return [math.nan] * (len(at) + 1)


@dataclass(frozen=True)
class Graph:
    """A random graph: its leaves, labelled x1, x2, ..., and its output; call it to run its formula on other operands.

    `steps` says each operation as a row and the registers that it reads: the inputs come first, then
    `CONSTANTS`, then the results of the steps before it.
    """

    inputs: tuple[Value, ...]
    output: Value
    steps: tuple[tuple[Op, tuple[int, ...]], ...]

    def __call__(self, *operands: Any) -> Any:
        """The formula on floats, on Values or on the operands of any other interpreter."""
        registers = [*operands, *CONSTANTS]
        for row, reads in self.steps:
            registers.append(row(*(registers[i] for i in reads)))
        return registers[-1] if self.steps else registers[0]

    def __repr__(self) -> str:
        results = [f"v{i}" for i in range(1, len(self.steps) + 1)]
        names = [*(x.label for x in self.inputs), *map(str, CONSTANTS), *results]
        calls = [f"{row.name}({', '.join(names[i] for i in reads)})" for row, reads in self.steps]
        lines = [f"{result} = {call}" for result, call in zip(results, calls, strict=True)]
        return "Graph: " + "; ".join([_where(self.inputs), *lines])


def graphs(rows: Iterable[Op] | None = None, *, inputs: int = 3, size: int = 12) -> SearchStrategy[Graph]:
    """Random graphs of up to `size` operations on one to `inputs` leaves, from the whole table or from `rows`.

    Well conditioned: every operation is smooth within 0.01 of its operands, and neither its value nor a local
    partial is tiny, huge or the remainder of a cancellation. TypeError where rows holds something else than rows,
    ValueError where a count is not positive.

    >>> from hypothesis import given
    >>> @given(graphs(size=3))
    ... def every_gradient_is_right(graph):
    ...     check_gradient(graph, *(x.data for x in graph.inputs))
    >>> every_gradient_is_right()
    """
    chosen = tuple(TABLE.values() if rows is None else rows)
    if not all(isinstance(row, Op) for row in chosen):
        raise TypeError(f"rows must hold rows of the table, got {chosen!r}. Take them from micrograd_xor.ops.")
    for thing, count in (("rows", len(chosen)), ("inputs", inputs), ("size", size)):
        if count < 1:
            raise ValueError(f"{thing} must be at least 1, got {count!r}. A graph has a leaf and an operation.")
    widest = max(row.arity or 4 for row in chosen)
    registers = st.lists(st.integers(0, 63), min_size=widest, max_size=widest)
    steps = st.lists(st.tuples(st.sampled_from(chosen), registers), min_size=size // 2, max_size=size)
    return st.builds(_record, st.lists(st.floats(-3.0, 3.0, width=16), min_size=1, max_size=inputs), steps)


def _record(at: Sequence[float], recipe: Sequence[tuple[Op, Sequence[int]]]) -> Graph:
    """The recipe's graph, without the steps that are not tame; a register is counted from the latest one."""
    inputs = tuple(Value(x, label=f"x{i}") for i, x in enumerate(at, 1))
    registers: list[Operand] = [*inputs, *CONSTANTS]
    output, steps = inputs[0], []
    for row, back in recipe:
        reads = tuple((len(registers) - 1 - i) % len(registers) for i in back[: row.arity or 4])
        operands = [registers[i] for i in reads]
        if any(isinstance(x, Value) for x in operands) and _is_tame(row, _numbers(operands)):
            output = row(*operands)
            steps.append((row, reads))
            registers.append(output)
    return Graph(inputs, output, tuple(steps))


def _numbers(operands: Iterable[Operand]) -> tuple[float, ...]:
    return tuple(x.data if isinstance(x, Value) else x for x in operands)


def _is_tame(row: Op, at: tuple[float, ...]) -> bool:
    """Whether a straight line predicts the row on both sides of each operand, and no digits are lost in it."""
    out, *slopes = _value_and_partials(row, at)
    for i, (x, slope) in enumerate(zip(at, slopes, strict=True)):
        for h in _nudges(x):
            moved, *others = _value_and_partials(row, _moved(at, i, h))
            if not abs(moved - out - h * slope) <= 0.1 * _NUDGE * max(1.0, abs(slope)):  # a NaN is not tame either
                return False
            if any(abs(b - a) > 0.5 * max(1.0, abs(a)) for a, b in zip(slopes, others, strict=True)):
                return False  # a kink that only two operands together show: where's condition at 0, its choices equal
        if abs(slope * x) > 100.0 * abs(out):
            return False
    return all(1e-3 <= abs(size) <= 1e3 for size in (out, *slopes) if size)


def _nudges(x: float) -> list[float]:
    """The steps from x to the ends of its neighbourhood, and to 0 within it: `where` differs there and nowhere near."""
    return [_NUDGE, -_NUDGE, *([-x] if abs(x) < _NUDGE else [])]


def _moved(at: Sequence[float], i: int, h: float) -> tuple[float, ...]:
    return (*at[:i], at[i] + h, *at[i + 1 :])


def check_gradient(formula: Formula, *at: float, tolerance: float = 1e-6) -> None:
    """Compare every partial derivative that `backward` gives at a point with a numeric one.

    `formula` takes Values and returns a Value. The numeric side is central differences extrapolated to step 0; at a
    kink any slope between those of its two sides is right. AssertionError where a partial is off by more than
    `tolerance`, relative: it says which, where, which side is numeric, and whose local partial is to blame.
    ValueError where the formula is not defined on both sides of the point.

    >>> check_gradient(lambda x, y: x * y + x**2, 3.0, -1.0)
    >>> check_gradient(lambda x, y: x * y.data, 3.0, -1.0)
    Traceback (most recent call last):
    AssertionError: ∂f/∂y at x = 3.0, y = -1.0 must be 3.0 (numeric), got 0.0 (backward). Is a `.data` on the way?
    """
    inputs, output = _swept(formula, at)
    for i, x in enumerate(inputs):
        numeric = _objection(lambda *point: formula(*map(Value, point)).data, at, i, x.grad, tolerance)
        if numeric is not None:
            raise AssertionError(
                f"∂f/∂{x.label} at {_where(inputs)} must be {numeric:.10} (numeric), got {x.grad!r} (backward). "
                + (" ".join(dict.fromkeys(_suspects(output, tolerance))) or "Is a `.data` on the way?")
            )


def taylor_order(formula: Formula, *at: float, along: Sequence[float] | None = None) -> float:
    """The order at which f(at + h·along) - f(at) - h·∇f·along vanishes with h: 2 if the gradient is right, 1 if wrong.

    So no tolerance has to be chosen: assert that it is over 1.5. A formula that is straight there gives inf. Without
    `along` every operand moves, each by another share. ValueError at a kink, where no gradient has order 2.

    >>> taylor_order(lambda x, y: x * y.sigmoid(), 3.0, -1.0) > 1.9
    True
    """
    inputs, output = _swept(formula, at)
    direction = along or [1.0 / math.sqrt(i) for i in range(1, len(at) + 1)]
    slope = math.fsum(x.grad * d for x, d in zip(inputs, direction, strict=True))
    sides = _both_sides(lambda h: formula(*(Value(x + h * d) for x, d in zip(at, direction, strict=True))).data, 1.0)
    noise = 1e-12 * max(abs(node.data) for node in topological_order(output))
    if _order([after + before - 2.0 * output.data for _, after, before in sides], noise) < 1.5:
        raise ValueError(f"The formula must be smooth at {_where(inputs)}, got a kink. Move the point away from it.")
    return _order([after - output.data - h * slope for h, after, _ in sides], noise)


def _order(remainders: Sequence[float], noise: float) -> float:
    """The slope, on logarithmic axes, of the remainders at halved steps just before they sink into the noise."""
    above = [abs(r) for r in remainders if abs(r) > noise]
    return math.log2(above[-2] / above[-1]) if len(above) > 1 else math.inf


def _both_sides(f: Callable[[float], float], scale: float) -> list[tuple[float, float, float]]:
    """(h, f(h), f(-h)) for halved steps h, from the first that stays in f's domain."""
    sides: list[tuple[float, float, float]] = []
    for h in (scale * 2.0**-k for k in range(3, 21)):
        try:
            sides.append((h, f(h), f(-h)))
        except (ValueError, ArithmeticError) as error:
            sides, outside = [], error
    if not sides:
        raise ValueError(f"The formula must be defined on both sides of the point. {outside}")
    return sides


def _objection(f: Callable[..., float], at: Sequence[float], i: int, slope: float, tolerance: float) -> float | None:
    """The numeric slope of f by operand i, where `slope` is another and not between those of the sides of a kink."""
    here, scale = f(*at), max(1.0, abs(at[i]))
    sides = _both_sides(lambda h: f(*_moved(at, i, h)), scale)
    numeric = _extrapolated(sides)
    slack = tolerance * abs(numeric) + 1e-9 * abs(here) / scale
    h, after, before = sides[-1]
    left, right = (here - before) / h, (after - here) / h
    return None if min(left, right, numeric) - slack <= slope <= max(left, right, numeric) + slack else numeric


def _extrapolated(sides: Sequence[tuple[float, float, float]]) -> float:
    """The slope at step 0 by Ridders' method: of all extrapolations the one that its neighbours confirm best."""
    best, error, coarser = math.nan, math.inf, list[float]()
    for h, after, before in sides:
        finer = [(after - before) / (2.0 * h)]
        for j, old in enumerate(coarser):
            finer.append(finer[j] + (finer[j] - old) / (4.0 ** (j + 1) - 1.0))
            change = max(abs(finer[-1] - finer[-2]), abs(finer[-1] - old))
            if change < error:
                best, error = finer[-1], change
        coarser = finer
    return best


def _suspects(output: Value, tolerance: float) -> Iterator[str]:
    """The local partials below output that differ from their own row's slope, and the operations that have no row."""
    for node in topological_order(output):
        for i, (x, partial) in enumerate(zip(node.args, node.partials, strict=True)):
            if node.op is None:
                yield f"Look at your own operation {node._op!r}, whose result is {node.data!r}."
            elif isinstance(x, Value):
                with suppress(ValueError):  # an operand at the edge of the row's domain
                    numeric = _objection(node.op.value, _numbers(node.args), i, partial, tolerance)
                    if numeric is not None:
                        yield f"Look at {node.op}, partial {i}: {numeric:.10} (numeric), got {partial!r}."


def _swept(formula: Formula, at: Sequence[float]) -> tuple[list[Value], Value]:
    inputs = [Value(x, label=name) for name, x in zip(_names(formula, len(at)), at, strict=True)]
    output = formula(*inputs)
    if not isinstance(output, Value):
        raise TypeError(f"The formula must return a Value, got {output!r}. Compute it from its operands.")
    output.backward()
    return inputs, output


def _names(formula: Formula, count: int) -> list[str]:
    """The formula's own names for its operands, or x1, x2, ... where it takes them as they come."""
    named = [p.name for p in inspect.signature(formula).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return named[:count] if len(named) >= count else [f"x{i}" for i in range(1, count + 1)]


def _where(inputs: Sequence[Value]) -> str:
    return ", ".join(f"{x.label} = {x.data!r}" for x in inputs)
