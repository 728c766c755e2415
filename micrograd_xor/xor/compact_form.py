"""The paper's section 1.2 and 2.2 in numpy: any number of hidden units, all patterns and many networks at once.

Shapes: H hidden units, N patterns, and `...` leading axes of a batch of networks, if any. All arrays are float64.
The sums over patterns are means, in nats, and exact where σ saturates: 1 - σ(x) is always taken as σ(-x).
"""
# U, W and X are the paper's names

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograd_xor.state import write
from micrograd_xor.table import number
from micrograd_xor.xor.open_form import PATTERNS, check_whole, hidden_units, parameter_names

Array: TypeAlias = NDArray[np.float64]

X: Array = np.array(PATTERNS)[:, :2]
"""XOR's inputs, (4, 2)."""
R: Array = np.array(PATTERNS)[:, 2]
"""XOR's targets, (4,)."""

_FORMAT = {"format": "micrograd-xor weights", "version": 1}
_LARGEST_FILE = 1 << 24  # bytes: what is larger (or endless, as a device) is no weights file


def _array(name: str, x: ArrayLike) -> Array:
    try:
        array = np.array(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers, got {x!r}. Check its rows.") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers, got {array[~np.isfinite(array)][0]}. Check the data.")
    return array


def _check_shape(name: str, array: Array, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}. Reshape it.")


def check_size(thing: str, x: float) -> None:
    """Raise a ValueError where x is not a finite number of at least 0, a TypeError where it is no number.

    >>> check_size("learning_rate", -1.0)
    Traceback (most recent call last):
    ValueError: learning_rate must be a finite number of at least 0, got -1.0. Start with 1.
    """
    if not 0.0 <= number(x, thing) < np.inf:
        raise ValueError(f"{thing} must be a finite number of at least 0, got {x!r}. Start with 1.")


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one network, or of a batch of networks on leading axes; also holds a gradient.

    U (..., H), b_z (...), W (..., H, 2), b_h (..., H). TypeError where one is not numbers, ValueError where one is
    not finite or of another shape.

    >>> weights = Weights(U=[1, 1], b_z=0, W=[[1, 0], [0, 1]], b_h=[0, 0])
    >>> weights.hidden, weights.names()["w11"]
    (2, 1.0)
    """

    U: Array
    b_z: Array
    W: Array
    b_h: Array

    def __post_init__(self) -> None:
        arrays = {name: _array(name, getattr(self, name)) for name in ("U", "b_z", "W", "b_h")}
        shape = arrays["U"].shape
        check_whole("The number of hidden units", shape[-1] if shape else 0, least=1)
        for name, expected in (("b_z", shape[:-1]), ("W", (*shape, 2)), ("b_h", shape)):
            _check_shape(name, arrays[name], expected)
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    @property
    def hidden(self) -> int:
        """The number of hidden units, H."""
        return int(self.U.shape[-1])

    def __getitem__(self, index: Any) -> "Weights":
        """One network of a batch, or some; index is numpy's, over the leading axes. ValueError where there are none.

        >>> Weights.random(2, seed=0, networks=5)[3].U.shape
        (2,)
        """
        return Weights.from_vector(self.vector()[index])

    @classmethod
    def random(cls, hidden: int, seed: int, scale: float = 1.0, networks: int | None = None) -> "Weights":
        """Every weight and bias uniform in [-scale, scale]; with `networks`, a batch seeded seed, seed + 1, ...

        Network i of a batch is the one that seed + i gives alone. ValueError where an argument is out of its range.

        >>> batch = Weights.random(3, seed=10, networks=4)
        >>> bool((batch[2].W == Weights.random(3, seed=12).W).all())
        True
        """
        check_size("scale", scale)
        check_whole("seed", seed)
        check_whole("networks", 1 if networks is None else networks, least=1)
        size = len(parameter_names(hidden))
        if networks is None:
            return cls.from_vector(np.random.default_rng(seed).uniform(-scale, scale, size))
        return cls.from_vector([np.random.default_rng(seed + i).uniform(-scale, scale, size) for i in range(networks)])

    @classmethod
    def from_vector(cls, vector: ArrayLike) -> "Weights":
        """The network(s) whose parameters, in the order of `parameter_names`, are vector, (..., 4 H + 1).

        >>> Weights.from_vector([1, 2, 3, 4, 5]).W
        array([[3., 4.]])
        """
        vector = _array("vector", vector)
        hidden, rest = divmod(vector.shape[-1] - 1 if vector.ndim else 0, 4)
        if hidden < 1 or rest:
            raise ValueError(f"vector must have shape (..., 4 H + 1), got {vector.shape}. See parameter_names(H).")
        units = vector[..., hidden + 1 :].reshape(*vector.shape[:-1], hidden, 3)
        return cls(vector[..., :hidden], vector[..., hidden], units[..., :2], units[..., 2])

    def vector(self) -> Array:
        """The parameters in the order of `parameter_names`, (..., 4 H + 1): the inverse of `from_vector`."""
        units = np.concatenate([self.W, self.b_h[..., None]], axis=-1)
        return np.concatenate([self.U, self.b_z[..., None], units.reshape(*self.U.shape[:-1], -1)], axis=-1)

    @classmethod
    def from_names(cls, names: Mapping[str, float]) -> "Weights":
        """One network from the open form's names; ValueError where they are no network's."""
        return cls.from_vector([names[name] for name in parameter_names(hidden_units(names))])

    def names(self) -> dict[str, float]:
        """The parameters of one network by the open form's names; ValueError for a batch."""
        if self.b_z.ndim:
            raise ValueError(f"Named weights must be of one network, got a batch of shape {self.b_z.shape}. Index it.")
        return dict(zip(parameter_names(self.hidden), self.vector().tolist(), strict=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one network as JSON, exactly, whole or not at all; OSError where the path cannot be written."""
        write(json.dumps({**_FORMAT, "weights": self.names()}, indent=2) + "\n", path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Weights":
        """Read what `save` wrote; ValueError where the file is something else, OSError where it cannot be read."""
        try:
            with open(path, encoding="utf-8") as file:
                document = json.loads(file.read(_LARGEST_FILE), parse_int=float)
            header, names = {key: document[key] for key in _FORMAT}, document["weights"]
            if header != _FORMAT or any(type(x) is not float for x in names.values()):
                raise ValueError
            return cls.from_names(names)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(
                f"A weights file must be what Weights.save writes, got something else in {str(path)!r}. Save it anew."
            ) from None


class Forward(NamedTuple):
    """The paper's equations evaluated: h_bar and h (..., N, H), z_bar and z (..., N)."""

    h_bar: Array
    h: Array
    z_bar: Array
    z: Array


def forward(weights: Weights, X: ArrayLike = X) -> Forward:
    """Put the patterns X (N, 2) through the network(s); ValueError where X is not finite or of another shape.

    >>> forward(PAPER_WEIGHTS).z.round(8)
    array([0.00115217, 0.99913532, 0.99914375, 0.00102255])
    """
    X = _array("X", X)
    _check_shape("X", X, (*X.shape[:1], 2))
    h_bar = np.swapaxes(np.tensordot(weights.W, X, (-1, -1)), -1, -2) + weights.b_h[..., None, :]
    h = _sigmoid(h_bar)
    z_bar = np.einsum("...nh,...h->...n", h, weights.U) + weights.b_z[..., None]
    return Forward(h_bar, h, z_bar, _sigmoid(z_bar))


def loss(weights: Weights, X: ArrayLike = X, r: ArrayLike = R) -> Array:
    """The mean E over the patterns, in nats, (...): exact at any z̄. ValueError where r (N,) is not within [0, 1].

    >>> round(float(loss(PAPER_WEIGHTS)), 9)
    0.000974395
    """
    z_bar = forward(weights, X).z_bar
    r = _targets(r, z_bar)
    E = np.log1p(np.exp(-np.abs(z_bar))) + r * np.maximum(-z_bar, 0.0) + (1.0 - r) * np.maximum(z_bar, 0.0)
    return np.asarray(E.mean(axis=-1))


def gradient(weights: Weights, X: ArrayLike = X, r: ArrayLike = R) -> Weights:
    """The derivative of `loss` by every parameter, as `Weights` of the same shapes; errors as there.

    >>> zero = Weights(U=[0, 0], b_z=0, W=[[0, 0], [0, 0]], b_h=[0, 0])
    >>> set(gradient(zero).names().values())
    {0.0}
    """
    X = _array("X", X)
    h_bar, h, z_bar, z = forward(weights, X)
    r = _targets(r, z_bar)
    z_minus_r = (z * (1.0 - r) - _sigmoid(-z_bar) * r) / len(r)
    by_h_bar = z_minus_r[..., None] * (_sigmoid(-h_bar) * h * weights.U[..., None, :])
    return Weights(
        U=np.einsum("...n,...nh->...h", z_minus_r, h),
        b_z=z_minus_r.sum(axis=-1),
        W=np.tensordot(np.swapaxes(by_h_bar, -1, -2), X, 1),
        b_h=by_h_bar.sum(axis=-2),
    )


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, e) / (1.0 + e)


def _targets(r: ArrayLike, z_bar: Array) -> Array:
    r = _array("r", r)
    _check_shape("r", r, z_bar.shape[-1:])
    if ((r < 0.0) | (r > 1.0)).any():
        raise ValueError(f"The targets r must be between 0 and 1, got {r.tolist()}. XOR's are 0 and 1.")
    return r


PAPER_WEIGHTS = Weights(
    U=np.array([14.80952344, 14.76101927]),
    b_z=np.array(-7.27497885),
    W=np.array([[-7.65041714, 7.36125404], [7.64177225, -7.8921135]]),
    b_h=np.array([-3.97000899784, -4.12111727682]),
)
"""Figure 4C: the trained network that the paper prints."""
