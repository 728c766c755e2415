"""Closed forms from a recorded graph: every derivative as a textbook prints it, with its steps and its numbers.

derive(E, w)      one derivative, in the names of the labelled nodes
derive_all(E)     every local partial of the graph, and every derivative of E
explain(E, w)     the chain rule with the number beside each factor
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from micrograd_xor.chain import Chain, Heading, Path
from micrograd_xor.equations import Equations
from micrograd_xor.notation import LATEX, TEXT, Notation
from micrograd_xor.symbolic import native
from micrograd_xor.table import number
from micrograd_xor.typeset import Formula
from micrograd_xor.value import Value


@dataclass(frozen=True, eq=False)
class Derivation:
    """A derivative in closed form. `str` writes its equation; a call puts numbers in.

    The formula is in symbols named by the labels, and in fresh names t1, t2, ... where it would be too long without.

    >>> x = Value(3.0, label="x")
    >>> slope = derive(x.exp() * x, x)
    >>> print(slope)
    ∂f/∂x = (1 + x) exp(x)
    >>> slope(x=0.0)
    1.0
    """

    heading: Heading
    formula: Formula
    chain: Chain
    expand: bool = False

    @property
    def expression(self) -> Any:
        """The closed form in SymPy; 0 where the one node does not depend on the other."""
        x = self.formula.expression
        return native(self.chain.equations.written_out(x) if self.expand else x)

    @property
    def text(self) -> str:
        """The closed form in Unicode."""
        return self.formula.text

    @property
    def latex(self) -> str:
        """The closed form in LaTeX, without dollars."""
        return self.formula.latex

    @property
    def where(self) -> dict[str, Formula]:
        """What the fresh names stand for, each after those that its own formula needs."""
        equations = self.chain.equations
        names = equations.needed(self.formula.expression, self.expand)
        return {symbol.name: self._definition(symbol) for symbol in names if not equations.is_labelled(symbol)}

    @property
    def value(self) -> float:
        """The derivative's number now, at the data of the nodes that the formula names."""
        return self()

    @property
    def steps(self) -> list[Path]:
        """Every path between the two nodes; the derivative is the sum of their products. ValueError beyond 1000."""
        return self.chain.paths

    def __call__(self, **numbers: float) -> float:
        """The derivative at other numbers of the named nodes; those not given keep their data.

        TypeError where a name is no node's, ValueError or ArithmeticError where the formula is not defined there.
        """
        given = {sympy.Symbol(name): number(x, name) for name, x in numbers.items()}
        for symbol in given:
            if symbol not in self.chain.equations.nodes:
                raise TypeError(f"A derivation's argument must be a node of its graph, got {symbol}. Use its label.")
        try:
            return float(self.chain.equations.evaluate(self.formula.expression, given, self.expand))
        except (ValueError, ArithmeticError) as error:
            raise type(error)(f"{self.heading} must be evaluated where it is defined: {error}") from None

    def record(self) -> Value:
        """The closed form as a new graph on the nodes that it names: to differentiate, draw or compile it."""
        equations = self.chain.equations
        result = equations.evaluate(self.formula.expression, equations.nodes)
        return result if isinstance(result, Value) else Value(result)

    def equation(self, notation: Notation = TEXT) -> str:
        """The heading, an equals sign and the closed form, in a notation."""
        return notation.equation(self.heading.write(notation), self.formula.write(notation))

    def definitions(self, notation: Notation = TEXT) -> list[str]:
        """An equation for each fresh name."""
        return [notation.equation(notation.symbol(name), f.write(notation)) for name, f in self.where.items()]

    def _definition(self, symbol: Any) -> Formula:
        equations, inline = self.chain.equations, self.formula.inline
        if symbol in equations.nodes:
            return equations.formula(symbol, inline)
        return self.chain.formula(equations.definition[symbol], inline=inline)

    def __str__(self) -> str:
        remark = "" if self.chain.connected else f", for nothing leads there from {TEXT.symbol(self.heading.by[-1])}"
        return "\n".join([self.equation() + remark, *(f"    where {line}" for line in self.definitions())])

    def _repr_latex_(self) -> str:
        return r"$\displaystyle " + r",\quad ".join([self.equation(LATEX), *self.definitions(LATEX)]) + "$"


def derive(a: Value, b: Value, *more: Value, expand: bool = False) -> Derivation:
    """∂a/∂b in closed form, between any two nodes of a graph; with `more` nodes, a derivative of higher order.

    The formula stops at labelled nodes; with `expand` it goes through the labels down to the leaves. TypeError where an
    operation on the way is no row of the table; ValueError where two nodes bear one label or the graph is too large.

    >>> w, x = Value(2.0, label="w"), Value(3.0, label="x")
    >>> y = (w * x).tanh()
    >>> y.label = "y"
    >>> print(derive(y, w), derive(y, w, expand=True), derive(y, w, w), sep="\\n")
    ∂y/∂w = (1 - y²) x
    ∂y/∂w = (1 - tanh(w x)²) x
    ∂²y/∂w∂w = -2 y (1 - y²) x²
    """
    by = (b, *more)
    _check_values("derive", a, *by)
    root, first = a, list[Any]()
    for node in by[:-1]:
        slope = derive(root, node)
        root, first = slope.record(), [*first, *slope.chain.rank]
    equations = Equations(root, by)
    names = tuple(equations.symbols[node].name for node in by)
    name = a.label or equations.unlabelled
    chain = Chain.between(equations, root, by[-1], Heading(name, names[:-1]) if more else name, first)
    return _derivation(chain, Heading(name, names), expand)


def explain(a: Value, b: Value) -> Explanation:
    """The chain rule from a down to b with the numbers beside each factor, path by path: what one does by hand.

    >>> w, x = Value(2.0, label="w"), Value(3.0, label="x")
    >>> p = w * x
    >>> p.label = "p"
    >>> explain(p * p, w)
    f ← p ← w
        ∂f/∂p = 2 p = 12
        ∂p/∂w = x = 3
        product = 2 p x = 36
    ∂f/∂w = 36
    """
    return Explanation(derive(a, b))


@dataclass(frozen=True, eq=False)
class Explanation:
    """A derivation with its numbers; shown as text."""

    derivation: Derivation

    @property
    def value(self) -> float:
        """The sum over the paths: the number that a reverse sweep leaves in `grad`."""
        return sum(path.value for path in self.derivation.steps)

    def __str__(self) -> str:
        steps = self.derivation.steps
        products = TEXT.sum([(path.value < 0.0, f"{abs(path.value):.6g}") for path in steps]) if len(steps) > 1 else ""
        total = TEXT.equation(self.derivation.heading.write(TEXT), *filter(None, [products]), f"{self.value:.6g}")
        return "\n".join([*map(_explained, steps), total])

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Derivations:
    """Every derivative of a graph, operands first: `local` partials between neighbours, and `total` ones of the root.

    Both are keyed by the names of the two nodes, as ("E", "w11").
    """

    local: dict[tuple[str, str], Derivation]
    total: dict[tuple[str, str], Derivation]

    def __str__(self) -> str:
        return "\n".join(dict.fromkeys(map(str, [*self.local.values(), *self.total.values()])))

    def _repr_latex_(self) -> str:
        rows = dict.fromkeys(row.equation(LATEX) for row in [*self.local.values(), *self.total.values()])
        return r"$$\begin{aligned} " + r" \\ ".join(row.replace(" = ", " &= ", 1) for row in rows) + r" \end{aligned}$$"


def derive_all(root: Value) -> Derivations:
    """Every local partial of the graph below root, and the derivative of root by every named node.

    >>> x = Value(3.0, label="x")
    >>> y = x * x
    >>> y.label = "y"
    >>> print(derive_all(y * y))
    ∂y/∂x = 2 x
    ∂f/∂y = 2 y
    ∂f/∂x = 4 y x
    """
    _check_values("derive_all", root)
    equations = Equations(root)
    name = {root: equations.unlabelled} | {node: symbol.name for node, symbol in equations.symbols.items()}
    local = [
        Chain(equations, node, x, name[node], {node: [x]})
        for node in equations.order
        if node in name and node.op is not None
        for x in equations.below(node)
    ]
    total = [Chain.between(equations, root, x, name[root]) for x in equations.symbols if x is not root]
    return Derivations(_table(local), _table(total))


def _table(chains: list[Chain]) -> dict[tuple[str, str], Derivation]:
    return {(chain.heading.of, *chain.heading.by): _derivation(chain) for chain in chains}


def _check_values(function: str, *nodes: Value) -> None:
    for node in nodes:
        if not isinstance(node, Value):
            raise TypeError(f"{function} must be given Values, got {node!r}. Derive by a Value that was recorded.")


def _derivation(chain: Chain, heading: Heading | None = None, expand: bool = False) -> Derivation:
    equations, inline = chain.equations, dict[Any, Formula]()
    if expand:
        for x in (chain.total, *map(equations.definition.__getitem__, equations.needed(chain.total, expand))):
            equations.written_out(x)  # or a ValueError: it is too long
        inline.update({s: equations.formula(s, inline) for s in equations.definition if equations.is_labelled(s)})
    formula = chain.formula(chain.total, inline=inline, factor=chain.hands_down)
    return Derivation(heading or chain.heading, formula, chain, expand)


def _explained(path: Path) -> str:
    lines = [(str(p.heading), p.formula.text, p.value) for p in path.partials]
    if len(lines) > 1:
        lines.append(("product", path.product.text, path.value))
    steps = [f"    {name} = {formula} = {value:.6g}" for name, formula, value in lines]
    return "\n".join([" ← ".join(map(TEXT.symbol, path.nodes)), *steps])
