"""`compile`: a recorded graph as a `Program` that runs over columns of data at the speed of the machine.

The graph becomes a `Tape`, the tape and its derivatives kernels of a backend; `backend` says what those are.
"""

import inspect
from collections.abc import Callable, Iterable
from math import nan
from typing import Any, overload

from micrograd_xor.program import Program
from micrograd_xor.tape import Tape
from micrograd_xor.value import Value

__all__ = ["Program", "compile"]


@overload
def compile(
    formula: Value,
    parameters: Iterable[Value],
    data: Iterable[Value] = (),
    *,
    reduce: str | None = "mean",
    backend: str = "auto",
) -> Program: ...
@overload
def compile(
    formula: Callable[..., Value], *, data: Iterable[str] = (), reduce: str | None = "mean", backend: str = "auto"
) -> Program: ...
@overload
def compile(
    *, data: Iterable[str] = (), reduce: str | None = "mean", backend: str = "auto"
) -> Callable[[Callable[..., Value]], Program]: ...
def compile(
    formula: Any = None,
    parameters: Iterable[Value] | None = None,
    data: Iterable[Any] = (),
    *,
    reduce: str | None = "mean",
    backend: str = "auto",
) -> Any:
    """The program of E and its gradient by `parameters`, over rows of `data`, whose leaves are filled from columns.

    What the graph was recorded with stays: every other leaf is a constant, and so is a number that Python read from a
    Value (`v.data`); `where`, `maximum` and the like are the way to branch by row. `reduce` takes the "mean" or "sum"
    over the rows, or None of the two. Instead of E a function of Values may be given, or decorated: its arguments are
    the parameters, except those that `data` names; it is recorded once, on NaN.

    ValueError for an unknown backend or reduction, an input that is computed or listed twice, or no parameters;
    ModuleNotFoundError for "llvm" without llvmlite; "auto" then takes numpy.

    >>> w, x = Value(0.0, label="w"), Value(0.0, label="x")
    >>> program = compile((w * x - 1.0) ** 2, [w], [x], backend="numpy")
    >>> program([2.0], [0.0, 1.0])  # at w = 2, for two rows of x
    (np.float64(1.0), array([1.]))

    >>> @compile(data=["x"], reduce="sum", backend="numpy")
    ... def program(w, x):
    ...     return (w * x).exp()
    >>> program(w=0.0, x=[1.0, 2.0])
    (np.float64(2.0), array([3.]))
    """
    if formula is None:
        return lambda function: compile(function, data=data, reduce=reduce, backend=backend)
    if not isinstance(formula, Value):
        formula, parameters, data = _recorded(formula, tuple(data))
    parameters, data = tuple(parameters or ()), tuple(data)
    return Program(Tape.of([formula], parameters + data), len(parameters), reduce, backend)


def _recorded(function: Any, data: tuple[str, ...]) -> tuple[Value, list[Value], list[Value]]:
    """The graph of a function of Values, recorded on NaN, on which every operation is defined."""
    if not callable(function):
        raise TypeError(f"E must be a Value or a function of Values, got {function!r}. Record it from Values.")
    names = tuple(inspect.signature(function).parameters)
    foreign = [name for name in data if name not in names]
    if foreign:
        raise ValueError(f"data must name arguments of {function.__name__}, got {foreign[0]!r}. Choose from {names}.")
    leaves = {name: Value(nan, label=name) for name in names}
    formula = function(*leaves.values())
    if not isinstance(formula, Value):
        raise TypeError(f"{function.__name__} must return a Value, got {formula!r}. Return the loss.")
    return formula, [leaves[name] for name in names if name not in data], [leaves[name] for name in data]
