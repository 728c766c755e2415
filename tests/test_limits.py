"""Depth, width, memory, cycles and threads: the engine at the edge of the machine, each in a process of its own."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import micrograd_xor
from micrograd_xor import Value, gradient, sigmoid, total

LARGE = 8e9  # bytes of memory: 10 million nodes differentiated or pickled peak at 5 to 7 GB
MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
MILLIONS = 10 if micrograd_xor.compiled and MEMORY > LARGE * WORKERS else 1

CHAIN = """
import resource
from micrograd_xor import Value, compiled
n = {n}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
x = v = Value(1.0)
for _ in range(n):
    v = v + x
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / n
v.backward()
assert x.grad == n + 1, x.grad
assert not compiled or grown <= 97, grown  # 96 bytes a node, and the allocator's own pages
del v
"""

WIDE = """
from micrograd_xor import Value, gradient, total
n = {n}
leaves = [Value(1.0) for _ in range(n)]
for node in (sum(leaves), total(leaves)):
    assert node.data == n
    node.backward()
assert leaves[0].grad == leaves[-1].grad == 2.0
assert [d.data for d in gradient(node, [leaves[0], leaves[-1]])] == [1.0, 1.0]
del node, leaves
"""

CYCLES = """
import gc, resource
from micrograd_xor import Value

def doubled(x):
    out = Value(2 * x.data, (x,), "doubled")
    def _backward():
        x.grad += 2 * out.grad
    out._backward = _backward
    return out

def peak_after(rounds):
    for _ in range(rounds):
        doubled(x).me = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

x = Value(1.0)
first = peak_after(100_000)
assert peak_after({n}) < first + 20_000, "a node in a cycle with its own _backward was never collected"
"""

PRODUCTS = """
from micrograd_xor import Value, draw, gradient
x = v = Value(1.0)
for _ in range({n}):
    v = v * x
"""

SUM = """
from micrograd_xor import Value, draw, total
leaves = [Value(1.0) for _ in range({n})]
v, x = total(leaves), leaves[-1]
del leaves
"""

DERIVATIVES = """
[slope] = gradient(v, [x])
assert slope.data == {n} + 1
"""

NO_DRAWING = """
try:
    draw(v)
except ValueError as error:
    assert str(error).startswith("A drawing must have at most 5000 nodes, got {n}"[:-1]), error
else:
    raise AssertionError("a graph of {n} nodes was drawn")
"""

PICKLES = """
import pickle
v.backward()
again, leaf = pickle.loads(pickle.dumps((v, x)))
leaf.grad = 0.0
again.backward()
assert (again.data, leaf.grad) == (v.data, x.grad)
"""

COPIES = """
import copy
again, leaf = copy.deepcopy((v, x))
again.backward()
assert leaf.grad == {n} + 1 and x.grad == 0
"""


@pytest.mark.parametrize(
    ("program", "n"),
    [
        pytest.param(CHAIN, MILLIONS * 1_000_000, id="chain"),
        pytest.param(WIDE, MILLIONS * 1_000_000, id="wide"),
        pytest.param(CYCLES, MILLIONS * 100_000, id="cycles"),
        pytest.param(PRODUCTS + DERIVATIVES + NO_DRAWING, MILLIONS * 1_000_000, id="chain derivatives"),
        pytest.param(PRODUCTS + PICKLES, MILLIONS * 1_000_000, id="chain pickles"),
        pytest.param(SUM + NO_DRAWING + PICKLES, MILLIONS * 1_000_000, id="wide pickles"),
        pytest.param(PRODUCTS + COPIES, MILLIONS * 10_000, id="chain copies"),
    ],
)
def test_a_graph_as_large_as_memory_holds(program: str, n: int) -> None:
    done = subprocess.run([sys.executable, "-c", program.format(n=n)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def one_graph(seed: int) -> float:
    x = Value(float(seed))
    for _ in range(20):
        E = total([sigmoid(x * k) * x for k in range(1, 60)])
        x.grad = 0.0
        E.backward()
    return x.grad


def test_threads_with_their_own_leaves_do_not_disturb_each_other() -> None:
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(one_graph, range(16)))
    assert together == list(map(one_graph, range(16)))


def test_threads_that_share_leaves_and_a_graph_keep_them_whole() -> None:
    x = Value(0.5)
    shared = x * x
    roots = [shared * float(k) + x for k in range(64)]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(root.backward) for root in roots]:
            done.result()
    assert x.grad == sum(k * 2 * 0.5 + 1 for k in range(64))


def test_an_interrupted_sweep_leaves_the_next_one_right() -> None:
    x = Value(3.0)
    bad = Value(6.0, (x,), "bad")

    def _backward() -> None:
        raise KeyboardInterrupt

    y = x * x
    bad._backward = _backward
    with pytest.raises(KeyboardInterrupt):
        (bad * y + y).backward()
    x.grad = 0.0
    (y + y).backward()
    assert x.grad == 12.0
    assert gradient(y, [x])[0].data == 6.0
