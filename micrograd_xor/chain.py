"""The chain rule from one node of a graph down to another, in partials between named nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import sympy

from micrograd_xor.equations import Equations
from micrograd_xor.notation import TEXT, Notation
from micrograd_xor.symbolic import multiplied
from micrograd_xor.typeset import Formula, length
from micrograd_xor.value import Value

OPERATIONS, SHORT = 30, 8  # a shared adjoint of more operations, each use counted, gets a name, unless it is short
LONGEST = 100  # so does one that is handed to one node only
PATHS = 1000  # of a derivative along more paths the steps are not listed


class Heading(NamedTuple):
    """The name of a derivative: of a node, or of another derivative, by nodes.

    >>> print(Heading("E", ("w11",)))
    ∂E/∂w₁₁
    """

    of: Any
    by: tuple[str, ...]

    def __str__(self) -> str:
        return self.write(TEXT)

    def write(self, notation: Notation) -> str:
        """The heading in a notation."""
        of = notation.symbol(self.of) if isinstance(self.of, str) else notation.group(self.of.write(notation))
        return notation.derivative(of, [notation.symbol(x) for x in self.by])


class Partial(NamedTuple):
    """One factor of a path: as the table's rule gives it, simplified, and its number."""

    heading: Heading
    rule: Formula
    formula: Formula
    value: float


class Path(NamedTuple):
    """One way down the graph: the names of its nodes, its partials in the order of the chain, and their product."""

    nodes: tuple[str, ...]
    partials: tuple[Partial, ...]
    product: Formula
    value: float

    def sides(self, notation: Notation) -> list[str]:
        """The product in the names of its partials, in their formulas, and multiplied out."""
        headings = [partial.heading.write(notation) for partial in self.partials]
        factors = [replace(partial.formula, factor=True).write(notation) for partial in self.partials]
        steps = [notation.chain(headings), notation.chain(factors)] if len(factors) > 1 else []
        return [*steps, self.product.write(notation)]


@dataclass(frozen=True, eq=False)
class Chain:
    """The chain rule from a node of the graph down to another, in partials between the named nodes on the way.

    `of` is the name of the upper node; `ways` has each named node on the way, the upper first, with the next ones;
    the symbols of `first` are written before all others.
    """

    equations: Equations
    upper: Value
    lower: Value
    of: str | Heading
    ways: dict[Value, list[Value]]
    first: tuple[Any, ...] = ()

    @classmethod
    def between(
        cls, equations: Equations, upper: Value, lower: Value, of: str | Heading, first: Iterable[Any] = ()
    ) -> Chain:
        """The chain over every named node that lies between the two."""
        dependent = {lower}
        for node in equations.order:
            if not dependent.isdisjoint(node.args):
                dependent.add(node)
        named = [x for x in reversed(equations.order) if x in dependent and (x in equations.symbols or x is upper)]
        reached, ways = {upper}, {}
        for node in named:
            if node in reached and node is not lower:
                ways[node] = [x for x in equations.below(node) if x in dependent]
                reached.update(ways[node])
        return cls(equations, upper, lower, of, ways if upper in dependent else {}, tuple(first))

    @property
    def heading(self) -> Heading:
        """The name of the derivative that this chain makes."""
        return Heading(self.of, (self.equations.symbols[self.lower].name,))

    @property
    def connected(self) -> bool:
        """Whether the upper node depends on the lower."""
        return bool(self.ways) or self.upper is self.lower

    @cached_property
    def rank(self) -> dict[Any, int]:
        """The symbols' places along the chain; after them, those of their own formulas."""
        symbols = [
            s
            for node, below in self.ways.items()
            for x in below
            for s in self.equations.in_order(self.equations.partial(node, x).free_symbols)
        ]
        return {s: i for i, s in enumerate(dict.fromkeys([*self.first, *symbols]))}

    @cached_property
    def total(self) -> Any:
        """The sum over all paths, by one reverse sweep: a node's adjoint is complete before it is handed on."""
        shares = defaultdict(list, {self.upper: [sympy.S.One]})
        for node, below in self.ways.items():
            adjoint = self._shared(shares.pop(node), len(below))
            for x in below:
                shares[x].append(multiplied([adjoint, self.equations.partial(node, x)]))
        return self.equations.positive(self._shared(shares[self.lower], 0))

    @property
    def hands_down(self) -> bool:
        """Whether the lower node gets an adjoint as it is, by partials of 1 only."""
        last = [node for node, below in self.ways.items() if self.lower in below]
        return (
            self.total.is_Add
            and self.upper not in last
            and all(self.equations.partial(node, self.lower) == 1 for node in last)
        )

    def formula(self, expression: Any, **options: Any) -> Formula:
        """An expression, to be written in the order of this chain."""
        return Formula(expression, self.rank, **options)

    @cached_property
    def paths(self) -> list[Path]:
        """Every path, later recorded nodes first."""
        if (n := self._count()) > PATHS:
            raise ValueError(f"The steps must be at most {PATHS} paths, got {n}. Derive by a node that is nearer.")
        paths: list[Path] = []
        stack: list[tuple[Value, ...]] = [(self.upper,)]
        while stack:
            nodes = stack.pop()
            if nodes[-1] is self.lower:
                paths.append(self._path(nodes))
            stack += [(*nodes, x) for x in reversed(self.ways.get(nodes[-1], ()))]
        return paths

    def _shared(self, shares: list[Any], uses: int) -> Any:
        """An adjoint, or a fresh name for it where it would be too long to write as often as it is used."""
        adjoint = shares[0] if len(shares) == 1 else self.equations.tidy(sympy.Add(*shares))
        if length(adjoint) <= SHORT or length(adjoint) * uses <= (OPERATIONS if uses > 1 else LONGEST):
            return adjoint
        name = self.equations.name(adjoint)
        self.rank[name] = -1  # it stands for the upper part of the chain
        return name

    def _count(self) -> int:
        ways = {self.upper: 1}
        for node, below in self.ways.items():
            for x in below:
                ways[x] = ways.get(x, 0) + ways[node]
        return ways.get(self.lower, 0)

    def _path(self, nodes: tuple[Value, ...]) -> Path:
        partials = tuple(map(self._partial, nodes, nodes[1:]))
        product = multiplied([partial.formula.expression for partial in partials])
        value = prod(partial.value for partial in partials)
        return Path(
            tuple(str(self._name(node)) for node in nodes),
            partials,
            self.formula(self.equations.positive(product)),
            value,
        )

    def _partial(self, node: Value, x: Value) -> Partial:
        formula = self.equations.positive(self.equations.partial(node, x))
        return Partial(
            Heading(self._name(node), (self.equations.symbols[x].name,)),
            self.formula(self.equations.rule(node, x)),
            self.formula(formula),
            float(self.equations.evaluate(formula, {})),
        )

    def _name(self, node: Value) -> Any:
        return self.of if node is self.upper else self.equations.symbols[node].name
