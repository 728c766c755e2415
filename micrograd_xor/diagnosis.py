"""Which row was bad: the first operation of a compiled formula whose result is not finite, in words."""

from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograd_xor.table import Op
from micrograd_xor.tape import Tape

Array = NDArray[np.float64]

_BLOCK = 65536  # rows whose results are kept at once


def diagnosis(tape: Tape, kernel: Any, theta: Array, columns: Sequence[Array]) -> FloatingPointError:
    """The error that names the first row whose results are not finite and the operation to blame; kernel runs tape."""
    for start in range(0, len(columns[0]) if columns else 1, _BLOCK):
        block = [column[start : start + _BLOCK] for column in columns]
        for k, row in _bad_rows(kernel, theta, block, len(tape.outputs)):
            fault = first_fault(tape, [*theta[k].tolist(), *[float(column[row]) for column in block]])
            where = f"Row {start + row}" + (f" of parameter set {k}" if len(theta) > 1 else "")
            return FloatingPointError(
                f"{where} must give finite numbers, got {fault}. Check its data and what reaches it."
            )
    return FloatingPointError("The rows' results must have a finite sum, got an overflow. Scale the formula down.")


def first_fault(tape: Tape, operands: Sequence[float]) -> str:
    """The first input or operation of the tape on these operands that is not finite, with its label and operands.

    >>> from micrograd_xor import Value
    >>> x = Value(1.0, label="x")
    >>> first_fault(Tape.of([1.0 / x], [x]), [0.0])
    'div(1.0, x = 0.0)'
    """
    shown = [_shown(label, x) for label, x in zip(tape.inputs, operands, strict=True)]
    infinite = [text for text, x in zip(shown, operands, strict=True) if not isfinite(x)]
    if infinite:
        return infinite[0]
    numbers = [*operands, *tape.constants]
    shown += map(repr, tape.constants)
    for op, args, label in tape.steps:
        numbers.append(_evaluated(op, [numbers[i] for i in args]))
        if not isfinite(numbers[-1]):
            return f"{label and label + ' = '}{op.name}({', '.join([shown[i] for i in args])})"
        shown.append(_shown(label, numbers[-1]))
    return "an overflow"


def _bad_rows(kernel: Any, theta: Array, columns: Sequence[Array], width: int) -> list[list[int]]:
    """The (set, row) of each result that is not finite."""
    out = np.empty((len(theta), len(columns[0]) if columns else 1, width))
    kernel.bind(theta, columns, (out,), None)()
    bad: list[list[int]] = np.argwhere(~np.isfinite(out).all(axis=2)).tolist()
    return bad


def _evaluated(op: Op, operands: Sequence[float]) -> float:
    try:
        return op(*operands)
    except (ValueError, ArithmeticError):
        return nan


def _shown(label: str, x: float) -> str:
    return f"{label} = {x!r}" if label else repr(x)
