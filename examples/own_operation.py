"""A new operation is one row of the table; then it evaluates, differentiates to any order, derives, compiles, saves.

Needs the `study` extra for the closed form (SymPy) and the `test` extra for the check (Hypothesis).
"""

from micrograd_xor import Op, Value, compile, derive, gradient, sigmoid
from micrograd_xor.table import REALS
from micrograd_xor.testing import check_gradient

# Swish, x σ(x): its value on floats, and its local partial in rows that are there already.
swish = Op(
    "swish",
    "swish",
    lambda x: x * sigmoid(x),
    (lambda x, out: sigmoid(x) + out * sigmoid(-x),),
    (REALS,),
    expansion=lambda x: x * sigmoid(x),
)

w, x = Value(0.5, label="w"), Value(3.0, label="x")
y = swish(w * x)
y.label = "y"

print(f"value: {y.data:.9f}")
[slope] = gradient(y, [w])
[bend] = gradient(slope, [w])
print(f"first and second derivative: {slope.data:.9f} {bend.data:.9f}")
print(f"closed form: {derive(y, w)}")

check_gradient(lambda w, x: swish(w * x), 0.5, 3.0)
print("the partial agrees with finite differences")

program = compile(y, [w], [x], backend="numpy")
value, [by_w] = program([0.5], [1.0, 2.0, 3.0])
print(f"compiled, mean over three rows: {value:.9f}, slope {by_w:.9f}")

try:
    swish("warm")
except TypeError as error:
    print(f"bad input: {error}")
