"""The oracle of the core's tests: mpmath at 700 digits, so that nothing rounds or cancels at float64's scale.

`FUNCTIONS` says each row from a textbook, apart from the table; `Exact` is a number type that runs the table's
own rules on it, as any interpreter may.
"""

import operator

from mpmath import MPContext

from micrograd_xor import ops

mp = MPContext()
mp.dps = 700
STEP = mp.mpf(10) ** -330  # below the smallest float64, so that no kink or edge lies between

FUNCTIONS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": lambda x, y: x ** int(y) if y == int(y) else mp.power(x, y),
    "exp": mp.exp,
    "expm1": lambda x: mp.exp(x) - 1,
    "log": mp.log,
    "log1p": lambda x: mp.log(1 + x),
    "sqrt": mp.sqrt,
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "log_sigmoid": lambda x: -mp.log(1 + mp.exp(-x)),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "gaussian": lambda x: mp.exp(-x * x),
    "erf": mp.erf,
    "step": lambda x: mp.mpf(x > 0),
    "sign": mp.sign,
    "relu": lambda x: max(x, mp.zero),
    "abs": mp.fabs,
    "maximum": max,
    "minimum": min,
    "where": lambda condition, x, y: x if condition else y,
    "total": lambda *terms: mp.fsum(terms),
    "dot": lambda *pairs: mp.fdot(pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]),
}


class Exact:
    """A real number at 700 digits, for which a row means its textbook function."""

    def __init__(self, x):
        self.x = x.x if isinstance(x, Exact) else mp.mpf(x)

    def __op__(self, row, operands):
        return Exact(FUNCTIONS[row.name](*(Exact(x).x for x in operands)))

    def __add__(self, other):
        return ops.add(self, other)

    def __radd__(self, other):
        return ops.add(other, self)

    def __sub__(self, other):
        return ops.sub(self, other)

    def __rsub__(self, other):
        return ops.sub(other, self)

    def __mul__(self, other):
        return ops.mul(self, other)

    def __rmul__(self, other):
        return ops.mul(other, self)

    def __truediv__(self, other):
        return ops.div(self, other)

    def __rtruediv__(self, other):
        return ops.div(other, self)

    def __pow__(self, other):
        return ops.pow(self, other)

    def __rpow__(self, other):
        return ops.pow(other, self)

    def __neg__(self):
        return ops.neg(self)

    def __abs__(self):
        return ops.abs(self)


def slope(f, at, i):
    """The derivative of f, a function of `Exact`s, by operand i: a central difference, which has digits to spare."""
    points = [Exact(x) for x in at]
    after = f(*points[:i], points[i] + Exact(STEP), *points[i + 1 :])
    before = f(*points[:i], points[i] - Exact(STEP), *points[i + 1 :])
    return (Exact(after).x - Exact(before).x) / (2 * STEP)
