"""The paper's section 3 as computations: train, check every partial derivative, vary the number of hidden units.

Nothing here draws or prints; `figures` and `report` do, from the `Study` that `study` returns.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from micrograd_xor.draw import pretty
from micrograd_xor.gradient import derivative
from micrograd_xor.xor.closed_form import CLOSED_FORMS, COMPACT_FORMS, ClosedForm
from micrograd_xor.xor.compact_form import Array, R, Weights, forward, gradient, loss
from micrograd_xor.xor.open_form import PATTERNS, OpenForm, open_form
from micrograd_xor.xor.training import History, train

Progress: TypeAlias = Callable[[str, int, int], None]
"""What is told of a long computation: its name, the iterations done and the iterations to do."""

PANELS = (1000, 2000, 3000, 4000)
"""The iterations that Figures 2 and 3 show."""
SIZES = (2, 3, 4, 5, 8)
"""The numbers of hidden units that Figure 1 compares."""
PLATEAUS = {
    "ln 2: all four patterns tied at ½": np.log(2.0),
    "¾ H(⅓): three patterns tied": 0.75 * np.log(3.0) - 0.5 * np.log(2.0),
    "½ ln 2: two patterns of opposite label tied": np.log(2.0) / 2.0,
}
"""The mean losses, in nats, of the saddles on which gradient descent can linger."""


def solved(weights: Weights) -> NDArray[np.bool_]:
    """Whether each network puts all four outputs on the right side of 1/2, (...).

    >>> from micrograd_xor.xor.compact_form import PAPER_WEIGHTS
    >>> bool(solved(PAPER_WEIGHTS))
    True
    """
    return np.asarray(((forward(weights).z_bar > 0.0) == (R > 0.5)).all(axis=-1))


def nearest_plateau(mean_loss: float) -> str:
    """The plateau whose loss is closest to a mean loss, in words.

    >>> nearest_plateau(0.35)
    '½ ln 2: two patterns of opposite label tied'
    """
    return min(PLATEAUS, key=lambda name: abs(PLATEAUS[name] - mean_loss))


@dataclass(frozen=True, eq=False)
class Convergence:
    """Many networks of one size trained side by side: losses, in nats, and successes at `iterations` (K,).

    `losses` (K, networks) float64, `solved` (K, networks) bool.
    """

    hidden: int
    iterations: NDArray[np.int64]
    losses: Array
    solved: NDArray[np.bool_]

    def quartiles(self) -> Array:
        """The lower quartile, the median and the upper quartile of the losses, (3, K)."""
        return np.asarray(np.quantile(self.losses, [0.25, 0.5, 0.75], axis=1))

    def fraction_solved(self) -> Array:
        """The fraction of the networks that solve XOR, (K,)."""
        return np.asarray(self.solved.mean(axis=1))


def convergence(
    hidden: int,
    *,
    networks: int = 200,
    iterations: int = 2000,
    learning_rate: float = 1.0,
    seed: int = 0,
    every: int = 10,
    progress: Progress | None = None,
) -> Convergence:
    """Train a batch of networks by the compact form, full batch, seeded seed, seed + 1, ...

    ValueError where hidden is below 1 or the weights do not stay finite.

    >>> runs = convergence(3, networks=5, iterations=20)
    >>> runs.losses.shape, runs.iterations.tolist()
    ((3, 5), [0, 10, 20])
    """
    weights = Weights.random(hidden, seed, networks=networks)
    losses, successes = [], []
    for i in range(iterations + 1):
        if i % every == 0:
            losses.append(loss(weights))
            successes.append(solved(weights))
            if progress:
                progress(f"Figure 1, {hidden} hidden units", i, iterations)
        weights = Weights.from_vector(weights.vector() - learning_rate * gradient(weights).vector())
    return Convergence(hidden, np.arange(len(losses)) * every, np.array(losses), np.array(successes))


@dataclass(frozen=True, eq=False)
class Comparison:
    """A partial derivative by the engine and by its closed form, for the pattern x = (1, 1), where no factor is 0.

    `difference` is the largest relative one over the four patterns and over both ways to get it from the engine,
    the reverse sweep and `derivative`; `ok` whether each was within 1e-12 and what rounding must cost where a σ
    saturates.
    """

    row: ClosedForm
    engine: Array
    closed: Array
    difference: float
    ok: bool

    @property
    def formula(self) -> str:
        """The closed form, as the paper writes it.

        >>> from micrograd_xor.xor.compact_form import PAPER_WEIGHTS
        >>> compare(PAPER_WEIGHTS)[19].formula
        '(z − r) u₁ h₁ (1 − h₁) x₁'
        """
        return re.sub(r"[A-Za-z][A-Za-z0-9_]*", lambda name: pretty(name[0]), self.row.text).replace("-", "−")

    @property
    def partial(self) -> str:
        """The partial's name, as the paper writes it.

        >>> from micrograd_xor.xor.compact_form import PAPER_WEIGHTS
        >>> compare(PAPER_WEIGHTS)[1].partial
        '∂z/∂z̄'
        """
        return f"∂{pretty(self.row.of)}/∂{pretty(self.row.by)}"


def compare(weights: Weights) -> list[Comparison]:
    """Every partial derivative of the paper, by the engine against its closed form: 25 rows and 4 compact ones.

    With one hidden unit the rows of the second fall away; the compact rows cover the units beyond it.
    ValueError where σ saturates to exactly 0 or 1, since the paper's E is infinite there.
    """
    forms = [open_form(weights.names(), *pattern) for pattern in PATTERNS]
    open_rows = [row for row in CLOSED_FORMS.values() if {row.of, row.by} <= forms[0].nodes().keys()]
    open_results = [[_compare(row, form.numbers(), _partials(form, row)) for form in forms] for row in open_rows]
    compact_results = [
        [_compare(row, _arrays(form), _gradients(form, row)) for form in forms] for row in COMPACT_FORMS.values()
    ]
    return [_worst(results) for results in open_results + compact_results]


def shown(x: Array, digits: int) -> str:
    """A number of a `Comparison` to so many digits; of an array its shape.

    >>> shown(np.array(0.5), 3), shown(np.zeros((2, 1)), 3)
    ('0.5', '2 × 1')
    """
    return " × ".join(map(str, x.shape)) if x.ndim else f"{float(x):.{digits}g}"


def agreement(comparisons: list[Comparison]) -> str:
    """Which partials are off, if any, and the largest difference, in two sentences."""
    off = [c.row.id for c in comparisons if not c.ok]
    outcome = f"Off: {', '.join(off)}." if off else f"All {len(comparisons)} agree."
    return f"{outcome} Largest relative difference: {max(c.difference for c in comparisons):.1e}."


def _worst(patterns: list[Comparison]) -> Comparison:
    shown = patterns[-1]
    difference = max(c.difference for c in patterns)
    return Comparison(shown.row, shown.engine, shown.closed, difference, all(c.ok for c in patterns))


def _compare(row: ClosedForm, names: Mapping[str, Any], engine: Sequence[Any]) -> Comparison:
    closed = np.asarray(row.function(names))
    error = np.max([abs(np.reshape(x, closed.shape) - closed) for x in engine], axis=0)
    with np.errstate(divide="ignore"):
        relative = np.divide(error, abs(closed), out=np.zeros(closed.shape), where=error > 0.0)
    chain = 2.0**-50 / (1.0 - names["z"]) if row.of == "E" else 0.0  # the paper's E takes log(1 - z), which cancels
    ok = (error <= (1e-12 + chain) * abs(closed) + _rounding(row, names, closed) + sys.float_info.min).all()
    return Comparison(row, np.reshape(engine[0], closed.shape), closed, float(relative.max()), bool(ok))


def _rounding(row: ClosedForm, names: Mapping[str, Any], closed: Array) -> Array:
    """How far the closed form moves when its operands move by four ulp: z - r cancels, and cannot be known better."""
    nudged = [row.function({**names, name: x * (1.0 - 2.0**-50)}) for name, x in names.items()]
    return np.asarray(sum(abs(x - closed) for x in nudged))


def _partials(form: OpenForm, row: ClosedForm) -> list[float]:
    of, by = form[row.of], form[row.by]
    of.zero_grad()
    of.backward()
    return [by.grad, derivative(of, by).data]


def _gradients(form: OpenForm, row: ClosedForm) -> list[Array]:
    form.E.zero_grad()
    form.E.backward()
    gradient = Weights.from_names({name: w.grad for name, w in form.parameters.items()})
    return [getattr(gradient, row.by)]


def _arrays(form: OpenForm) -> dict[str, Any]:
    """The numbers in the paper's shapes: U (1, H), h (H, 1), x (2, 1)."""
    numbers = form.numbers()
    return {
        "z": numbers["z"],
        "r": numbers["r"],
        "U": Weights.from_names({name: numbers[name] for name in form.parameters}).U[None],
        "h": np.array([[h.data] for h in form.h]),
        "x": np.array([[numbers["x1"]], [numbers["x2"]]]),
    }


@dataclass(frozen=True, eq=False)
class Study:
    """What the study found: the trained network's history, Figure 1's runs, and the check of the partials.

    `iterations` is what was asked for, 0 where weights were given to be studied untrained; `refusal` says why there
    is no check, where there is none.
    """

    history: History
    iterations: int
    convergence: list[Convergence]
    comparisons: list[Comparison]
    refusal: str = ""

    @property
    def trained(self) -> bool:
        """Whether the weights were trained here."""
        return self.iterations > 0

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it early."""
        return len(self.history.losses) <= self.iterations or len(self.convergence) < len(SIZES)

    @property
    def panels(self) -> dict[int, Weights]:
        """The weights that Figures 2 and 3 show, by iteration; the last are the final ones, interrupted or not."""
        return {**self.history.snapshots, len(self.history.losses) - 1: self.history.final}


def study(
    weights: Weights,
    *,
    iterations: int = 4000,
    learning_rate: float = 1.0,
    seed: int = 0,
    networks: int = 200,
    engine: str = "compiled",
    progress: Progress | None = None,
) -> Study:
    """The whole of it: train (0 iterations: take the weights as they are), check, and vary the hidden units.

    Ctrl-C ends the training or Figure 1 early and keeps what was done. ValueError as `train`.
    """
    panels = [i for i in PANELS if i < iterations] + [iterations]
    told = progress or (lambda *_: None)
    history = train(
        weights,
        iterations=iterations,
        learning_rate=learning_rate,
        record=panels,
        progress=(lambda i, _: told("Training", i, iterations)) if iterations else None,
        seed=seed,
        engine=engine,
    )
    runs: list[Convergence] = []
    try:
        runs.extend(  # it keeps the sizes that were done before a Ctrl-C
            convergence(hidden, networks=networks, learning_rate=learning_rate, seed=seed, progress=told)
            for hidden in SIZES
        )
    except KeyboardInterrupt:
        told("Figure 1, interrupted", 1, 1)
    try:
        return Study(history, iterations, runs, compare(history.final))
    except ValueError as error:
        return Study(history, iterations, runs, [], str(error))


def verdict(study: Study) -> str:
    """Whether the network solves XOR, in a sentence or two; where it does not, the plateau that it is on."""
    history, mean_loss = study.history, float(study.history.losses[-1])
    after = f" after {len(history.losses) - 1} iterations" if study.trained else ""
    if solved(history.final):
        return f"Solves XOR: all four outputs lie on the right side of ½, with a mean E of {mean_loss:.6g} nats{after}."
    plateau = nearest_plateau(mean_loss)
    return (
        f"Does not solve XOR: a mean E of {mean_loss:.6g} nats{after}. "
        f"The nearest plateau is {plateau}, E = {PLATEAUS[plateau]:.6f}. The plateaus of two hidden units "
        "are saddles, not minima: more iterations may leave it, and another seed or more hidden units avoid it."
    )
