"""What a backend is, and which one runs.

The module `emit_<name>` has `Kernel(tape, parameters)`: the tape's first `parameters` inputs are the
parameters, its other inputs the data columns, one number a row; it may be called with any tape that follows that order.
A kernel has two methods. They get float64 C-contiguous arrays of matching shapes, checked here, and follow IEEE 754:

    bind(theta, columns, outs, reduce) -> Callable[[], None]
        theta (K, P); columns a tuple of arrays (n,), n >= 1. Each call fills `outs` with the tape's outputs, which are
        split among them in order by their last axis: shape (K, n, width) where reduce is None; with "sum" or "mean",
        (K, width): the outputs' sum or mean over the rows. A call reads theta and the columns anew, so that a loop may
        change them in place; it allocates nothing that outlives it and may run in several threads at once if
        `outs` are different arrays.

    train(update, theta, state, columns, losses, reduce, first) -> None
        losses.shape[1] training steps in place, for tapes whose outputs are (value, *gradient by the P parameters).
        Each step writes the loss before it to losses[k, s] (losses: (K, steps), any row stride) and then replaces
        theta[k, p] and state[:, k, p] (state: (S, K, P)) by the outputs of the tape `update`, whose inputs are
        (parameter, gradient, *state, t) for one parameter, t = first + s, and whose outputs are (parameter, *state).

Both are called with the GIL held and should release it while they work. Kernels own their machine code and free it.
"""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograd_xor.tape import Tape

Array = NDArray[np.float64]

BACKENDS = ("auto", "llvm", "numpy")


class Kernel(Protocol):
    """A tape in executable form; see the module's docstring."""

    def __init__(self, tape: Tape, parameters: int) -> None: ...

    def bind(
        self, theta: Array, columns: Sequence[Array], outs: Sequence[Array], reduce: str | None
    ) -> Callable[[], None]:
        """A call that fills outs from theta and the columns."""

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
        """One training step in place for each column of losses."""


def resolved(backend: str) -> str:
    """The backend meant: "auto" is LLVM where it is installed, else numpy. ValueError, ModuleNotFoundError."""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be 'auto', 'llvm' or 'numpy', got {backend!r}. Choose one of them.")
    if backend == "auto":
        return "llvm" if find_spec("llvmlite") else "numpy"
    if backend == "llvm" and not find_spec("llvmlite"):
        raise ModuleNotFoundError("backend 'llvm' must have llvmlite, got none. pip install 'micrograd-xor[jit]'.")
    return backend


def kernel(backend: str, tape: Tape, parameters: int) -> Kernel:
    """The tape made executable by a backend; its first inputs are the parameters."""
    emitter: Any = importlib.import_module(f"micrograd_xor.emit_{backend}")
    made: Kernel = emitter.Kernel(tape, parameters)
    return made
