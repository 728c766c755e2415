"""The paper's section 1.1: the network's equations, recorded with Values under the paper's names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from math import isfinite
from numbers import Integral
from operator import add

from micrograd_xor.ops import binary_cross_entropy, log, sigmoid
from micrograd_xor.value import Value

PATTERNS = ((0.0, 0.0, 0.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))
"""XOR: the four (x1, x2, r)."""


def check_whole(thing: str, x: object, least: int = 0) -> None:
    """Raise a ValueError where x is not a whole number of at least `least`.

    >>> check_whole("networks", 0, least=1)
    Traceback (most recent call last):
    ValueError: networks must be a whole number of at least 1, got 0. Give an int.
    """
    if not isinstance(x, Integral) or x < least:
        raise ValueError(f"{thing} must be a whole number of at least {least}, got {x!r}. Give an int.")


@lru_cache
def parameter_names(hidden: int) -> tuple[str, ...]:
    """The names of the 4 * hidden + 1 parameters: u1 .. uH, b_z, then w_j1, w_j2, b_j of each hidden unit j.

    ValueError where hidden is not a whole number of at least 1.

    >>> parameter_names(2)
    ('u1', 'u2', 'b_z', 'w11', 'w12', 'b1', 'w21', 'w22', 'b2')
    """
    check_whole("hidden", hidden, least=1)
    units = range(1, hidden + 1)
    return (*(f"u{j}" for j in units), "b_z", *(name for j in units for name in (f"w{j}1", f"w{j}2", f"b{j}")))


def hidden_units(names: Collection[str]) -> int:
    """The number of hidden units of the network whose parameters have these names, in any order.

    ValueError where they are no network's names.

    >>> hidden_units(["u1", "b_z", "w11", "w12", "b1"])
    1
    """
    hidden = max(len(names) // 4, 1)
    wrong = sorted(set(names) ^ set(parameter_names(hidden)), key=str)
    if wrong:
        raise ValueError(
            f"The weights must be named u1 .. uH, b_z, w11, w12, b1, ..., wH1, wH2, bH, "
            f"got {', '.join(map(str, wrong[:4]))} too few or too many. parameter_names(H) lists them."
        )
    return hidden


@dataclass(frozen=True, eq=False)
class OpenForm:
    """The recorded network for one pattern: `form["h1_bar"]` is the node that the paper calls h̄1.

    `h` and `h_bar` hold a node for each hidden unit, `parameters` and `inputs` (x1, x2, r) the leaves by name.
    """

    E: Value
    z: Value
    z_bar: Value
    h: list[Value]
    h_bar: list[Value]
    parameters: dict[str, Value]
    inputs: dict[str, Value]

    def __getitem__(self, name: str) -> Value:
        """The node of that name; KeyError where the paper has none."""
        return self.nodes()[name]

    def nodes(self) -> dict[str, Value]:
        """Every node that the paper names, operands first: the inputs, the parameters, h1_bar .. hH, z_bar, z, E."""
        nodes = {**self.inputs, **self.parameters}
        for j, (h_bar, h) in enumerate(zip(self.h_bar, self.h, strict=True), 1):
            nodes[f"h{j}_bar"], nodes[f"h{j}"] = h_bar, h
        return {**nodes, "z_bar": self.z_bar, "z": self.z, "E": self.E}

    def numbers(self) -> dict[str, float]:
        """The number in each node that the paper names: what a closed form is evaluated on."""
        return {name: node.data for name, node in self.nodes().items()}


def open_form(
    weights: Mapping[str, float | Value],
    x1: float | Value,
    x2: float | Value,
    r: float | Value,
    *,
    stable: bool = False,
) -> OpenForm:
    """Record the paper's equations for one pattern (x1, x2) and target r, for any number of hidden units.

    E is in nats and as the paper writes it: ValueError once σ saturates to exactly 0 or 1. With `stable` it is the same
    loss taken from z̄, exact at any z̄; training records that one. Numbers become labelled leaves; Values are used as
    they are, so that patterns can share parameters. ValueError where the weights' names are no network's, a leaf is
    not finite or r lies outside [0, 1].

    >>> form = open_form({"u1": 1.0, "b_z": -0.5, "w11": 1.0, "w12": 2.0, "b1": -1.0}, 1.0, 0.0, 1.0)
    >>> form["h1_bar"].data, form.z.data, form.E.data
    (0.0, 0.5, 0.6931471805599453)
    """
    units = range(1, hidden_units(weights) + 1)
    p = {name: _leaf(name, weights[name]) for name in parameter_names(len(units))}
    x1, x2, r = _leaf("x1", x1), _leaf("x2", x2), _target(r)
    h_bar = [p[f"w{j}1"] * x1 + p[f"w{j}2"] * x2 + p[f"b{j}"] for j in units]
    h = [sigmoid(h_bar_j) for h_bar_j in h_bar]
    z_bar = reduce(add, [p[f"u{j}"] * h_j for j, h_j in zip(units, h, strict=True)]) + p["b_z"]
    z = sigmoid(z_bar)
    cross_entropy = binary_cross_entropy(z_bar, r) if stable else -r * log(z) - (1.0 - r) * log(1.0 - z)
    form = OpenForm(cross_entropy, z, z_bar, h, h_bar, p, {"x1": x1, "x2": x2, "r": r})
    for name, node in form.nodes().items():
        node.label = node.label or name
    return form


def _leaf(name: str, x: float | Value) -> Value:
    leaf = x if isinstance(x, Value) else Value(x, label=name)
    if not isfinite(leaf.data):
        raise ValueError(f"{name} must be a finite number, got {leaf.data!r}. Check the weights and the data.")
    return leaf


def _target(r: float | Value) -> Value:
    leaf = _leaf("r", r)
    if not 0.0 <= leaf.data <= 1.0:
        raise ValueError(f"The target r must be between 0 and 1, got {leaf.data!r}. XOR's are 0 and 1.")
    return leaf
