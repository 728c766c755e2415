"""The compiled and the interpreted engine: the same bits, the same errors, the same texts."""

import os
import subprocess
import sys

import pytest

import micrograd_xor

PROGRAM = r"""
import math, random, sys
from micrograd_xor import Value, dot, gradient, ops, total, topological_order
from micrograd_xor.table import TABLE

rng = random.Random(int(sys.argv[1]))
POOL = [Value(rng.uniform(-2, 2), label=f"x{i}") for i in range(6)]
ROWS = sorted(TABLE.values(), key=lambda row: row.name)
WEIRD = [0.0, -0.0, 1, -1, 2, 3, 0.5, -0.5, True, math.inf, -math.inf, math.nan, 1e308, 5e-324, 10**400, "a", None, 1j]


def operand():
    return rng.choice(POOL) if rng.random() < 0.85 else rng.choice(WEIRD)


def arithmetic(x, y):
    z = x if isinstance(x, Value) else y
    kinds = [lambda: x + y, lambda: x - y, lambda: x * y, lambda: x / y, lambda: x**y, lambda: -z, lambda: z.relu()]
    return rng.choice(kinds)()


def record():
    if rng.random() < 0.5:
        pair = [rng.choice(POOL), operand()]
        return arithmetic(*(pair if rng.random() < 0.5 else pair[::-1]))
    row = rng.choice(ROWS)
    return row(*[operand() for _ in range(row.arity or 4)])


for _ in range(800):
    try:
        out = record()
    except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
        print(type(error).__name__, str(error).replace("micrograd_xor.value.Value", "Value"))
        continue
    if not isinstance(out, Value):
        continue
    POOL.append(out)
    if len(POOL) > 60:
        del POOL[6 + rng.randrange(50)]
    out.backward()
    print(out, out.op, *[f"{p:+.17e}" for p in out.partials])
    print(*[f"{x.grad.hex()}" for x in topological_order(out)])
for node in rng.sample(POOL, 5):
    print(gradient(node, POOL[:3]))
print(Value(1, (POOL[0],), "own")._op, total(POOL[:3]), dot(POOL[:2], POOL[2:4]))
"""


def run(seed: int, interpreted: str) -> str:
    environment = {**os.environ, "MICROGRAD_XOR_INTERPRETED": interpreted}
    command = [sys.executable, "-c", PROGRAM, str(seed)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100).stdout


@pytest.mark.skipif(not micrograd_xor.compiled, reason="one engine only: nothing to compare it with")
@pytest.mark.parametrize("seed", range(3))
def test_the_same_random_programs_print_the_same(seed: int) -> None:
    compiled, interpreted = run(seed, ""), run(seed, "1")
    assert compiled.splitlines() == interpreted.splitlines()
    assert len(compiled.splitlines()) > 500


@pytest.mark.parametrize("choice", ["1", ""])
def test_the_environment_variable_chooses_the_engine(choice: str) -> None:
    command = [sys.executable, "-c", "import micrograd_xor; print(micrograd_xor.compiled)"]
    environment = {**os.environ, "MICROGRAD_XOR_INTERPRETED": choice}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert told == "False" or not choice
