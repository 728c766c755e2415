"""A SymPy expression written in an order of our choosing, in any notation.

SymPy keeps the factors of a product in an order of its own. Here each symbol has a rank, its place
along the chain of a derivation, and factors and terms follow their symbols; a positive term comes
first, so it reads `1 - h` and `z - r`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import sympy

from micrograd_xor.notation import ATOM, LATEX, MATHML, POWER, PRODUCT, QUOTIENT, SUM, TEXT, Notation
from micrograd_xor.table import TABLE


@dataclass(frozen=True, eq=False)
class Formula:
    """A SymPy expression and the order to write it in: `rank` says how early each symbol comes.

    A symbol of `inline` is written out as its own formula. A `factor` keeps the parentheses of a sum.

    >>> z, r = sympy.symbols("z r")
    >>> Formula((z - r) / (z * (1 - z)), {z: 0, r: 1}).text
    '(z - r) / (z (1 - z))'
    """

    expression: Any
    rank: Mapping[Any, int] = field(default_factory=dict, repr=False)
    inline: Mapping[Any, Formula] = field(default_factory=dict, repr=False)
    factor: bool = field(default=False, repr=False)

    def write(self, notation: Notation) -> str:
        """The formula in a notation: TEXT, LATEX or MATHML."""
        return self._at(QUOTIENT if self.factor else SUM, self.expression, notation)

    @property
    def text(self) -> str:
        """The formula in Unicode."""
        return self.write(TEXT)

    @property
    def latex(self) -> str:
        """The formula in LaTeX, without dollars."""
        return self.write(LATEX)

    @property
    def mathml(self) -> str:
        """The formula in presentation MathML, without its `<math>`."""
        return self.write(MATHML)

    def factors(self) -> list[Formula]:
        """The factors of a product, in the order in which they are written."""
        factors = sorted(sympy.Mul.make_args(self.expression), key=self._place)
        return [replace(self, expression=x, factor=True) for x in factors]

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"

    def _at(self, level: int, x: Any, notation: Notation) -> str:
        """x, in parentheses where it holds together less tightly than its place asks."""
        written, own = self._write(x, notation)
        return notation.group(written) if own < level else written

    def _write(self, x: Any, notation: Notation) -> tuple[str, int]:
        if x in self.inline:
            return self.inline[x]._write(self.inline[x].expression, notation)
        if x.is_Symbol:
            return notation.symbol(x.name), ATOM
        if x.is_Add:
            return self._sum(x, notation), SUM
        if x.is_Mul or x.is_Rational or _is_below(x):
            return self._product(x, notation)
        if x.is_Pow:
            return self._power(x, notation), POWER
        if x.is_Atom:  # e, π, ∞
            return str(x), ATOM
        return self._call(TABLE[x.func.__name__].symbol, x.args, notation), ATOM

    def _sum(self, x: Any, notation: Notation) -> str:
        def term(x: Any) -> tuple[bool, str]:
            negative = is_negative(x)
            return negative, self._at(QUOTIENT, -x if negative else x, notation)

        terms = sorted(x.args, key=lambda t: (is_negative(t), not t.is_number, self._place(t)))
        return notation.sum([term(t) for t in terms])

    def _product(self, x: Any, notation: Notation) -> tuple[str, int]:
        if is_negative(x):
            return notation.sum([(True, self._at(QUOTIENT, -x, notation))]), SUM
        number, factors = x.as_coeff_mul()
        over, under = _ratio(number)
        factors = sorted(factors, key=self._place)
        above = [f for f in factors if not _is_below(f)]
        below = [1 / f for f in factors if _is_below(f)]
        if under == "1" and not below:
            return self._factors(over, above, PRODUCT, notation), PRODUCT if above else ATOM
        top = self._factors(over, above, notation.above, notation)
        bottom = self._factors(under, below, notation.below, notation)
        return notation.fraction(top, bottom), notation.quotient

    def _factors(self, number: str, factors: list[Any], level: int, notation: Notation) -> str:
        """A product with a number in front, holding together as tightly as `level` asks."""
        if number == "1" and len(factors) == 1:
            return self._at(level, factors[0], notation)
        written = [self._at(PRODUCT, factor, notation) for factor in factors]
        if number != "1" or not factors:
            written.insert(0, notation.number(*_scientific(number)))
        product = notation.product(written)
        return notation.group(product) if len(written) > 1 and level > PRODUCT else product

    def _power(self, x: Any, notation: Notation) -> str:
        base, exponent = x.as_base_exp()
        if exponent == sympy.S.Half:
            return self._call("√", [base], notation)
        return notation.power(self._at(ATOM, base, notation), self._at(SUM, exponent, notation))

    def _call(self, symbol: str, operands: Sequence[Any], notation: Notation) -> str:
        if symbol == "√":
            return notation.root(self._at(notation.radicand, operands[0], notation))
        return notation.call(symbol, [self._at(SUM, x, notation) for x in operands])

    def _place(self, x: Any) -> tuple[Any, ...]:
        """Where a factor or a term comes: by its earliest symbol, and the simpler first."""
        ranks = [self.rank.get(s, len(self.rank)) for s in x.free_symbols]
        return min(ranks, default=-1), length(x), sympy.default_sort_key(x)


@lru_cache(maxsize=65536)
def length(x: Any) -> int:
    """How long a formula is: the operations in it."""
    own = len(x.args) - 1 if x.is_Add or x.is_Mul else bool(x.args)
    return own + sum(map(length, x.args))


@lru_cache(maxsize=65536)
def depth(x: Any) -> int:
    """How deep a formula is nested."""
    return 1 + max(map(depth, x.args), default=0)


def is_negative(x: Any) -> bool:
    """Whether a term is written with a minus in front."""
    return bool(x.as_coeff_Mul()[0].is_negative)


def _is_below(x: Any) -> bool:
    """Whether a factor is written below the bar of a fraction."""
    return bool(x.is_Pow and is_negative(x.exp))


def _ratio(x: Any) -> tuple[str, str]:
    """A positive number as numerator and denominator: a small fraction, or a decimal over 1."""
    if x.is_Rational and x.q < 100 and x.p < 10**15:
        return str(x.p), str(x.q)
    return (repr(float(x)).removesuffix(".0") if abs(x) < 1e300 else str(x.n(15))), "1"


def _scientific(number: str) -> tuple[str, str]:
    digits, _, exponent = number.partition("e")
    return digits, str(int(exponent)) if exponent else ""
