"""Tape -> a Python function of arrays, for numpy and for every namespace that spells its functions alike.

`source` writes the function; it takes the namespace as its first argument, so the same text runs on `numpy`,
`jax.numpy`, `torch` and `dask.array`. `Kernel` runs it on blocks of rows: whatever the table's length, the
intermediate arrays of one block stay in the processor's cache.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce as fold
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograd_xor import ops
from micrograd_xor.tape import Step, Tape

Array = NDArray[np.float64]

_BLOCK = 8192  # numbers an array: 64 KiB, below which malloc reuses memory, and enough to hide Python's share

_NAMES = ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan"]
_NAMES += ["sinh", "cosh", "tanh"]  # that every namespace has, spelled as the table does
SPELLING = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "pow": "{} ** {}",
    "abs": "abs({})",
    "maximum": "xp.maximum({}, {})",
    "minimum": "xp.minimum({}, {})",
    "step": "({} > 0.0) * 1.0",
    "where": "xp.where({} != 0.0, {}, {})",
    "sigmoid": "1.0 / (1.0 + xp.exp(-{}))",  # half the passes of the expansion; below -709.8 it is 0, not subnormal
}
SPELLING |= {name: f"xp.{name}({{}})" for name in _NAMES}


_CLIPPED: dict[tuple[object, ...], str] = {
    ("maximum", False, True): "xp.clip({0}, {1}, None)",
    ("maximum", True, False): "xp.clip({1}, {0}, None)",
    ("minimum", False, True): "xp.clip({0}, None, {1})",
    ("minimum", True, False): "xp.clip({1}, None, {0})",
}

# erf(x) / x by powers of x², for |x| <= 1, and erfc(x) exp(x²) by powers of (x - 2) / (x + 2), for 1 <= x <= 6:
# Chebyshev interpolations of mpmath's functions; the rounding of exp(-x²) is harmless beside 1.
# fmt: off
_NEAR = (
    1.1283791670955126, -0.37612638903183543, 0.11283791670945006, -0.02686617064323777, 0.0052239776071164225,
    -0.0008548325975389692, 0.00012055294904839707, -1.492473690741966e-05, 1.6447424703317362e-06,
    -1.6208483801871705e-07, 1.3720064546777686e-08, -7.795898827002142e-10,
)
_FAR = (
    0.2553956763105057, -0.4271858474139585, 0.24165819424248763, -0.07897858101571269, 0.0037328924016564484,
    0.006997461739200575, -0.0008471431229415333, -0.0009819771114740715, 4.355265359817883e-05,
    0.00017436477257256738, 2.7560352756678313e-05, -2.7640727821912852e-05, -1.4166339069117108e-05,
    1.859427387429402e-06, 4.146302183268488e-06, -2.22812957637235e-07,
)
# fmt: on


def _erf(x: Any) -> Any:
    """The error function, of which no two namespaces have the name alike, within 2 ulp."""
    size = ops.minimum(ops.abs(x), 6.0)
    near = x * _polynomial(_NEAR, size * size)
    far = 1.0 - ops.exp(-size * size) * _polynomial(_FAR, (size - 2.0) / (size + 2.0))
    return ops.where(ops.step(1.0 - size), near, ops.sign(x) * far)


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    return fold(lambda sum_, coefficient: sum_ * x + coefficient, reversed(coefficients))


EXPANSIONS = {"erf": _erf}


def source(tape: Tape, name: str = "program") -> str:
    """The tape as the text of `def name(xp, *inputs)`, which returns a tuple of arrays, the tape's outputs.

    The inputs broadcast against each other; `xp` is numpy or a namespace like it. TypeError where a row has neither a
    spelling nor an expansion.

    >>> from micrograd_xor import Value
    >>> x = Value(1.0, label="x")
    >>> print(source(Tape.of([2.0 * x.exp() + x], [x])), end="")
    def program(xp, r0):
        # r0: 'x'
        r1 = xp.exp(r0)
        r1 = 2.0 * r1
        r0 = r1 + r0
        return (r0,)
    """
    tape = tape.lowered(SPELLING, EXPANSIONS)
    variables = [f"r{i}" for i in range(len(tape.inputs))]
    comments = [f"# {variable}: {label!r}" for variable, label in zip(variables, tape.inputs, strict=True)]
    return "\n    ".join([f"def {name}({', '.join(['xp', *variables])}):", *comments, *_statements(tape)]) + "\n"


def _statements(tape: Tape) -> Iterator[str]:
    """One a step; a variable is taken again once its register has been read for the last time."""
    texts = [f"r{i}" for i in range(len(tape.inputs))] + [_literal(c) for c in tape.constants]
    last_reader: dict[int, float] = {i: register for register, step in tape.numbered() for i in step.args}
    last_reader |= dict.fromkeys((*tape.outputs, *_constants(tape)), math.inf)
    free: list[str] = []
    variables = len(tape.inputs)
    for register, step in tape.numbered():
        free += [texts[i] for i in dict.fromkeys(step.args) if last_reader[i] == register]
        if not free:
            free.append(f"r{variables}")
            variables += 1
        spelled = _spelling(tape, step).format(*_operands(tape, step.args, texts))
        texts.append(free.pop())
        yield f"{texts[register]} = {spelled}"
    yield f"return ({', '.join([texts[i] for i in tape.outputs])},)"


def _spelling(tape: Tape, step: Step) -> str:
    """The row's, except for the larger and the smaller of an array and a constant: torch's functions take no number."""
    constant = [i in _constants(tape) for i in step.args]
    return _CLIPPED.get((step.op.name, *constant)) or SPELLING[step.op.name]


def _constants(tape: Tape) -> range:
    return range(len(tape.inputs), tape.first_step)


def _operands(tape: Tape, args: Sequence[int], texts: Sequence[str]) -> list[str]:
    """The operands' texts; where all are constants they become arrays, as Python would raise for 1.0 / 0.0."""
    constants = _constants(tape)
    if all(i in constants for i in args):
        return [f"xp.asarray({texts[i]}, dtype=xp.float64)" for i in args]
    return [texts[i] for i in args]


def _literal(constant: float) -> str:
    text = repr(constant) if math.isfinite(constant) else f"float('{constant}')"
    return f"({text})" if text.startswith("-") else text


class Kernel:
    """The tape as a numpy function of float64 arrays; `bind` and `train` are described in `backend`."""

    def __init__(self, tape: Tape, parameters: int) -> None:
        self.function = _function(tape)
        self.parameters = parameters

    def bind(
        self, theta: Array, columns: Sequence[Array], outs: Sequence[Array], reduce: str | None
    ) -> Callable[[], None]:
        """A call that fills `outs` from theta and the columns, a block of rows at a time."""
        rows = len(columns[0]) if columns else 1
        blocks = [slice(i, i + _block(len(theta))) for i in range(0, rows, _block(len(theta)))]

        def store() -> None:
            for block in blocks:
                _store(self._outputs(theta, columns, block), [out[:, block] for out in outs])

        def accumulate() -> None:
            for out in outs:
                out.fill(0.0)
            for block in blocks:
                size = min(block.stop, rows) - block.start
                sums = [_summed(output, size) for output in self._outputs(theta, columns, block)]
                _store(sums, outs, add=True)
            for out in outs if reduce == "mean" else ():
                out /= rows

        return _silent(accumulate if reduce else store)

    def _outputs(self, theta: Array, columns: Sequence[Array], block: slice) -> tuple[Any, ...]:
        """The outputs on one block: arrays or numbers that broadcast to (K, rows of the block)."""
        parameters = theta[0] if len(theta) == 1 else theta.T[:, :, None]
        return self.function(np, *parameters, *[column[block] for column in columns])

    def train(
        self,
        update: Tape,
        theta: Array,
        state: Array,
        columns: Sequence[Array],
        losses: Array,
        reduce: str,
        first: int,
    ) -> None:
        """The training steps first, first + 1, ... in place, one for each column of `losses`."""
        value, gradient = np.empty((len(theta), 1)), np.empty_like(theta)
        evaluate = self.bind(theta, columns, (value, gradient), reduce)
        move = _function(update)

        def steps() -> None:
            for s in range(losses.shape[1]):
                evaluate()
                losses[:, s] = value[:, 0]
                theta[:], *moved = move(np, theta, gradient, *state, np.float64(first + s))
                for slot, new in zip(state, moved, strict=True):
                    slot[:] = new

        _silent(steps)()


def _function(tape: Tape) -> Callable[..., tuple[Any, ...]]:
    namespace: dict[str, Any] = {}
    exec(compile(source(tape), "<tape>", "exec"), namespace)  # spellings and numbers, no text of others
    return namespace["program"]  # type: ignore[no-any-return]


def _silent(run: Callable[[], None]) -> Callable[[], None]:
    """run, where infinities and NaN are results and not warnings."""

    def silent() -> None:
        with np.errstate(all="ignore"):
            run()

    return silent


def _block(networks: int) -> int:
    return max(1, _BLOCK // networks)


def _summed(output: Any, rows: int) -> Array:
    """The sum over a block's rows; what is the same in every row counts for each."""
    array: Array = np.atleast_1d(output)
    summed: Array = array.sum(axis=-1) * (rows // array.shape[-1])
    return summed


def _store(outputs: Sequence[Any], outs: Sequence[Array], add: bool = False) -> None:
    """Split the outputs among the last axes of outs."""
    remaining = iter(outputs)
    for out in outs:
        for i in range(out.shape[-1]):
            if add:
                out[..., i] += next(remaining)
            else:
                out[..., i] = next(remaining)
