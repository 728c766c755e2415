"""Newton's method with an exact Hessian: quadratic convergence on Rosenbrock's valley, where descent crawls."""

from micrograd_xor import Value, gradient, hessian
from micrograd_xor.optim import SGD


def valley(x, y):
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def newton_step(x, y):
    f = valley(x, y)
    (a, b), (_, d) = ([h.data for h in row] for row in hessian(f, [x, y]))
    p, q = (g.data for g in gradient(f, [x, y]))
    determinant = a * d - b * b
    return Value(x.data - (d * p - b * q) / determinant), Value(y.data - (a * q - b * p) / determinant)


x, y = Value(-1.2), Value(1.0)
print("Newton:")
for step in range(8):
    print(f"  step {step}: f = {valley(x, y).data:.3e} at ({x.data:.9f}, {y.data:.9f})")
    x, y = newton_step(x, y)

x, y = Value(-1.2), Value(1.0)
descent = SGD(learning_rate=0.001)
for _ in range(1000):
    x.grad = y.grad = 0.0
    valley(x, y).backward()
    descent.step([x, y])
print(f"1000 steps of gradient descent: f = {valley(x, y).data:.3e} at ({x.data:.9f}, {y.data:.9f})")

x = Value(0.5)
f = x.exp() * x
for order in range(1, 6):
    [f] = gradient(f, [x])
    print(
        f"derivative {order} of x·exp(x) at 0.5 = {f.data:.12f}, by hand {(0.5 + order) * Value(0.5).exp().data:.12f}"
    )
