"""The table of operations: one row each, and every interpreter of a graph reads the rows.

A row states an operation's value, its local partials (one rule per operand), its domain and how it
is written. The rules are plain arithmetic on whatever flows through them: floats, `Value`s, SymPy
expressions or registers of a program. So each derivative is said once, and the reverse sweep, the
derivation, the compiler, the tests and the docs all run the same rule.

Adding an operation is adding a row. Where a function has a kink or an edge, the row follows
PyTorch: relu'(0) = 0, abs'(0) = 0, maximum and minimum share a tie half and half, sqrt'(0) = inf.
"""

import math
import operator
from collections.abc import Iterable
from functools import reduce
from typing import Any

from micrograd_xor.table import EXPONENT, HYPERBOLIC, NON_NEGATIVE, NONZERO, POSITIVE, REALS, UNIT, Domain, Op


def _power(x: float, y: float) -> float:
    result = x**y
    if isinstance(result, complex):
        raise ValueError
    return float(result)


def _sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def _softplus(x: float) -> float:
    return (x if x > 0.0 else 0.0) + math.log1p(math.exp(-math.fabs(x)))


def _gaussian(x: float) -> float:
    """exp(-x²): the rounding of x² would cost x² ulp, so x is split in a short head and its tail."""
    x = math.fabs(x)
    if x > 40.0:
        return 0.0
    head = float(round(x * 1048576.0)) / 1048576.0 if x == x else x
    return math.exp(-head * head) * math.exp((head - x) * (head + x))


def _softplus_expansion(x: Any) -> Any:
    return maximum(x, 0.0) + log1p(exp(-abs(x)))


def _sigmoid_expansion(x: Any) -> Any:
    e = exp(-abs(x))
    return where(step(x), 1.0, e) / (1.0 + e)


def _gaussian_expansion(x: Any) -> Any:
    x = minimum(abs(x), 40.0)
    big = x * 134217729.0  # Veltkamp's split: head has half the digits, so its square is exact
    head = big - (big - x)
    return exp(-head * head) * exp((head - x) * (head + x))


def _inner_product(*pairs: float) -> float:
    half, odd = divmod(len(pairs), 2)
    if odd:
        raise TypeError(f"dot must take as many left as right factors, got {len(pairs)} operands. Call dot(a, b).")
    return reduce(operator.add, map(operator.mul, pairs[:half], pairs[half:]), 0.0)


def _zero(*_: Any) -> float:
    return 0.0


_MORE = "Keep it away from the edge; a probability's logarithm is log_sigmoid of its logit."
_LESS = "Scale it down, or stay in logarithms (log_sigmoid, softplus)."

# --- arithmetic -------------------------------------------------------------------------------

add: Op = Op("add", "+", lambda x, y: x + y, (lambda x, y, out: 1.0, lambda x, y, out: 1.0), (REALS, REALS))
sub: Op = Op("sub", "-", lambda x, y: x - y, (lambda x, y, out: 1.0, lambda x, y, out: -1.0), (REALS, REALS))
mul: Op = Op("mul", "*", lambda x, y: x * y, (lambda x, y, out: y, lambda x, y, out: x), (REALS, REALS))
div: Op = Op(
    "div",
    "/",
    lambda x, y: x / y,
    (lambda x, y, out: 1.0 / y, lambda x, y, out: -out / y),
    (REALS, NONZERO),
)
neg: Op = Op("neg", "neg", lambda x: -x, (lambda x, out: -1.0,), (REALS,))
pow: Op = Op(
    "pow",
    "**",
    _power,
    (lambda x, y, out: y * x ** (y - where(y, 1.0, 0.0)), lambda x, y, out: out * log(x)),  # x ** 0 is flat, at 0 too
    (POSITIVE, REALS),
    identity=lambda x, y, out: (y * x ** (y - where(y, 1.0, 0.0)), y * x ** (y - 1.0)),
    remedy="A negative base takes whole, constant exponents only.",
)

# --- exponentials and logarithms --------------------------------------------------------------

exp: Op = Op("exp", "exp", math.exp, (lambda x, out: out,), (EXPONENT,), remedy=_LESS)
expm1: Op = Op(
    "expm1",
    "expm1",
    math.expm1,
    (lambda x, out: exp(x),),
    (EXPONENT,),
    identity=lambda x, out: (out, exp(x) - 1.0),
    remedy=_LESS,
)
log: Op = Op("log", "log", math.log, (lambda x, out: 1.0 / x,), (POSITIVE,), remedy=_MORE)
log1p: Op = Op(
    "log1p",
    "log1p",
    math.log1p,
    (lambda x, out: 1.0 / (1.0 + x),),
    (Domain("greater than -1", low=-1.0, closed=False),),
    identity=lambda x, out: (out, log(1.0 + x)),
    remedy=_MORE,
)

# --- roots and trigonometry -------------------------------------------------------------------

sqrt: Op = Op("sqrt", "√", math.sqrt, (lambda x, out: 0.5 * rsqrt(x),), (NON_NEGATIVE,))
rsqrt: Op = Op(
    "rsqrt",
    "1/√",
    lambda x: 1.0 / math.sqrt(x) if x else math.inf,
    (lambda x, out: -0.5 * out / x,),
    (NON_NEGATIVE,),
    expansion=lambda x: 1.0 / sqrt(x),
    identity=lambda x, out: (out, 1.0 / sqrt(x)),
)
sin: Op = Op("sin", "sin", math.sin, (lambda x, out: cos(x),), (REALS,))
cos: Op = Op("cos", "cos", math.cos, (lambda x, out: -sin(x),), (REALS,))
tan: Op = Op("tan", "tan", math.tan, (lambda x, out: 1.0 + out * out,), (REALS,))
arcsin: Op = Op("arcsin", "arcsin", math.asin, (lambda x, out: rsqrt((1.0 - x) * (1.0 + x)),), (UNIT,))
arccos: Op = Op("arccos", "arccos", math.acos, (lambda x, out: -rsqrt((1.0 - x) * (1.0 + x)),), (UNIT,))
arctan: Op = Op("arctan", "arctan", math.atan, (lambda x, out: 1.0 / (1.0 + x * x),), (REALS,))

# --- hyperbolic and sigmoid -------------------------------------------------------------------

sinh: Op = Op("sinh", "sinh", math.sinh, (lambda x, out: cosh(x),), (HYPERBOLIC,), remedy=_LESS)
cosh: Op = Op("cosh", "cosh", math.cosh, (lambda x, out: sinh(x),), (HYPERBOLIC,), remedy=_LESS)
tanh: Op = Op(
    "tanh",
    "tanh",
    math.tanh,
    (lambda x, out: 4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x),),
    (REALS,),
    identity=lambda x, out: (4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x), 1.0 - out * out),
)
sigmoid: Op = Op(
    "sigmoid",
    "σ",
    _sigmoid,
    (lambda x, out: out * sigmoid(-x),),
    (REALS,),
    expansion=_sigmoid_expansion,
    identity=lambda x, out: (sigmoid(-x), 1.0 - out),
)
log_sigmoid: Op = Op(
    "log_sigmoid",
    "log σ",
    lambda x: -_softplus(-x),
    (lambda x, out: sigmoid(-x),),
    (REALS,),
    expansion=lambda x: -_softplus_expansion(-x),
    identity=lambda x, out: (out, log(sigmoid(x))),
)
softplus: Op = Op(
    "softplus",
    "softplus",
    _softplus,
    (lambda x, out: sigmoid(x),),
    (REALS,),
    expansion=_softplus_expansion,
    identity=lambda x, out: (out, log(1.0 + exp(x))),
)
gaussian: Op = Op(
    "gaussian",
    "gaussian",
    _gaussian,
    (lambda x, out: -2.0 * x * out,),
    (REALS,),
    expansion=_gaussian_expansion,
    identity=lambda x, out: (out, exp(-(x * x))),
)
erf: Op = Op("erf", "erf", math.erf, (lambda x, out: 2.0 / math.sqrt(math.pi) * gaussian(x),), (REALS,))

# --- kinks: the subgradient chosen is PyTorch's -----------------------------------------------

step: Op = Op("step", "step", lambda x: 1.0 if x > 0.0 else 0.0, (_zero,), (REALS,))
sign: Op = Op(
    "sign",
    "sign",
    lambda x: float((x > 0.0) - (x < 0.0)),
    (_zero,),
    (REALS,),
    expansion=lambda x: step(x) - step(-x),
)
relu: Op = Op(
    "relu",
    "relu",
    lambda x: x if x > 0.0 or x != x else 0.0,
    (lambda x, out: step(x),),
    (REALS,),
    expansion=lambda x: maximum(x, 0.0),
)
abs: Op = Op("abs", "abs", math.fabs, (lambda x, out: sign(x),), (REALS,))
maximum: Op = Op(
    "maximum",
    "max",
    lambda x, y: x if x > y or x != x else y,
    (lambda x, y, out: 0.5 + 0.5 * sign(x - y), lambda x, y, out: 0.5 - 0.5 * sign(x - y)),
    (REALS, REALS),
)
minimum: Op = Op(
    "minimum",
    "min",
    lambda x, y: x if x < y or x != x else y,
    (lambda x, y, out: 0.5 - 0.5 * sign(x - y), lambda x, y, out: 0.5 + 0.5 * sign(x - y)),
    (REALS, REALS),
)
where: Op = Op(
    "where",
    "where",
    lambda condition, x, y: x if condition else y,
    (
        _zero,
        lambda condition, x, y, out: where(condition, 1.0, 0.0),
        lambda condition, x, y, out: where(condition, 0.0, 1.0),
    ),
    (REALS, REALS, REALS),
)

# --- reductions, of any number of operands ----------------------------------------------------

summation: Op = Op(
    "total",
    "Σ",
    lambda *terms: reduce(operator.add, terms, 0.0),
    lambda i, terms, out: 1.0,
)
inner_product: Op = Op(
    "dot",
    "·",
    _inner_product,
    lambda i, pairs, out: pairs[i - len(pairs) // 2],
)


def total(values: Iterable[Any]) -> Any:
    """The sum of any number of Values and numbers, first to last, as one node.

    >>> total([1.0, 2.0, 3.0])
    6.0
    """
    return summation.on(tuple(values))


def dot(a: Iterable[Any], b: Iterable[Any]) -> Any:
    """a₁b₁ + a₂b₂ + ..., first to last, as one node; ValueError where the lengths differ.

    >>> dot([1.0, 2.0], [3.0, 4.0])
    11.0
    """
    a, b = tuple(a), tuple(b)
    if len(a) != len(b):
        raise ValueError(f"dot's operands must have one length, got {len(a)} and {len(b)}. Pair every factor.")
    return inner_product.on(a + b)


def binary_cross_entropy(logit: Any, r: Any) -> Any:
    """-r log σ(logit) - (1 - r) log(1 - σ(logit)), in nats, exact even where σ saturates.

    The paper's E, from the pre-activation z̄ instead of z = σ(z̄). Numbers give a float, a `Value` a `Value`.

    >>> binary_cross_entropy(-700.0, 1.0), binary_cross_entropy(0.0, 1.0)
    (700.0, 0.6931471805599453)
    """
    return -r * log_sigmoid(logit) - (1.0 - r) * log_sigmoid(-logit)
