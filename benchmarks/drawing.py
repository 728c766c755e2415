"""How long a graph takes from Values to SVG: medians of several, by the number of nodes in the picture."""

import random
import re
import statistics
import time
from itertools import pairwise

from micrograd_xor import ops
from micrograd_xor.draw import draw
from micrograd_xor.value import Value


def network(*sizes, samples=1):
    """The summed output of a multi-layer perceptron on random inputs, its weights shared by the samples."""
    source = random.Random(0)
    layers = [
        [[Value(source.uniform(-1, 1), label="w") for _ in range(m + 1)] for _ in range(n)] for m, n in pairwise(sizes)
    ]
    outputs = []
    for _ in range(samples):
        h = [Value(source.random(), label="x") for _ in range(sizes[0])]
        for layer in layers:
            h = [ops.tanh(sum((w * x for w, x in zip(row, h, strict=False)), row[-1])) for row in layer]
        outputs += h
    return sum(outputs, Value(0.0))


def chain(length):
    """A long computation that uses one value throughout."""
    x = y = Value(0.5, label="x")
    for _ in range(length // 2):
        y = ops.sin(y) + x
    return y


def seconds(call, repeat):
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


GRAPHS = {
    "2-2-1, 1 sample": network(2, 2, 1),
    "2-11-11-1, 1 sample": network(2, 11, 11, 1),
    "2-4-1, 15 samples": network(2, 4, 1, samples=15),
    "chain of 500": chain(500),
    "2-16-16-1, 1 sample": network(2, 16, 16, 1),
    "2-4-1, 60 samples": network(2, 4, 1, samples=60),
}


def main():
    print(f"{'graph':22}{'nodes drawn':>12}{'DOT, s':>9}{'SVG, s':>9}")
    for name, root in GRAPHS.items():
        drawn = draw(root)
        size = len(re.findall(r"^\s*\w+ \[", drawn.dot, re.MULTILINE)) - 3  # less the defaults of graph, node and edge
        repeat = 5 if size < 2500 else 1
        dot = seconds(lambda root=root: draw(root), repeat)
        svg = seconds(lambda root=root: draw(root).svg, repeat)
        print(f"{name:22}{size:>12,}{dot:>9.3f}{svg:>9.3f}", flush=True)


if __name__ == "__main__":
    main()
