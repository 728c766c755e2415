"""The elementary functions in vector lanes, as formulas on `Vector`s, inlined wherever a program uses them.

Each of `INLINED` is within 2 ulp of the correctly rounded result on the whole line, for any number of lanes, with or
without fused multiply-add. (The platforms' vector libraries are not: glibc's vector exp and sin err by more than 3.)
Those of `FROM_TAILS` are made of them, and the rows of `FROM_LIBM` call the C library lane by lane.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from micrograd_xor.vector_code import Code, Vector, vector_name

_LN2_HIGH, _LN2_LOW = 0.6931471805598903, 5.497923018708371e-14  # k times the first is exact for |k| < 2^11
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number, which its low bits then hold
_ONE = 0x3FF0000000000000  # the bits of 1.0
_ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½
# the minimax polynomial of (exp(r) - 1 - r) / r² for |r| ≤ ½ ln 2: exp(r) within 2^-56
_EXP = (
    0.5000000000000003,
    0.16666666666666685,
    0.041666666666586645,
    0.008333333333315238,
    0.0013888888929854072,
    0.00019841269902173066,
    2.480150641916187e-05,
    2.755722840848535e-06,
    2.762578733292334e-07,
    2.511439551667438e-08,
)


def polynomial(coefficients: Sequence[Any], x: Vector) -> Vector:
    """Σ coefficients[i] xⁱ by Estrin's scheme, halves in parallel, for the sake of the latency."""
    code, terms = x.code, list(coefficients)
    while len(terms) > 3:
        odd = [terms.pop()] if len(terms) % 2 else []
        terms = [code.fma(x, high, low) for low, high in zip(terms[::2], terms[1::2], strict=True)] + odd
        x = x * x
    result: Vector = reduce(lambda higher, term: code.fma(x, higher, term), reversed(terms))
    return result


def _clamped(x: Vector, low: float, high: float) -> Vector:
    """x, between low and high; a NaN stays."""
    code = x.code
    x = code.select(x < low, low, x)
    return code.select(x > high, high, x)


def _power_of_2(k: Vector) -> Vector:
    """2 to a whole number, given as the bits of a double whose low bits hold it."""
    code = k.code
    return code.from_bits(code.binary("add", code.binary("shl", k, 52), _ONE))


def _reduced(x: Vector) -> tuple[Vector, Vector, Vector, list[Vector]]:
    """x = k ln 2 + r + drift for the whole k nearest to x / ln 2: k + `_ROUND`, r, drift, P.

    exp(r) = 1 + r + r² Σ P[i] r²ⁱ, and drift is so small that exp(drift) is 1 + drift.
    """
    code = x.code
    shifted = code.fma(x, 1.0 / math.log(2.0), _ROUND)
    k = shifted - _ROUND
    r = code.fma(k, -_LN2_HIGH, x)
    return shifted, r, k * -_LN2_LOW, [code.fma(r, odd, even) for even, odd in zip(_EXP[::2], _EXP[1::2], strict=True)]


def _exp(x: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """exp(x) = (high + low) p q for x ≤ 710: a power of 2 in two factors, for the ends of the range are beyond one."""
    code = x.code
    shifted, r, drift, series = _reduced(code.select(x < -746.0, -746.0, x))
    rise = polynomial([r, *series], r * r)
    high = 1.0 + rise
    low = code.fma(drift, high, rise - (high - 1.0))
    half = code.fma(shifted - _ROUND, 0.5, _ROUND)
    k, first = code.bits(shifted), code.bits(half)
    return high, low, _power_of_2(first), _power_of_2(code.binary("sub", k, first))


def exp(x: Vector) -> Vector:
    """2^k exp(r)."""
    high, low, p, q = _exp(x)
    return x.code.select(x > 710.0, math.inf, (high + low) * p * q)


def expm1(x: Vector) -> Vector:
    """2^k - 1 + 2^k (exp(r) - 1), all of it halved until the end, for 2^1024 overflows."""
    code = x.code
    shifted, r, drift, series = _reduced(_clamped(x, -60.0, 710.0))
    rest = r * r * polynomial(series, r * r)
    rest = code.fma(drift, 1.0 + (r + rest), rest)
    half = _power_of_2(code.binary("sub", code.bits(shifted), 1))
    result = 2.0 * _sum(half - 0.5, half * r, half * rest)
    return code.select(abs(x) < 2.0**-54, x, result)


def _sum(large: Vector, small: Vector, rest: Vector) -> Vector:
    """large + small + rest, rounded once; large is 0 or larger than small, and that than rest."""
    total = large + small
    return total + (small - (total - large) + rest)


def sigmoid(x: Vector) -> Vector:
    """σ(x) from σ(-|x|), which the derivative's σ(-x) shares."""
    tail = x.code.call("sigmoid_tail", abs(x))
    return x.code.select(x > 0.0, 1.0 - tail, tail)


def softplus(x: Vector) -> Vector:
    """max(x, 0) + softplus(-|x|)."""
    return x.code.select(x > 0.0, x, 0.0) + x.code.call("softplus_tail", abs(x))


def log_sigmoid(x: Vector) -> Vector:
    """min(x, 0) - softplus(-|x|), which log σ(-x) shares."""
    return x.code.select(x < 0.0, x, 0.0) - x.code.call("softplus_tail", abs(x))


def sigmoid_tail(x: Vector) -> Vector:
    """σ(-x) = e / (1 + e) of e = exp(-x), x ≥ 0, corrected for what the roundings of e and 1 + e lost."""
    code = x.code
    high, low, p, q = _exp(-x)
    power = p * q
    below = code.fma(high, power, 1.0)
    tail = high * power / below
    lost = low * power
    excess = code.fma(high, power, 1.0 - below) + lost
    return code.fma(code.fma(-tail, excess, lost), 1.0 - tail, tail)


# the minimax polynomial of (log((1 + s) / (1 - s)) - 2s) / s³ for s² ≤ 1/9: the logarithm within 2^-59
_SOFTPLUS = (
    0.6666666666666636,
    0.4000000000014026,
    0.2857142854963924,
    0.22222223873632763,
    0.1818174693289484,
    0.15386501976756803,
    0.13301670646069574,
    0.1210098257352219,
    0.08360910100677867,
    0.16982346653398264,
)


def softplus_tail(x: Vector) -> Vector:
    """softplus(-x) = log(1 + e) of e = exp(-x), x ≥ 0."""
    high, low, p, q = _exp(-x)
    e = (high + low) * (p * q)
    s = e / (2.0 + e)
    half_square, series = _log1p(e, s, _SOFTPLUS)
    return e - (half_square - s * series)


def _split(x: Vector) -> tuple[Vector, Vector, Vector]:
    """k, 2^-k and m = 2^-k x in [√½, √2), for a normal positive x."""
    code = x.code
    bits = code.bits(x)
    biased = code.binary("lshr", code.binary("add", bits, (1023 << 52) + _ONE - _ROOT_HALF), 52)  # k + 2046
    k = code.let(code.real, f"sitofp {code.binary('sub', biased, 2046)} to {code.real}")
    unscale = code.binary("sub", _ONE + (2046 << 52), code.binary("shl", biased, 52))
    m = code.binary("add", code.binary("sub", unscale, _ONE), bits)
    return k, code.from_bits(unscale), code.from_bits(m)


# the minimax polynomial of FreeBSD's log (Sun Microsystems, 1993): log(1 + f) = 2s + s³ P(s²), s = f / (2 + f)
_LOG = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


def _log(k: Vector, f: Vector, s: Vector, tail: Any) -> Vector:
    """k ln 2 + log(1 + f) + tail."""
    code = f.code
    half_square, series = _log1p(f, s, _LOG)
    small = code.fma(s, series, code.fma(k, _LN2_LOW, tail))
    return code.fma(k, _LN2_HIGH, f - (half_square - small))


def _log1p(f: Vector, s: Vector, coefficients: Sequence[float]) -> tuple[Vector, Vector]:
    """½ f² and ½ f² + s² P(s²): log(1 + f) is f less the first and s times the second."""
    half_square, square = 0.5 * f * f, s * s
    return half_square, half_square + square * polynomial(coefficients, square)


def _with_edges(x: Vector, edge: float, result: Vector) -> Vector:
    """A logarithm's result: -inf at its edge, NaN below it, x itself where x is inf or NaN."""
    code = x.code
    result = code.select(x < math.inf, result, x)
    below = code.select(code.compare("oeq", x, edge), -math.inf, math.nan)
    return code.select(code.compare("ole", x, edge), below, result)


def log(x: Vector) -> Vector:
    """The logarithm of x = 2^k m; subnormal numbers are scaled up first."""
    code = x.code
    tiny = x < 2.0**-1022
    k, _, m = _split(code.select(tiny, x * 2.0**54, x))
    f = m - 1.0
    k = k - code.select(tiny, 54.0, 0.0)
    return _with_edges(x, 0.0, _log(k, f, f / (2.0 + f), 0.0))


def log1p(x: Vector) -> Vector:
    """The logarithm of u = 1 + x, plus what the rounding of u lost."""
    code = x.code
    u = 1.0 + x
    lost = code.select(x < 1.0, x - (u - 1.0), 1.0 - (u - x))
    k, unscale, m = _split(u)
    alone = code.compare("oeq", k, 0.0)
    f = code.select(alone, x, m - 1.0)
    s = f / (2.0 + f)
    reciprocal = polynomial((1.0, -2.0, 2.0, -2.0), s)  # of 1 + f, near enough for a correction
    tail = code.select(alone, 0.0, code.select(x < 2.0**60, lost * unscale * reciprocal, 0.0))
    result = code.select(abs(x) < 2.0**-54, x, _log(k, f, s, tail))
    return _with_edges(x, -1.0, result)


def tanh(x: Vector) -> Vector:
    """-t / (2 + t) of t = exp(-2|x|) - 1, corrected for the rounding of 2 + t; above ½, 1 minus its distance from 1."""
    code = x.code
    t = expm1(-2.0 * abs(x))
    high = t < -2.0 / 3.0
    below = 2.0 + t
    ratio = code.select(high, 2.0 * (1.0 + t), t) / below
    exact = ratio - ratio * (t - (below - 2.0)) * 0.5 * (1.0 - ratio)
    return code.call("llvm.copysign", code.select(high, 1.0 - ratio, exact), x)


INLINED: dict[str, Callable[[Vector], Vector]] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid_tail": sigmoid_tail,
    "softplus_tail": softplus_tail,
}

FROM_TAILS: dict[str, Callable[[Vector], Vector]] = {
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
}

FROM_LIBM = {
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "erf": "erf",
    "pow": "pow",
}

DEFINED = frozenset((*INLINED, *FROM_TAILS, *FROM_LIBM))


def definition(name: str, lanes: int, attributes: str) -> tuple[str, dict[str, str]]:
    """A function of `DEFINED` in all lanes as a whole LLVM definition, and what it calls, as `Code.called`."""
    code = Code(lanes)
    operands = [Vector(code, f"%{x}", code.real) for x in ("xy" if name == "pow" else "x")]
    formula = INLINED.get(name) or FROM_TAILS.get(name)
    result = formula(*operands) if formula else _lane_by_lane(FROM_LIBM[name], operands)
    arguments = ", ".join(map(str, operands))
    head = f"define internal {code.real} {vector_name(name, lanes)}({arguments}) {attributes} {{"
    body = ["entry:", *code.lines, f"ret {result}", "}"]
    return "\n".join([*_declared(name, len(operands)), head, *body]), code.called


def _declared(name: str, operands: int) -> list[str]:
    return [f"declare double @{FROM_LIBM[name]}({', '.join(['double'] * operands)})"] if name in FROM_LIBM else []


def _lane_by_lane(name: str, operands: Sequence[Vector]) -> Vector:
    code = operands[0].code
    result = Vector(code, "poison", code.real)
    for i in range(code.lanes):
        scalars = [str(code.let("double", f"extractelement {x}, i64 {i}")) for x in operands]
        y = code.let("double", f"call double @{name}({', '.join(scalars)})")
        result = code.let(code.real, f"insertelement {result}, {y}, i64 {i}")
    return result
