"""The engine against plain floats and against the engines people know: one line a row, ratios of one run.

    python benchmarks/engine.py

Times are CPU seconds, each the median of several, the two sides of a ratio taken in turn. "Scaled" ns and µs are
for a machine on which a float multiplication in a Python loop costs 10 ns. A peer that is not installed is skipped.
"""

import gc
import math
import os
import random
import subprocess
import sys
from importlib import import_module
from statistics import median
from time import process_time

from micrograd_xor import Value, compiled, topological_order

sys.setrecursionlimit(100_000)  # for the peers, which sort by recursion


class LocalGrads:
    """microgpt's kind of Value: operands and local derivatives in tuples, and a recursive sort."""

    __slots__ = ("_children", "_local_grads", "data", "grad")

    def __init__(self, data, children=(), local_grads=()):
        self.data, self.grad, self._children, self._local_grads = data, 0, children, local_grads

    def __add__(self, other):
        other = other if isinstance(other, LocalGrads) else LocalGrads(other)
        return LocalGrads(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, LocalGrads) else LocalGrads(other)
        return LocalGrads(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other):
        return LocalGrads(self.data**other, (self,), (other * self.data ** (other - 1),))

    def log(self):
        return LocalGrads(math.log(self.data), (self,), (1 / self.data,))

    def exp(self):
        return LocalGrads(math.exp(self.data), (self,), (math.exp(self.data),))

    def relu(self):
        return LocalGrads(max(0, self.data), (self,), (float(self.data > 0),))

    def __neg__(self):
        return self * -1

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return self + (-other)

    def __rmul__(self, other):
        return self * other

    def __truediv__(self, other):
        return self * other**-1

    def backward(self):
        topo, visited = [], set()

        def build_topo(v):
            if v not in visited:
                visited.add(v)
                for child in v._children:
                    build_topo(child)
                topo.append(v)

        build_topo(self)
        self.grad = 1
        for v in reversed(topo):
            for child, local_grad in zip(v._children, v._local_grads):  # as people write it
                child.grad += local_grad * v.grad


# --- the work ---------------------------------------------------------------------------------


class Transformer:
    """One layer, width 16, 4 heads, 4192 parameters: the loss of a word of four letters, in scalars.

    `forward` is the script that stays unchanged; the functions it calls are the number type's own.
    """

    def __init__(self, number, exp, log, relu, largest):
        self.exp, self.log, self.relu, self.largest = exp, log, relu, largest
        rng = random.Random(42)

        def matrix(rows, columns):
            return [[number(rng.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]

        self.wte, self.wpe, self.head = matrix(27, 16), matrix(16, 16), matrix(27, 16)
        self.wq, self.wk, self.wv, self.wo = (matrix(16, 16) for _ in range(4))
        self.fc1, self.fc2 = matrix(64, 16), matrix(16, 64)
        matrices = (self.wte, self.wpe, self.head, self.wq, self.wk, self.wv, self.wo, self.fc1, self.fc2)
        self.parameters = [p for m in matrices for row in m for p in row]
        self.m = [0.0] * len(self.parameters)
        self.v = [0.0] * len(self.parameters)

    def forward(self, tokens):
        exp, log, relu, largest = self.exp, self.log, self.relu, self.largest

        def linear(x, w):
            return [sum(wi * xi for wi, xi in zip(wo, x)) for wo in w]

        def softmax(logits):
            top = largest(logits)
            exps = [exp(val - top) for val in logits]
            total = sum(exps)
            return [e / total for e in exps]

        def rmsnorm(x):
            ms = sum(xi * xi for xi in x) / len(x)
            scale = (ms + 1e-5) ** -0.5
            return [xi * scale for xi in x]

        keys, values, losses = [], [], []
        for pos in range(len(tokens) - 1):
            x = rmsnorm([t + p for t, p in zip(self.wte[tokens[pos]], self.wpe[pos])])
            residual, x = x, rmsnorm(x)
            q = linear(x, self.wq)
            keys.append(linear(x, self.wk))
            values.append(linear(x, self.wv))
            mixed = []
            for h in range(0, 16, 4):
                qh, kh, vh = q[h : h + 4], [k[h : h + 4] for k in keys], [v[h : h + 4] for v in values]
                weights = softmax([sum(qh[j] * k[j] for j in range(4)) / 4**0.5 for k in kh])
                mixed += [sum(weights[t] * vh[t][j] for t in range(len(vh))) for j in range(4)]
            x = [a + b for a, b in zip(linear(mixed, self.wo), residual)]
            residual, x = x, rmsnorm(x)
            x = linear([relu(xi) for xi in linear(x, self.fc1)], self.fc2)
            x = [a + b for a, b in zip(x, residual)]
            probs = softmax(linear(x, self.head))
            losses.append(-log(probs[tokens[pos + 1]]))
        return (1 / len(losses)) * sum(losses)

    def step(self):
        self.forward(WORD).backward()

    def adam(self):
        """As the script has it."""
        for i, p in enumerate(self.parameters):
            self.m[i] = 0.85 * self.m[i] + 0.15 * p.grad
            self.v[i] = 0.99 * self.v[i] + 0.01 * p.grad**2
            p.data -= 0.001 * (self.m[i] / 0.15) / ((self.v[i] / 0.01) ** 0.5 + 1e-8)
            p.grad = 0

    def step_with_adam(self):
        self.step()
        self.adam()


WORD = [26, 4, 12, 12, 0, 26]


def of_values(kind):
    return Transformer(kind, kind.exp, kind.log, kind.relu, lambda xs: max(x.data for x in xs))


def of_floats():
    return Transformer(float, math.exp, math.log, lambda x: max(0.0, x), max)


def moons(MLP):
    """micrograd's demo: one full-batch step of a 2-16-16-1 network on 100 points, hinge loss and weight decay."""
    rng = random.Random(1337)
    points = [([rng.gauss(0, 1), rng.gauss(0, 1)], rng.choice([-1, 1])) for _ in range(100)]
    random.seed(1337)
    model = MLP(2, [16, 16, 1])

    def step():
        losses = [(1 + -y * model(x)).relu() for x, y in points]
        data_loss = sum(losses) * (1.0 / len(losses))
        total_loss = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total_loss.backward()
        for p in model.parameters():
            p.data -= 0.01 * p.grad

    return step


def readme(kind):
    """The expression of micrograd's README, recorded and differentiated."""
    a, b = kind(-4.0), kind(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()


def products(x, y, n):
    """n products, each dropped: of floats or of Values."""
    for _ in range(n):
        x * y


def chain(nodes):
    x = y = Value(1.0)
    for _ in range(nodes):
        y = y + x
    return y


# --- the measuring ----------------------------------------------------------------------------


def seconds(work, at_least=0.2):
    """CPU seconds of one run, from as many in a row as fill `at_least`: the clock of a shared machine jumps."""
    gc.collect()  # what an engine leaves behind is not the next one's to pay for
    start, runs, spent = process_time(), 0, 0.0
    while spent < at_least:
        work()
        runs, spent = runs + 1, process_time() - start
    return spent / runs


def medians(*works, times=7):
    """The median time of each work; they take turns, so that a busy minute falls on all."""
    for work in works:
        work()
    rounds = [[seconds(work) for work in works] for _ in range(times)]
    return [median(column) for column in zip(*rounds, strict=True)]


def scaled(work, count, times=7):
    """The time of one of count things that work does, in ns where a float multiplication in a loop costs 10 ns."""
    work_time, multiply_time = medians(work, lambda: products(1.5, 2.5, 200_000), times=times)
    return 10.0 * (work_time / count) / (multiply_time / 200_000)


def row(work, target, measured, reached):
    print(f"{'reached' if reached else 'MISSED ':8} {work:62} target {target:22} measured {measured}", flush=True)


def peer(module, name):
    try:
        return getattr(import_module(module), name)
    except ImportError:
        print(f"skipped  what needs {module.split('.')[0]}, which is not installed")
        return None


def transformer():
    ours, theirs, floats = of_values(Value), of_values(LocalGrads), of_floats()
    nodes = len(topological_order(ours.forward(WORD))) - len(ours.parameters)
    if abs(ours.forward(WORD).data - theirs.forward(WORD).data) > 1e-12:
        raise SystemExit("The two engines must agree.")
    forward, a, b = medians(lambda: floats.forward(WORD), ours.step, theirs.step)
    name = f"transformer step, {nodes} nodes, {a * 1e3:.2f} ms"
    row(f"{name}: by floats, forward only", "at most 2x", f"{a / forward:.2f}x", a <= 2 * forward)
    row(f"{name}: faster than microgpt's kind", "at least 30x", f"{b / a:.1f}x", b >= 30 * a)

    floats.parameters = [LocalGrads(0.1) for _ in floats.parameters]  # the plainest thing that Adam can step
    a, b, c = medians(ours.step_with_adam, theirs.step_with_adam, floats.adam)
    name = f"with the script's own Adam, {a * 1e3:.2f} ms"
    row(f"{name}: by floats, forward only", "at most 2x", f"{a / forward:.2f}x", a <= 2 * forward)
    row(f"{name}: faster than microgpt's kind", "at least 30x", f"{b / a:.1f}x", b >= 30 * a)
    best = forward + c
    print(f"{'':8} the least there is, forward and Adam on floats: {best / forward:.2f}x and {b / best:.1f}x")


def mlp():
    theirs = peer("micrograd.nn", "MLP")
    if not theirs:
        return
    from micrograd_xor.nn import MLP

    a, b = medians(moons(MLP), moons(theirs), times=5)
    core, least = ("compiled core", 150) if compiled else ("interpreted core", 10)
    name = f"MLP 2-16-16-1, 100 points, {core}, {a * 1e3:.1f} ms: faster than micrograd"
    row(name, f"at least {least}x", f"{b / a:.1f}x", b >= least * a)
    if compiled:
        sys.stdout.flush()
        environment = {**os.environ, "MICROGRAD_XOR_INTERPRETED": "1"}
        subprocess.run([sys.executable, __file__, "--mlp"], env=environment, check=True)


def expression():
    theirs = peer("micrograd.engine", "Value")
    if theirs:
        a, b = medians(lambda: [readme(Value) for _ in range(2000)], lambda: [readme(theirs) for _ in range(200)])
        ratio = (b / 200) / (a / 2000)
        row("README expression: faster than micrograd", "at least 60x", f"{ratio:.1f}x", ratio >= 60)
    cost = scaled(lambda: [readme(Value) for _ in range(2000)], 2000)
    row("README expression, scaled", "1.00 µs or less", f"{cost / 1000:.2f} µs", cost <= 1000)


def operation():
    x, y, n = Value(1.5), Value(2.5), 200_000
    a, b = medians(lambda: products(x, y, n), lambda: products(1.5, 2.5, n), times=21)
    row(f"one recorded product, {a / n * 1e9:.1f} ns: by a float's", "at most 2x", f"{a / b:.2f}x", a <= 2 * b)


def sweep(sizes=(10**3, 10**4, 10**5, 10**6, 10**7)):
    costs = {}
    for nodes in sizes:
        y, turns = chain(nodes), max(1, 300_000 // nodes)
        costs[nodes] = scaled(lambda y=y, turns=turns: [y.backward() for _ in range(turns)], turns * nodes, times=5)
        del y
    at_million, worst = costs[10**6], max(costs.values())
    row("reverse sweep of 1,000,000 nodes, scaled", "12 ns a node or less", f"{at_million:.1f} ns", at_million <= 12)
    each = ", ".join(f"{cost:.1f}" for cost in costs.values())
    row("reverse sweep of 10³, 10⁴, ... 10⁷ nodes, scaled", "12 ns at every size", f"{each} ns", worst <= 12)


if __name__ == "__main__":
    if "--mlp" in sys.argv:
        mlp()
    else:
        print(f"compiled: {compiled}, Python {sys.version.split()[0]}")
        transformer()
        mlp()
        expression()
        operation()
        sweep()
