"""micrograd's demo: a network of 2-16-16-1 neurons learns to tell two moons apart."""

import math
import random

from micrograd_xor import total
from micrograd_xor.nn import MLP
from micrograd_xor.optim import SGD


def two_moons(n, noise=0.1):
    """n points on two interleaved half circles, labelled 1 and -1."""
    for i in range(n):
        angle = random.uniform(0, math.pi)
        x, y, label = (
            (math.cos(angle), math.sin(angle), 1) if i % 2 else (1 - math.cos(angle), 0.5 - math.sin(angle), -1)
        )
        yield (x + random.gauss(0, noise), y + random.gauss(0, noise)), label


random.seed(1337)
points = list(two_moons(100))
model = MLP(2, [16, 16, 1], seed=1337)
optimizer = SGD(learning_rate=lambda t: 1.0 - 0.009 * t)
print(f"{model.__class__.__name__} with {len(model.parameters())} parameters")

for step in range(31):
    scores = [model(point) for point, _ in points]
    margin_loss = total((1 - label * score).relu() for score, (_, label) in zip(scores, points, strict=True)) / len(
        points
    )
    loss = margin_loss + 1e-4 * total(p * p for p in model.parameters())
    right = sum((score.data > 0) == (label > 0) for score, (_, label) in zip(scores, points, strict=True))
    if step % 10 == 0:
        print(f"step {step:2d}: loss {loss.data:.6f}, {right} of {len(points)} right")
    model.zero_grad()
    loss.backward()
    optimizer.step(model.parameters())

for y in range(12, -8, -2):
    print("".join("+" if model((x / 10, y / 10)).data > 0 else "." for x in range(-13, 24)))
