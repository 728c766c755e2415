"""The oracle of the network's tests: the paper's equations in any arithmetic, apart from the engine and from numpy.

`mp` evaluates them at 50 digits. The strategies draw weights, inputs and targets at which the problem is well
conditioned, so that a relative error of 1e-12 can be asked for.
"""

import math

from hypothesis import strategies as st
from mpmath import MPContext

mp = MPContext()
mp.dps = 50
STEP = mp.mpf(10) ** -60

WEIGHT = st.floats(-2.0, 2.0, allow_subnormal=False)
INPUT = st.sampled_from([0.0, 1.0]) | st.floats(-2.0, 2.0, allow_subnormal=False)
TARGET = st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0, allow_subnormal=False)
HIDDEN = st.integers(1, 5)


def equations(leaves, hidden, exp=mp.exp, log=mp.log, **pinned):
    """Every node of the paper by name; a pinned node has the number given, whatever it would be computed from."""
    n = {**leaves, **pinned}

    def node(name, x):
        n[name] = pinned.get(name, x)

    for j in range(1, hidden + 1):
        node(f"h{j}_bar", n[f"w{j}1"] * n["x1"] + n[f"w{j}2"] * n["x2"] + n[f"b{j}"])
        node(f"h{j}", 1 / (1 + exp(-n[f"h{j}_bar"])))
    node("z_bar", sum(n[f"u{j}"] * n[f"h{j}"] for j in range(1, hidden + 1)) + n["b_z"])
    node("z", 1 / (1 + exp(-n["z_bar"])))
    node("E", -n["r"] * log(n["z"]) - (1 - n["r"]) * log(1 - n["z"]))
    return n


def exactly(numbers):
    """The same numbers at 50 digits."""
    return {name: mp.mpf(x) for name, x in numbers.items()}


def partial(of, by, leaves, hidden):
    """∂of/∂by between any two nodes at 50 digits: a complex step through the paper's own equations."""
    leaves = exactly(leaves)
    at = equations(leaves, hidden)[by]
    return equations(leaves, hidden, **{by: mp.mpc(at, STEP)})[of].imag / STEP


def second_partial(a, b, leaves, hidden):
    """∂²E/∂a∂b between two leaves, at 50 digits: a difference of complex steps."""
    return mp.diff(lambda t: partial("E", a, {**leaves, b: t}, hidden), leaves[b])


@st.composite
def networks(draw, hidden=HIDDEN):
    """The number of hidden units and the parameters by name."""
    size = draw(hidden)
    names = [f"u{j}" for j in range(1, size + 1)] + ["b_z"]
    names += [f"{w}{j}{i}" for j in range(1, size + 1) for w, i in (("w", 1), ("w", 2), ("b", ""))]
    return size, {name: draw(WEIGHT) for name in names}


@st.composite
def leaves(draw, hidden=HIDDEN):
    """The number of hidden units and every leaf by name: parameters, inputs and target, well conditioned."""
    size, weights = draw(networks(hidden))
    inputs = {"x1": draw(INPUT), "x2": draw(INPUT), "r": draw(TARGET)}
    return size, {**weights, **inputs}


def well_conditioned(leaves, hidden):
    """Whether rounding z, h and their complements to float64 moves no partial by more than a thousand ulp."""
    n = equations(leaves, hidden, math.exp, math.log)
    z, r = n["z"], n["r"]
    saturated = any(1.0 - n[name] < 1e-3 for name in ["z", *(f"h{j}" for j in range(1, hidden + 1))])
    return not saturated and r + (1.0 - r) * z / (1.0 - z) < 1e3 * abs(z - r)


def close(x, y, relative=1e-12):
    """Whether x is y within the relative error, or both are so small that float64's own range ends."""
    return math.isclose(x, y, rel_tol=relative, abs_tol=1e-320)
