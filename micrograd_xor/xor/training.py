"""Gradient descent through the engine: record the mean loss, sweep, step; one graph an iteration."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import isfinite

import numpy as np

from micrograd_xor.ops import total
from micrograd_xor.optim import SGD
from micrograd_xor.value import Value
from micrograd_xor.xor.compact_form import Array, Weights, check_size
from micrograd_xor.xor.open_form import PATTERNS, check_whole, open_form

ENGINES = ("compiled", "eager")


@dataclass(frozen=True, eq=False)
class History:
    """What a training run leaves: the mean E before each iteration and after the last, and the weights.

    `losses` (iterations + 1,) float64, nats; `snapshots` the recorded weights by iteration; `final` the weights
    that the last of `losses` belongs to. An interrupted run holds the iterations that it did.
    """

    losses: Array
    snapshots: dict[int, Weights]
    final: Weights
    learning_rate: float
    seed: int | None = None


def mean_loss(weights: Mapping[str, float | Value]) -> Value:
    """Record the mean E over the four patterns, in nats, on shared weights; errors as `open_form`.

    >>> from micrograd_xor.xor.open_form import parameter_names
    >>> mean_loss(dict.fromkeys(parameter_names(2), 0.0)).data
    0.6931471805599453
    """
    summed: Value = total(open_form(weights, *pattern, stable=True).E for pattern in PATTERNS)
    return summed / len(PATTERNS)


def train(
    weights: Weights,
    *,
    iterations: int = 4000,
    learning_rate: float = 1.0,
    record: Collection[int] = (),
    progress: Callable[[int, float], None] | None = None,
    seed: int | None = None,
    engine: str = "eager",
) -> History:
    """Train one network on XOR, full batch, by gradient descent through the engine; Ctrl-C returns what is there.

    `record` lists the iterations to keep the weights of (0 is the start); `progress(iteration, loss)` is called
    after each; `seed` is kept in the history. The "eager" engine records a graph at each iteration; the "compiled"
    one records one, once, and runs the loop in a program: equal to rounding, and told of now and then.
    ValueError where an argument is out of range or the loss does not stay finite.

    >>> history = train(Weights.random(2, seed=0), iterations=3, record=[0, 3], seed=0)
    >>> history.losses.shape, sorted(history.snapshots), history.seed
    ((4,), [0, 3], 0)
    """
    _check(iterations, learning_rate, record)
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}. Choose one of them.")
    if engine == "compiled":
        return _train_compiled(weights, iterations, learning_rate, record, progress, seed)
    losses: list[float] = []
    points: dict[int, dict[str, float]] = {}
    try:
        for i, (loss, point) in enumerate(islice(_descent(weights, learning_rate), iterations + 1)):
            points[i] = point
            losses.append(loss)  # in this order: wherever Ctrl-C falls, the last loss has its point
            if i - 1 not in record:
                points.pop(i - 1, None)
            if progress:
                progress(i, loss)
    except KeyboardInterrupt:
        if not losses:
            raise
    last = len(losses) - 1
    snapshots = {i: Weights.from_names(points[i]) for i in sorted(record) if i <= last}
    return History(np.array(losses), snapshots, Weights.from_names(points[last]), learning_rate, seed)


def _train_compiled(
    weights: Weights,
    iterations: int,
    learning_rate: float,
    record: Collection[int],
    progress: Callable[[int, float], None] | None,
    seed: int | None,
) -> History:
    from micrograd_xor.compiler import compile  # here, for it is worth its import only to those who compile

    start = weights.names()
    form = open_form(start, *PATTERNS[0], stable=True)
    program = compile(form.E, list(form.parameters.values()), [form[name] for name in ("x1", "x2", "r")], reduce="mean")
    descent = program.train(
        list(start.values()),
        *np.array(PATTERNS).T,
        steps=iterations,
        optimizer=SGD(learning_rate),
        record=record,
        progress=(lambda i, loss: progress(i, float(loss[0]))) if progress else None,
    )
    for x in (*descent.losses, *descent.theta):
        _check_finite(x, learning_rate)
    snapshots = {i: Weights.from_names(dict(zip(start, theta, strict=True))) for i, theta in descent.snapshots.items()}
    final = Weights.from_names(dict(zip(start, descent.theta, strict=True)))
    return History(descent.losses, snapshots, final, learning_rate, seed)


def _descent(weights: Weights, learning_rate: float) -> Iterator[tuple[float, dict[str, float]]]:
    """The mean loss and the weights that it belongs to, at the start and after each step."""
    parameters = {name: Value(x, label=name) for name, x in weights.names().items()}
    while True:
        loss = mean_loss(parameters)
        _check_finite(loss.data, learning_rate)
        yield loss.data, {name: w.data for name, w in parameters.items()}
        loss.backward()
        for w in parameters.values():
            w.data -= learning_rate * w.grad
            w.grad = 0.0
            _check_finite(w.data, learning_rate)


def _check(iterations: int, learning_rate: float, record: Collection[int]) -> None:
    check_whole("iterations", iterations)
    check_size("learning_rate", learning_rate)
    beyond = [i for i in record if i not in range(iterations + 1)]
    if beyond:
        raise ValueError(f"record must hold iterations within 0 .. {iterations}, got {beyond[0]!r}. Drop it.")


def _check_finite(x: float, learning_rate: float) -> None:
    if not isfinite(x):
        raise ValueError(f"learning_rate must keep the loss finite, got {learning_rate!r}. Lower it.")
