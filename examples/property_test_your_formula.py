"""Check the gradient of a formula of your own: at random points, with no tolerance to choose, and find a wrong partial.

Needs the `test` extra (Hypothesis).
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, exp, log1p
from micrograd_xor.testing import check_gradient, taylor_order

positive = st.floats(0.1, 10.0)


def harvest(sun, rain, days):
    growth = log1p(sun * rain)
    return growth.tanh() * days - sun * exp(-0.05 * days) * (growth - 0.2 * days**0.5).sigmoid()


@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(sun=positive, rain=positive, days=positive)
def every_partial_is_right(sun, rain, days):
    check_gradient(harvest, sun, rain, days)


every_partial_is_right()
print("50 random points: every partial derivative agrees with finite differences")

order = taylor_order(harvest, 3.0, 2.0, 1.0)
print(f"Taylor remainder shrinks with order {order:.1f} (right: 2, wrong: 1)")


def cube(x):
    """An operation of one's own, with a slip: the derivative of x³ is 3 x², not 2 x²."""
    return Value(x.data**3, (x,), "cube", local_grads=(2 * x.data**2,))


try:
    check_gradient(lambda x, y: cube(x) + y, 2.0, 1.0)
except AssertionError as complaint:
    print("the slip is found:", complaint)
