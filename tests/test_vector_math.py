"""Every function in vector lanes against mpmath: within 2 ulp, on any machine, and IEEE 754 at the edges."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from micrograd_xor import emit_llvm
from micrograd_xor.emit_llvm import Kernel
from micrograd_xor.table import TABLE
from micrograd_xor.tape import Tape

NATIVE = emit_llvm._host()
MACHINES = {
    "native": NATIVE,
    "4 lanes": (*NATIVE[:2], 4),
    "plain": ("generic", "", 2),  # no fused multiply-add
}

# the exact function by mpmath, and the interval to test it on
FUNCTIONS = {
    "exp": (mpmath.exp, -708.0, 709.7),
    "expm1": (mpmath.expm1, -60.0, 709.7),
    "log": (mpmath.log, 0.0, 20.0),
    "log1p": (mpmath.log1p, -1.0, 20.0),
    "sqrt": (mpmath.sqrt, 0.0, 20.0),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), 0.0, 20.0),
    "sin": (mpmath.sin, -100.0, 100.0),
    "cos": (mpmath.cos, -100.0, 100.0),
    "tan": (mpmath.tan, -100.0, 100.0),
    "arcsin": (mpmath.asin, -1.0, 1.0),
    "arccos": (mpmath.acos, -1.0, 1.0),
    "arctan": (mpmath.atan, -20.0, 20.0),
    "sinh": (mpmath.sinh, -700.0, 700.0),
    "cosh": (mpmath.cosh, -700.0, 700.0),
    "tanh": (mpmath.tanh, -20.0, 20.0),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), -700.0, 40.0),
    "log_sigmoid": (lambda x: -mpmath.log1p(mpmath.exp(-x)), -40.0, 700.0),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), -700.0, 40.0),
    "gaussian": (lambda x: mpmath.exp(-x * x), -26.0, 26.0),
    "erf": (mpmath.erf, -6.0, 6.0),
}
EDGES = (0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308, math.inf, -math.inf, math.nan)


@pytest.fixture(params=MACHINES)
def machine(request, monkeypatch) -> str:
    monkeypatch.setattr(emit_llvm, "_host", lambda: MACHINES[request.param])
    return request.param


def applied(name: str, *columns: np.ndarray) -> np.ndarray:
    tape = Tape.trace(lambda *xs: [TABLE[name](*xs)], [f"x{i}" for i in range(len(columns))])
    out = np.empty((1, len(columns[0]), 1))
    Kernel(tape, 0).bind(np.empty((1, 0)), columns, [out], None)()
    return out[0, :, 0]


def points(low: float, high: float, count: int = 300) -> np.ndarray:
    """Numbers of every size in the interval, small ones as well as large."""
    random = np.random.default_rng(1)
    plain = random.uniform(low, high, 2 * count)
    return np.concatenate([plain, plain[:count] * 2.0 ** -random.uniform(0.0, 12.0, count)])


def ulps(found: float, exact: mpmath.mpf) -> float:
    return float(abs(mpmath.mpf(found) - exact) / math.ulp(float(exact)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_2_ulp(machine, name):
    function, low, high = FUNCTIONS[name]
    xs = points(low, high)
    with mpmath.workdps(40):
        errors = [ulps(y, function(mpmath.mpf(x))) for x, y in zip(xs, applied(name, xs), strict=True)]
    assert max(errors) <= 2.0


def test_powers_are_within_2_ulp(machine):
    x, y = points(0.0, 20.0), points(-20.0, 20.0)[::-1].copy()
    with mpmath.workdps(40):
        exact = [mpmath.mpf(a) ** mpmath.mpf(b) for a, b in zip(x, y, strict=True)]
        assert max(map(ulps, applied("pow", x, y), exact)) <= 2.0


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sqrt", "tanh", "sin", "arctan"])
def test_ieee_754_at_the_edges(machine, name):
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(np.array(EDGES))
    np.testing.assert_allclose(applied(name, np.array(EDGES)), expected, rtol=4e-16, atol=0.0)


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "sin"])
def test_the_sign_of_zero_stays(machine, name):
    assert np.signbit(applied(name, np.array([0.0, -0.0]))).tolist() == [False, True]


def test_exp_underflows_gradually_and_overflows_at_the_end_of_the_range(machine):
    x = np.array([-750.0, -745.0, -740.0, 709.782712893384, 709.782712893385, 1e300])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(applied("exp", x), np.exp(x), rtol=1e-15, atol=5e-324)


def test_the_tails_underflow_gradually_and_saturate(machine):
    x = np.array([-math.inf, -1e300, -800.0, -745.0, -740.0, -709.5, 0.0, 40.0, 800.0, math.inf, math.nan])
    low, high = np.exp(np.minimum(x, 0.0)), np.maximum(x, 0.0)
    np.testing.assert_allclose(applied("sigmoid", x), low / (1.0 + np.exp(-np.abs(x))), rtol=1e-15, atol=5e-324)
    np.testing.assert_allclose(applied("softplus", x), high + np.log1p(np.exp(-np.abs(x))), rtol=1e-15, atol=5e-324)


@given(st.lists(st.floats(), min_size=1, max_size=9).map(np.array))
def test_one_tail_serves_both_sides(x):
    np.testing.assert_array_equal(applied("log_sigmoid", x), -applied("softplus", -x))
    np.testing.assert_array_max_ulp(applied("sigmoid", x) + applied("sigmoid", -x), np.where(np.isnan(x), x, 1.0), 1)


@pytest.mark.parametrize("name", ["maximum", "minimum", "step", "sign", "relu", "abs", "where"])
def test_kinks_are_the_tables(machine, name):
    op = TABLE[name]
    numbers = [-1.5, -0.0, 0.0, 2.0, math.inf, math.nan]
    columns = np.array(np.meshgrid(*[numbers] * op.arity)).reshape(op.arity, -1)
    expected = [op.value(*x) for x in columns.T.tolist()]
    np.testing.assert_array_equal(applied(name, *columns), expected)
