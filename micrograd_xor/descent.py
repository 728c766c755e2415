"""The training loop around a compiled program: chunks of steps in a kernel, and between them what a person wants.

A kernel takes a chunk of steps without coming back. Chunks end where parameters are to be recorded, and often
enough to show progress and to answer Ctrl-C.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograd_xor.optim import Optimizer
from micrograd_xor.tape import Tape

Array = NDArray[np.float64]
Progress = Callable[[int, Any], None]

_FIRST = 10_000_000  # operations of the first chunk: a moment in machine code, when no step has been timed yet
_FIRST_STEPS = 5000  # and its steps at most: less than a second in numpy, to start which costs more than its operations
_BREATH = 0.1  # seconds that a chunk should take: soon enough for Ctrl-C, long enough to cost nothing


@dataclass(frozen=True)
class Descent:
    """What training gave, float64; K sets of parameters put an axis of K before each shape.

    `theta` (P,) are the parameters after the last step, `losses` (steps + 1,) the loss before each step and after the
    last, `snapshots` the parameters after the recorded steps; `interrupted` says that Ctrl-C ended it.
    """

    theta: Array
    losses: Array
    snapshots: dict[int, Array]
    interrupted: bool = False

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return int(self.losses.shape[-1]) - 1

    def of_one(self) -> "Descent":
        """The same without the axis of K = 1."""
        snapshots = {step: theta[0] for step, theta in self.snapshots.items()}
        return replace(self, theta=self.theta[0], losses=self.losses[0], snapshots=snapshots)


class Loop:
    """Steps of an optimiser with a kernel of (value, *gradient), on arrays of theta (K, P) and columns (n,).

    `work` is how many operations a step takes, roughly.
    """

    def __init__(
        self, kernel: Any, theta: Array, columns: tuple[Array, ...], reduce: str, optimizer: Optimizer, work: int
    ) -> None:
        self.kernel, self.columns, self.reduce = kernel, columns, reduce
        self.update = update_tape(optimizer)
        self.theta, self.state = theta.copy(), np.zeros((optimizer.slots, *theta.shape))
        self.done, self.chunk = 0, min(_FIRST_STEPS, 1 + _FIRST // max(1, work))

    def run(self, steps: int, record: frozenset[int], progress: Progress | None) -> Descent:
        """Take the steps; Ctrl-C ends the loop after the last whole chunk."""
        losses = np.empty((len(self.theta), steps + 1))
        snapshots = {0: self.theta.copy()} if 0 in record else {}
        interrupted = False
        try:
            while self.done < steps:
                end = min([self.done + self.chunk, steps, *[step for step in record if step > self.done]])
                started = time.perf_counter()
                self._advance(losses[:, self.done : end])
                self.chunk = _next_chunk(self.chunk, time.perf_counter() - started)
                if end in record:
                    snapshots[end] = self.theta.copy()
                if progress:
                    progress(end, losses[:, end - 1])
        except KeyboardInterrupt:
            interrupted = True
        self._train(self.theta.copy(), self.state.copy(), losses[:, self.done : self.done + 1])
        return Descent(self.theta, losses[:, : self.done + 1].copy(), snapshots, interrupted)

    def _advance(self, losses: Array) -> None:
        """One chunk, on copies: an interrupt within leaves the loop where the chunk began."""
        theta, state = self.theta.copy(), self.state.copy()
        self._train(theta, state, losses)
        self.theta, self.state, self.done = theta, state, self.done + losses.shape[1]

    def _train(self, theta: Array, state: Array, losses: Array) -> None:
        self.kernel.train(self.update, theta, state, self.columns, losses, self.reduce, self.done + 1)


def update_tape(optimizer: Optimizer) -> Tape:
    """The optimiser's rule as a tape from (parameter, gradient, *state, t) to (parameter, *state).

    >>> from micrograd_xor.optim import SGD
    >>> update_tape(SGD(learning_rate=0.5)).run(1.0, 4.0, 1.0)
    (-1.0,)
    """
    settings = [getattr(optimizer, field.name) for field in fields(optimizer) if field.compare]
    return (_known if all(isinstance(x, int | float) for x in settings) else _traced)(optimizer)


def _traced(optimizer: Optimizer) -> Tape:
    slots = [f"state[{i}]" for i in range(optimizer.slots)]

    def outputs(parameter: Any, gradient: Any, *state_and_t: Any) -> list[Any]:
        *state, t = state_and_t
        moved, state_after = optimizer.update(parameter, gradient, tuple(state), t)
        return [moved, *state_after]

    return Tape.trace(outputs, ["parameter", "gradient", *slots, "t"])


# Optimisers of equal numbers have equal rules; a rate that is a function might not return what it did.
_known = lru_cache(maxsize=64)(_traced)


def _next_chunk(chunk: int, seconds: float) -> int:
    """As many steps as take a breath, but no more than 16 times the last: the first ones are not typical."""
    return max(1, int(chunk * min(16.0, _BREATH / max(seconds, 1e-9))))
