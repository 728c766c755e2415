"""The table's rows on SymPy expressions.

A rule that is plain arithmetic runs on expressions as it stands; an operation that is not becomes a
function of its row's name. A row's `identity` turns the form that is accurate in floating point into the
textbook's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache, reduce
from math import prod
from typing import Any

import sympy

from micrograd_xor.table import TABLE, Op
from micrograd_xor.typeset import is_negative

LONGEST, DEEPEST = 4_000, 100  # the longest and deepest formula that is handed to SymPy, which recurses


def _forward(operate: Callable[[Any, Any], Any]) -> Any:
    return lambda x, y: Term(operate(x.expression, expression(y)))


def _reflect(operate: Callable[[Any, Any], Any]) -> Any:
    return lambda x, y: Term(operate(expression(y), x.expression))


class Term:
    """A SymPy expression as an operand of the table's rows.

    >>> x = Term(sympy.Symbol("x"))
    >>> TABLE["tan"].partial(0, (x,), TABLE["tan"](x)).expression
    tan(x)**2 + 1
    """

    __slots__ = ("expression",)

    def __init__(self, expression: Any):
        self.expression = expression

    def __op__(self, row: Op, operands: tuple[Any, ...]) -> Term:
        """A row applied to expressions: its own value rule where that is plain arithmetic, else a function."""
        row.check_arity(operands)
        terms = [Term(expression(x)) for x in operands]
        value = operator.pow if row.name == "pow" else row.value  # the row's own value is a real float or an error
        try:
            return Term(expression(value(*terms)))
        except TypeError:  # math.exp(term), term > 0.0, bool(term): no arithmetic
            return Term(_applied(row, [term.expression for term in terms]))

    __add__, __radd__ = _forward(operator.add), _reflect(operator.add)
    __sub__, __rsub__ = _forward(operator.sub), _reflect(operator.sub)
    __mul__, __rmul__ = _forward(operator.mul), _reflect(operator.mul)
    __truediv__, __rtruediv__ = _forward(operator.truediv), _reflect(operator.truediv)
    __pow__, __rpow__ = _forward(operator.pow), _reflect(operator.pow)

    def __neg__(self) -> Term:
        return Term(-self.expression)

    def __abs__(self) -> Term:
        return self.__op__(TABLE["abs"], (self,))

    def __bool__(self) -> bool:
        raise TypeError("A term is neither true nor false.")


def expression(x: Any) -> Any:
    """The SymPy expression of a term or a number; a float is the decimal that is written for it."""
    return x.expression if isinstance(x, Term) else _decimal(float(x))


@lru_cache(maxsize=4096)
def _decimal(x: float) -> Any:
    return sympy.Rational(repr(x)) if x - x == 0.0 else sympy.sympify(x)


def _applied(row: Op, operands: list[Any]) -> Any:
    """A row's function of expressions; of numbers the number that it is, if that is a whole one."""
    if all(x.is_Rational for x in operands):
        with suppress(ValueError, ArithmeticError):
            number = row.evaluate(*map(float, operands))
            if number.is_integer():
                return _decimal(number)
    return _function(row)(*operands)


@cache
def _function(row: Op) -> Any:
    """A function of the row's name that SymPy knows nothing of: its own ones ask many questions before they stand."""
    return sympy.Function(row.name)


def native(x: Any) -> Any:
    """An expression in SymPy's own functions, where SymPy has the row's."""
    for function in {f.func for f in x.atoms(sympy.Function)}:
        x = x.replace(function, _native(TABLE[function.__name__]))
    return x


@cache
def _native(row: Op) -> Any:
    """SymPy's function of the row's name, if it is the same function; else the row's."""
    known, probe = getattr(sympy.functions, row.name, None), (0.375,) * (row.arity or 1)
    with suppress(TypeError, ValueError, ArithmeticError, AttributeError):
        if known and abs(float(known(*probe)) - row.value(*probe)) < 1e-12:
            return known
    return _function(row)


def evaluate(x: Any, known: dict[Any, Any]) -> Any:
    """A formula on numbers or anything the rows take; `known` has the symbols, and gets every part of the formula."""
    if x not in known:
        known[x] = _evaluated(x, [evaluate(y, known) for y in x.args])
    return known[x]


def _evaluated(x: Any, operands: list[Any]) -> Any:
    if x.is_Add:
        return reduce(operator.add, operands)
    if x.is_Mul:
        return reduce(operator.mul, operands)
    if x.is_Atom:
        return x.p / x.q if x.is_Rational else float(x)
    return TABLE["pow" if x.is_Pow else x.func.__name__](*operands)


@lru_cache(maxsize=65536)
def terms(x: Any) -> int:
    """How many terms a formula has when it is multiplied out, about."""
    if x.is_Pow and x.args[1].is_Integer:
        return int(min(terms(x.args[0]) ** min(abs(x.args[1]), 64), 10**9))
    if x.is_Add or x.is_Mul:
        return min((sum if x.is_Add else prod)(map(terms, x.args)), 10**9)
    return 1


def fits(x: Any) -> bool:
    """Whether a formula is short and shallow enough for SymPy, which recurses."""
    n, stack = 0, [(x, 1)]
    while stack and n <= LONGEST:
        x, depth = stack.pop()
        n += 1
        if depth > DEEPEST:
            return False
        stack += [(y, depth + 1) for y in x.args]
    return not stack


def rule(row: Op, i: int, operands: tuple[Any, ...], out: Any) -> Any:
    """A row's partial by operand i on expressions, as its rule gives it."""
    return expression(row.partial(i, tuple(map(Term, operands)), Term(out)))


def textbook_rule(row: Op, i: int, operands: tuple[Any, ...], out: Any) -> Any:
    """The same by the row's identity, where it has one: 1 - out²."""
    if row.identity is None:
        return rule(row, i, operands, out)
    x, y, partial = _template(row, i)
    return partial.xreplace({**dict(zip(x, operands, strict=True)), y: out})


@cache
def _template(row: Op, i: int) -> tuple[tuple[Any, ...], Any, Any]:
    """Symbols for the operands and for out, and the textbook's partial in these."""
    x, out = sympy.symbols(f"x:{row.arity}", cls=sympy.Dummy), sympy.Dummy("out")
    accurate, textbook = map(expression, row.identity(*map(Term, x), Term(out)) if row.identity else (0.0, 0.0))
    return x, out, rule(row, i, x, out).subs(accurate, textbook)


def usual(function: Any) -> Any:
    """A row's function by the row's identity at its operand or at the operand's negative."""
    row = TABLE.get(function.func.__name__)
    if row is None or row.identity is None:
        return function
    negated = [-x for x in function.args] if all(x.could_extract_minus_sign() for x in function.args) else []
    for args in filter(None, (function.args, negated)):
        accurate, textbook = row.identity(*map(Term, args), Term(_function(row)(*args)))
        if accurate.expression == function:
            return textbook.expression
    return function


def has_both_signs(x: Any) -> bool:
    """Whether a sum has terms to add and terms to subtract."""
    return len({is_negative(term) for term in x.args}) > 1


def multiplied(factors: list[Any]) -> Any:
    """The product; a number stays in front of a lone sum, where SymPy would multiply it in: 2 (z - r)."""
    number = sympy.Mul(*(factor for factor in factors if factor.is_Rational))
    rest = sympy.Mul(*(factor for factor in factors if not factor.is_Rational))
    if not rest.is_Add or number == 1:
        return number * rest
    if number.is_negative and has_both_signs(rest):
        number, rest = -number, -rest
    return rest if number == 1 else sympy.Mul(number, rest, evaluate=False)
