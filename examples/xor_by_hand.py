"""The XOR network typed as on paper: train it by its equations, then check a closed form of the paper."""

import random

from micrograd_xor import Value, binary_cross_entropy, derivative, sigmoid
from micrograd_xor.optim import Momentum

PATTERNS = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]

random.seed(2)
names = ["u1", "u2", "b_z", "w11", "w12", "b1", "w21", "w22", "b2"]
weights = [Value(random.uniform(-1, 1), label=name) for name in names]
u1, u2, b_z, w11, w12, b1, w21, w22, b2 = weights


def network(x1, x2):
    h1_bar = w11 * x1 + w12 * x2 + b1
    h2_bar = w21 * x1 + w22 * x2 + b2
    h1, h2 = sigmoid(h1_bar), sigmoid(h2_bar)
    return u1 * h1 + u2 * h2 + b_z, h1, h1_bar  # z̄, h1, h̄1


optimizer = Momentum(learning_rate=1.0)
for epoch in range(301):
    E = sum(binary_cross_entropy(network(x1, x2)[0], r) for x1, x2, r in PATTERNS) / 4
    if epoch % 100 == 0:
        print(f"epoch {epoch:3d}: mean E = {E.data:.6f}")
    for w in weights:
        w.grad = 0.0
    E.backward()
    optimizer.step(weights)

for x1, x2, r in PATTERNS:
    print(f"{x1} xor {x2}: z = {sigmoid(network(x1, x2)[0]).data:.4f}, target {r}")

x1, x2, r = PATTERNS[1]
z_bar, h1, h1_bar = network(x1, x2)
E, z = binary_cross_entropy(z_bar, r), sigmoid(z_bar)
paper = (z.data - r) * u1.data * h1.data * (1 - h1.data)
print(f"∂E/∂h̄1 by the graph: {derivative(E, h1_bar).data:.12f}")
print(f"(z - r) u1 h1 (1 - h1): {paper:.12f}")
