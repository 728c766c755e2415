"""A recorded graph as equations in SymPy, between its named nodes, and the partials of each.

The table's rules run on expressions, so there is no list of derivatives here. SymPy simplifies; what is
ours is where to stop and which way round to write a difference: 1 - h, not h - 1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

import sympy

from micrograd_xor.symbolic import (
    DEEPEST,
    LONGEST,
    Term,
    evaluate,
    expression,
    fits,
    has_both_signs,
    multiplied,
    rule,
    terms,
    textbook_rule,
    usual,
)
from micrograd_xor.table import Op
from micrograd_xor.typeset import Formula, depth, is_negative, length
from micrograd_xor.value import Operand, Value, topological_order

NODES = 10_000  # the largest graph that is turned into formulas: about ten seconds
OPERATIONS = 20  # a shared formula of more operations, each use counted, gets a name of its own: t1, t2, ...
SHORT = 4  # ... but a short formula is written out however often it is used
LEVELS, WIDTH = 16, 400  # so does any that is nested deeper, or has more operations
FACTORED = 40  # a formula of more operations, or of more terms when multiplied out, is not factored: it takes minutes

Rule = Callable[[Op, int, tuple[Any, ...], Any], Any]


class Equations:
    """The nodes below `root` as formulas of each other: `definition[symbol]` in symbols of earlier nodes.

    A node is named, and formulas stop at it, where it has a label, is a leaf, is one of `named`, or where its formula
    would take too long to write out as often as it is used. ValueError where two nodes bear one label or the
    graph is too large.
    """

    def __init__(self, root: Value, named: tuple[Value, ...] = ()):
        self.order = topological_order(root, *named)
        if len(self.order) > NODES:
            raise ValueError(
                f"The graph to derive must have at most {NODES} nodes, got {len(self.order)}. Derive a part of it."
            )
        self.symbols: dict[Value, Any] = {}
        self.definition: dict[Any, Any] = {}
        labels = _labels(self.order)
        self._fresh = (name for name in map("t{}".format, count(1)) if name not in labels)
        self.unlabelled = "f" if "f" not in labels else next(self._fresh)
        self._place = {node: i for i, node in enumerate(self.order)}
        self._formula: dict[Value, Any] = {}
        self._size: dict[Value, int] = {}
        self._sums: set[Any] = set()
        self._known: dict[Any, Any] = {}
        self._sweeps: dict[tuple[Value, Rule], dict[Value, Any]] = {}
        self._partials: dict[tuple[Value, Value], Any] = {}
        uses = Counter(x for node in self.order for x in _operands(node))
        for node in self.order:
            self._record(node, uses[node], node in named)
        self.nodes = {symbol: node for node, symbol in self.symbols.items()}

    def name(self, formula: Any) -> Any:
        """A fresh symbol for a formula that is too long to be written out."""
        symbol = sympy.Symbol(next(self._fresh))
        self.definition[symbol] = formula
        return symbol

    def below(self, node: Value) -> list[Value]:
        """The named nodes of a node's formula, in the order of recording."""
        return list(self._sweep(node, textbook_rule))

    def rule(self, node: Value, by: Value) -> Any:
        """The partial of a node by a named one of its formula, as the table's rules give it."""
        return self._oriented(self._sweep(node, rule)[by])

    def partial(self, node: Value, by: Value) -> Any:
        """The partial of a node by a named one of its formula, simplified."""
        if (node, by) not in self._partials:
            self._partials[node, by] = self.tidy(self._sweep(node, textbook_rule)[by])
        return self._partials[node, by]

    def tidy(self, x: Any) -> Any:
        """The shortest of a few equal forms, in the textbook's functions, with 1 - h and not h - 1."""
        x = self._textbook(x)
        forms = [x]
        if 1 < length(x) <= FACTORED and terms(x) <= FACTORED:
            forms += [sympy.factor_terms(x), sympy.factor(x)]
        return min(map(self._oriented, forms), key=length)

    def positive(self, x: Any) -> Any:
        """x without a leading minus, where turning a difference of its product around takes it away."""
        for factor in sympy.Mul.make_args(x) if is_negative(x) else ():
            if factor.is_Add and not factor.as_coeff_Add()[0] and has_both_signs(factor):
                return multiplied([-factor if f is factor else f for f in sympy.Mul.make_args(-x)])
        return x

    def formula(self, symbol: Any, inline: Mapping[Any, Formula] | None = None) -> Formula:
        """The definition of a named node's symbol, in the order in which it was recorded."""
        rank = {s: i for i, s in enumerate(dict.fromkeys(self._read(self.nodes[symbol])))}
        return Formula(self.definition[symbol], rank, {} if inline is None else inline)

    def needed(self, x: Any, through_labels: bool = False) -> list[Any]:
        """The defined symbols that a formula is written with, fresh or all, each after those it needs itself."""
        needed: set[Any] = set()
        stack = [x]
        while stack:
            symbols = stack.pop().free_symbols - needed
            new = {s for s in symbols if s in self.definition and (through_labels or not self.is_labelled(s))}
            needed |= new
            stack += [self.definition[s] for s in new]
        return [s for s in self.definition if s in needed]

    def written_out(self, x: Any) -> Any:
        """A formula in the leaves, through the labels; a ValueError where that is too long."""
        for symbol in reversed(self.needed(x, through_labels=True)):
            x = x.xreplace({symbol: self.definition[symbol]} if self.is_labelled(symbol) else {})
            if not fits(x):
                raise ValueError(
                    f"A formula in the leaves must have at most {LONGEST} operations, {DEEPEST} deep, "
                    f"got more at {symbol}. Derive without expand."
                )
        return x

    def evaluate(self, x: Any, given: Mapping[Any, Any], through_labels: bool = False) -> Any:
        """A formula at the numbers or Values given, and for other symbols at the data of their nodes."""
        defined = self.needed(x, through_labels)
        read = x.free_symbols.union(*(self.definition[s].free_symbols for s in defined))
        known = {s: self.nodes[s].data for s in read.difference(defined, given)} | dict(given)
        for symbol in defined:
            if symbol not in given:
                known[symbol] = evaluate(self.definition[symbol], known)
        return evaluate(x, known)

    def is_labelled(self, symbol: Any) -> bool:
        """Whether a symbol is the label of a node, and no fresh name."""
        return symbol in self.nodes and bool(self.nodes[symbol].label)

    def place(self, symbol: Any) -> int:
        """How late a symbol's node was recorded."""
        return self._place[self.nodes[symbol]] if symbol in self.nodes else -1

    def in_order(self, symbols: Iterable[Any]) -> list[Any]:
        """A formula's symbols in the order of writing: what was computed last, then the leaves as recorded."""
        return sorted(
            symbols, key=lambda s: -self.place(s) if s in self.definition else len(self.order) + self.place(s)
        )

    def _read(self, node: Value) -> list[Any]:
        read, stack = [], list(reversed(_operands(node)))
        while stack:
            x = stack.pop()
            if x in self.symbols:
                read.append(self.symbols[x])
            else:
                stack += reversed(_operands(x))
        return read

    def _record(self, node: Value, uses: int, named: bool) -> None:
        definition, size = None, 0
        if node.op is not None:
            definition = expression(node.op(*map(self._term, node.args)))
            size = 1 + sum(self._size[x] for x in _operands(node))
        self._formula[node], self._size[node] = definition, size
        if definition is None or node.label or named or _is_long(definition, size, uses):
            symbol = self._formula[node] = self.symbols[node] = sympy.Symbol(node.label or next(self._fresh))
            self._size[node] = 0
            if definition is not None:
                self.definition[symbol] = definition
        if definition is not None:
            self._learn(node, definition)

    def _learn(self, node: Value, definition: Any) -> None:
        """Keep what a node says of how to write others: which way round its sum is, and its function's symbol."""
        if definition.is_Add and -definition not in self._sums:
            self._sums.add(definition)
        if isinstance(definition, sympy.Function) and node in self.symbols:
            self._known.setdefault(definition, self.symbols[node])

    def _term(self, x: Operand) -> Term:
        return Term(self._formula[x] if isinstance(x, Value) else expression(x))

    def _sweep(self, node: Value, partial: Rule) -> dict[Value, Any]:
        if (node, partial) not in self._sweeps:
            self._sweeps[node, partial] = self._swept(node, partial)
        return self._sweeps[node, partial]

    def _swept(self, node: Value, partial: Rule) -> dict[Value, Any]:
        """The reverse sweep over the unnamed nodes below a named one, in expressions."""
        adjoint = defaultdict(lambda: sympy.S.Zero, {node: sympy.S.One})
        for y in self._unnamed_below(node):
            if y.op is None:
                raise TypeError(f"A derived operation must be a row of the table, got {y._op!r}. Add a row with Op.")
            operands = tuple(self._term(x).expression for x in y.args)
            for i, x in enumerate(y.args):
                if isinstance(x, Value):
                    adjoint[x] += adjoint[y] * partial(y.op, i, operands, self._formula[y])
        below = [x for x in adjoint if x in self.symbols and x is not node]
        return {x: adjoint[x] for x in sorted(below, key=self._place.__getitem__)}

    def _unnamed_below(self, node: Value) -> list[Value]:
        """The node and those that its formula is written with, results before operands."""
        seen, stack = {node}, [node]
        while stack:
            new = {x for x in _operands(stack.pop()) if x not in self.symbols} - seen
            seen |= new
            stack += new
        return sorted(seen, key=self._place.__getitem__, reverse=True)

    def _textbook(self, x: Any) -> Any:
        """x by the identities of the rows: from the form that is accurate to the one that is usual."""
        return x.xreplace({f: usual(f) for f in x.atoms(sympy.Function)}).xreplace(self._known)

    def _oriented(self, x: Any) -> Any:
        """x with each difference in a product turned the way it was recorded, else the usual way round."""
        if x.is_Atom:
            return x
        args = [self._oriented(y) for y in x.args]
        if x.is_Mul:
            return multiplied([factor for y in args for factor in self._turned(y)])
        x = x.func(*args)
        return multiplied(self._turned(x)) if x.is_Pow else x

    def _turned(self, factor: Any) -> list[Any]:
        base, exponent = factor.args if factor.is_Pow else (factor, sympy.S.One)
        if base.is_Add and exponent.is_Integer and self._is_backwards(base):
            return [sympy.S.NegativeOne**exponent, (-base) ** exponent]
        return [factor]

    def _is_backwards(self, x: Any) -> bool:
        if x in self._sums or -x in self._sums:
            return x not in self._sums
        constant, terms = x.as_coeff_add()
        return bool(
            constant < 0
            if constant
            else is_negative(max(terms, key=lambda term: max(map(self.place, term.free_symbols), default=-1)))
        )


def _is_long(formula: Any, size: int, uses: int) -> bool:
    return (size > SHORT and size * uses > OPERATIONS and uses > 1) or size > WIDTH or depth(formula) > LEVELS


def _operands(node: Value) -> list[Value]:
    return [x for x in node.args if isinstance(x, Value)]


def _labels(order: list[Value]) -> set[str]:
    """The labels of a graph; a ValueError where two nodes bear the same."""
    labels = Counter(node.label for node in order if node.label)
    for label, n in labels.items():
        if n > 1:
            raise ValueError(f"A label must name one node of the graph, got {label!r} on {n}. Rename the others.")
    return set(labels)
