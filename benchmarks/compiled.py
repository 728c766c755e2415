"""Compiled programs against C, numpy and the compilers people know: one line for each target, ratios of one run.

    python benchmarks/compiled.py

Times are CPU seconds of one thread, each the median of several, the sides of a ratio taken in turn. "Scaled" times are
for a machine on which a float multiplication in a Python loop costs 10 ns. The C is built here, where there is a
compiler: the paper's closed form, with -O3 -march=native -ffast-math. jax.jit and torch (eager, vectorised, autograd)
get float64 and one thread too. A peer that is not installed is skipped.
"""

import os

os.environ["MICROGRAD_XOR_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import ctypes
import gc
import importlib
import math
import random
import shutil
import subprocess
import sys
import tempfile
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time

import numpy as np
from engine import medians, products, row, scaled, seconds

from micrograd_xor import Value, total
from micrograd_xor.compiler import compile
from micrograd_xor.optim import SGD
from micrograd_xor.xor import compact_form
from micrograd_xor.xor.compact_form import Weights
from micrograd_xor.xor.open_form import open_form, parameter_names

CLOSED_FORM = r"""
#include <math.h>
#include <stddef.h>

static inline double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

void gradient(const double *restrict w, const double *restrict x1, const double *restrict x2,
              const double *restrict r, size_t n, double *restrict out)
{
    double u1 = w[0], u2 = w[1], b_z = w[2], w11 = w[3], w12 = w[4], b1 = w[5], w21 = w[6], w22 = w[7], b2 = w[8];
    double E = 0, du1 = 0, du2 = 0, db_z = 0, dw11 = 0, dw12 = 0, db1 = 0, dw21 = 0, dw22 = 0, db2 = 0;
    for (size_t i = 0; i < n; i++) {
        double h1 = sigmoid(w11 * x1[i] + w12 * x2[i] + b1), h2 = sigmoid(w21 * x1[i] + w22 * x2[i] + b2);
        double z = sigmoid(u1 * h1 + u2 * h2 + b_z), d = z - r[i];
        double d1 = d * u1 * h1 * (1 - h1), d2 = d * u2 * h2 * (1 - h2);
        E += -r[i] * log(z) - (1 - r[i]) * log(1 - z);
        du1 += d * h1; du2 += d * h2; db_z += d;
        dw11 += d1 * x1[i]; dw12 += d1 * x2[i]; db1 += d1;
        dw21 += d2 * x1[i]; dw22 += d2 * x2[i]; db2 += d2;
    }
    out[0] = E; out[1] = du1; out[2] = du2; out[3] = db_z; out[4] = dw11;
    out[5] = dw12; out[6] = db1; out[7] = dw21; out[8] = dw22; out[9] = db2;
}

void train(double *restrict w, const double *restrict x1, const double *restrict x2, const double *restrict r,
           size_t n, size_t steps, double rate, double *restrict losses)
{
    double out[10];
    for (size_t s = 0; s < steps; s++) {
        gradient(w, x1, x2, r, n, out);
        losses[s] = out[0] / n;
        for (int p = 0; p < 9; p++) w[p] -= rate * out[p + 1] / n;
    }
}
"""
STEPS = 4000
X1, X2 = compact_form.X.T.copy()
R = np.array(compact_form.R, float)
THETA = Weights.random(2, seed=0).vector()


def program(reduce="sum", backend="llvm"):
    leaves = {name: Value(0.0, label=name) for name in (*parameter_names(2), "x1", "x2", "r")}
    form = open_form({name: leaves[name] for name in parameter_names(2)}, *(leaves[name] for name in ("x1", "x2", "r")))
    return compile(form.E, list(leaves.values())[:9], list(leaves.values())[9:], reduce=reduce, backend=backend)


def columns(rows):
    return [*np.random.default_rng(0).integers(0, 2, (3, rows)).astype(float)]


def at_most(work, limit, ours, theirs, of):
    row(work, f"<= {limit:g} x {of}", f"{ours / theirs:.2f}", ours <= limit * theirs)


def at_least(work, limit, ours, theirs, of):
    row(work, f">= {limit:g} x faster than {of}", f"{theirs / ours:.3g}", theirs >= limit * ours)


def times(work, count):
    return lambda: [work() for _ in range(count)]


def peer(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"skipped  what needs {name.split('.')[0]}, which is not installed")
        return None


# --- the peers ---------------------------------------------------------------------------------


def c_library(folder):
    source, library = Path(folder, "closed_form.c"), Path(folder, "closed_form.so")
    source.write_text(CLOSED_FORM)
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, str(source), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def pointers(*arrays):
    return [ctypes.c_void_p(array.ctypes.data) for array in arrays]


def of_c(c, data):
    arrays = (THETA, *data, np.empty(10))
    *inputs, out = pointers(*arrays)
    return partial(lambda _: c.gradient(*inputs, ctypes.c_size_t(len(data[0])), out), arrays)


def of_jax(jax, data):
    jax.config.update("jax_enable_x64", True)
    source = {}
    exec(program().to_numpy("f"), source)
    f = jax.jit(lambda theta, *data: [jax.numpy.sum(output) for output in source["f"](jax.numpy, *theta, *data)])
    theta, data = jax.numpy.asarray(THETA), [jax.numpy.asarray(column) for column in data]
    return lambda: jax.block_until_ready(f(theta, *data))


def of_torch(torch, data):
    torch.set_num_threads(1)
    theta, (x1, x2, r) = torch.tensor(THETA, requires_grad=True), map(torch.from_numpy, data)

    def work():
        u1, u2, b_z, w11, w12, b1, w21, w22, b2 = theta
        h1, h2 = torch.sigmoid(w11 * x1 + w12 * x2 + b1), torch.sigmoid(w21 * x1 + w22 * x2 + b2)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(u1 * h1 + u2 * h2 + b_z, r, reduction="sum")
        return torch.autograd.grad(loss, theta)

    return work


def of_ddx(ddx, data):
    names = (*parameter_names(2), "x1", "x2", "r")

    @ddx.equation
    def equation():
        v = {name: ddx.var(name) for name in names}
        h = [1 / (1 + ddx.exp(-(v[f"w{j}1"] * v["x1"] + v[f"w{j}2"] * v["x2"] + v[f"b{j}"]))) for j in (1, 2)]
        z = 1 / (1 + ddx.exp(-(v["u1"] * h[0] + v["u2"] * h[1] + v["b_z"])))
        return -v["r"] * ddx.log(z) - (1 - v["r"]) * ddx.log(1 - z)

    point = dict(zip(names, [*THETA, *(column[0] for column in data)], strict=True))
    equation.compile().wait_for_kernel()
    return equation.buffer([point[symbol] for symbol in equation.symbols])


def of_casadi(casadi, data):
    theta, x = casadi.SX.sym("theta", 9), casadi.SX.sym("x", 3)
    sigmoid = lambda a: 1 / (1 + casadi.exp(-a))
    u1, u2, b_z, w11, w12, b1, w21, w22, b2 = casadi.vertsplit(theta)
    x1, x2, r = casadi.vertsplit(x)
    z = sigmoid(u1 * sigmoid(w11 * x1 + w12 * x2 + b1) + u2 * sigmoid(w21 * x1 + w22 * x2 + b2) + b_z)
    loss = -r * casadi.log(z) - (1 - r) * casadi.log(1 - z)
    f = casadi.Function("f", [theta, x], [loss, casadi.gradient(loss, theta)])
    point = THETA, [column[0] for column in data]
    return lambda: f(*point)


def of_micrograd(engine):
    """One full-batch step, with the functions that micrograd lacks said in its way."""

    def unary(x, value, partial):
        out = engine.Value(value, (x,))

        def _backward():
            x.grad += partial * out.grad

        out._backward = _backward
        return out

    def sigmoid(x):
        z = 1 / (1 + math.exp(-x.data))
        return unary(x, z, z * (1 - z))

    def log(x):
        return unary(x, math.log(x.data), 1 / x.data)

    w = [engine.Value(x) for x in THETA]

    def work():
        loss = 0
        for x1, x2, r in zip(X1, X2, R, strict=True):
            h1, h2 = sigmoid(w[3] * x1 + w[4] * x2 + w[5]), sigmoid(w[6] * x1 + w[7] * x2 + w[8])
            z = sigmoid(w[0] * h1 + w[1] * h2 + w[2])
            loss += (log(z) * -r - log(1 - z) * (1 - r)) / 4
        for p in w:
            p.grad = 0.0
        loss.backward()
        for p in w:
            p.data -= p.grad

    return work


# --- the work ----------------------------------------------------------------------------------


def many_rows(c):
    for rows, limit, count, turns in ((1_000_000, 1.15, 1, 9), (1000, 1.5, 100, 41)):
        data, work = columns(rows), f"XOR loss and gradient, {rows:,} rows"
        ours = times(program().bind(THETA, *data), count)
        if c:
            at_most(work, limit, *medians(ours, times(of_c(c, data), count), times=turns), "C")
        if rows == 1_000_000:
            for name, made in (("jax", of_jax), ("torch", of_torch)):
                if module := peer(name):
                    at_least(work, 4, *medians(ours, made(module, data), times=5), name)


def one_row():
    data, work = columns(1), "one call on one row"
    loop = times(program().bind(THETA, *data), 2000)
    print(f"         {work}: {scaled(loop, 2000, times=41):.0f} ns, scaled")
    if ddx := peer("ddx"):
        at_most(work, 0.5 / 0.4, *medians(loop, times(of_ddx(ddx, data), 2000), times=41), "ddx-ad's buffered call")
    for name, made in (("casadi", of_casadi), ("jax", of_jax), ("torch", of_torch)):
        if module := peer(name):
            at_least(work, 1, *medians(loop, times(made(module, data), 2000), times=5), name)


def training(c):
    kernel, data, work = program("mean"), (X1, X2, R), f"XOR, {STEPS} full-batch steps"
    ours = times(lambda: kernel.train(THETA, *data, steps=STEPS, optimizer=SGD(1.0)), 3)
    if c:
        w, losses = THETA.copy(), np.empty(STEPS)
        *inputs, out = pointers(w, *data, losses)
        sizes = ctypes.c_size_t(4), ctypes.c_size_t(STEPS), ctypes.c_double(1.0)

        def theirs():
            w[:] = THETA
            c.train(*inputs, *sizes, out)

        at_most(work, 1.2, *medians(ours, times(theirs, 3), times=41), "the loop in C")
    if engine := peer("micrograd.engine"):
        a, b = medians(ours, times(of_micrograd(engine), 40), times=5)
        at_least(work, 2000, a / 3, b / 40 * STEPS, "micrograd's loop")
    several = np.array([Weights.random(2, seed=seed).vector() for seed in range(8)])
    many = times(lambda: kernel.train(several, *data, steps=STEPS, optimizer=SGD(1.0)), 3)
    at_most("8 networks at once", 4, *medians(many, ours, times=41), "the time of one")


def compilation():
    def compiled():
        program().bind(THETA, *columns(1))

    warm = scaled(compiled, 1, times=21) * 1e-6
    row("compile the XOR gradient, warm, scaled", "<= 15 ms", f"{warm:.1f} ms", warm <= 15)
    command = [sys.executable, __file__, "--first-use"]
    first = median(float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(7))
    row("first use in a process, scaled", "<= 60 ms", f"{first:.1f} ms", first <= 60)


def first_use():
    """What the first program costs a process that has numpy, in scaled milliseconds."""
    start = thread_time()
    program().bind(THETA, *columns(1))()
    taken = thread_time() - start
    print(taken / seconds(lambda: products(1.5, 2.5, 2_000_000)) * 20.0)


FORMULAS = [
    lambda x, y: x * y,
    lambda x, y: x + 0.5 * y,
    lambda x, _: x.tanh(),
    lambda x, y: x - y,
    lambda x, y: x * y.sigmoid(),
]


@cache
def operands(count):
    """Where each formula's operands are, counted back from the latest result; drawn once, for drawing takes longer."""
    pick = random.Random(1)
    return [(-pick.randint(1, 50), -pick.randint(1, 50)) for _ in range(count)]


def graph(nodes):
    """About so many nodes below a root: 7 for 5 formulas, of which a quarter comes to nothing."""
    pick = random.Random(1)
    leaves = [Value(pick.uniform(-1, 1), label=f"p{i}") for i in range(50)]
    recent = list(leaves)
    for (i, j), formula in zip(operands(nodes * 27 // 28), cycle(FORMULAS)):
        recent.append(formula(recent[i], recent[j]))
    return total(recent[-50:]), leaves


def bound(E, leaves):
    return compile(E, leaves, reduce="sum", backend="llvm").bind([p.data for p in leaves])


def sizes():
    costs = {}
    for nodes, turns in ((1000, 9), (10_000, 9), (100_000, 3)):
        work = partial(bound, *graph(nodes))
        gc.collect()
        costs[nodes] = scaled(work, 1, times=turns) * 1e-9
    shown = ", ".join(f"{cost:.2g} s" for cost in costs.values())
    row("compile 1,000, 10,000, 100,000 nodes, scaled", "100,000 in < 10 s", shown, costs[100_000] < 10)
    growth = costs[100_000] / costs[10_000]
    row("compile 100,000 nodes", "<= 12 x 10,000 nodes", f"{growth:.1f}", growth <= 12)
    call = work()

    def eager():
        E, _ = graph(100_000)
        E.backward()

    at_least("100,000 nodes, one row", 20, *medians(call, eager, times=3), "the eager engine")


def numpy_backend():
    data = columns(1_000_000)
    ours = program("mean", "numpy").bind(THETA, *data)
    weights, X = Weights.from_vector(THETA), np.stack(data[:2], axis=1)
    by_hand = lambda: (compact_form.loss(weights, X, data[2]), compact_form.gradient(weights, X, data[2]))
    at_most("numpy backend, 1,000,000 rows", 1, *medians(ours, by_hand, times=5), "the compact form by hand")


def threads():
    for rows in (100_000, 1_000_000):
        calls = []
        for count in ("1", "2"):
            os.environ["MICROGRAD_XOR_THREADS"] = count
            calls.append(program().bind(THETA, *columns(rows)))
        os.environ["MICROGRAD_XOR_THREADS"] = "1"
        one, two = zip(*[[wall(call) for call in calls] for _ in range(201)], strict=True)
        at_least(f"2 threads, {rows:,} rows (wall time)", 1.8, median(two), median(one), "one")


def wall(work):
    start = perf_counter()
    work()
    return perf_counter() - start


def main():
    with tempfile.TemporaryDirectory() as folder:
        c = c_library(folder) if shutil.which("cc") else None
        many_rows(c)
        one_row()
        training(c)
    compilation()
    sizes()
    numpy_backend()
    threads()


if __name__ == "__main__":
    first_use() if "--first-use" in sys.argv else main()
