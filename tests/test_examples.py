"""Every example runs by itself and prints what it must, by formulas worked out here."""

import math
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import micrograd_xor

EXAMPLES = Path(__file__).parent.parent / "examples"


def lines_of(example):
    environment = {**os.environ, "PYTHONPATH": str(Path(micrograd_xor.__file__).parent.parent), "PYTHONUTF8": "1"}
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{example}.py")]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def numbers(line):
    return [float(x) for x in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[+-]\d+)?(?!\w)", line)]


def sigma(x):
    return 1 / (1 + math.exp(-x))


def quick_start(lines):
    z, slope = sigma(-2), sigma(-2) * sigma(2)
    bend = slope * (1 - 2 * z)
    assert numbers(lines[0]) == pytest.approx([2 * z + 1, z - 2 * slope, 4 * slope - 2], abs=1e-6)
    assert numbers(lines[1]) == pytest.approx([2 * slope], abs=1e-6)
    mixed = 4 * slope + 2 * bend * 2 * -1
    assert numbers(lines[2]) == pytest.approx([-2 * slope + 2 * bend, mixed, mixed, 8 * bend + 2], abs=1e-6)
    assert len(lines) == 5 + 8 + 1 + 9


def xor_by_hand(lines):
    losses = [numbers(line)[-1] for line in lines[:4]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.005
    for line in lines[4:8]:
        x1, x2, z, r = numbers(line)
        assert (z > 0.5) == bool(r) == (x1 != x2)
    by_graph, on_paper = (float(line.split(": ")[1]) for line in lines[8:])
    assert by_graph == pytest.approx(on_paper, abs=1e-11)
    assert by_graph != 0.0


def train_mlp(lines):
    losses = [numbers(line)[1] for line in lines[1:5]]
    assert losses[-1] < 0.05 < losses[0]
    assert lines[0] == "MLP with 337 parameters"
    assert lines[4].endswith("100 of 100 right")
    assert {*"".join(lines[5:])} == {"+", "."}


def second_derivatives(lines):
    values = [numbers(line)[1] for line in lines[1:9]]
    assert values[0] == pytest.approx(24.2)
    assert values[-1] < 1e-20
    assert numbers(lines[9])[1] > 0.1
    for order, line in enumerate(lines[10:], 1):
        assert numbers(line)[-2:] == pytest.approx([(0.5 + order) * math.exp(0.5)] * 2, abs=1e-11)
    assert len(lines) == 15


def derive_the_paper(lines):
    assert "∂E/∂w₁₁ = (z - r) u₁ h₁ (1 - h₁) x₁" in lines
    assert "∂z/∂z̄ = z σ(-z̄) = z (1 - z)" in lines
    h1, h2 = sigma(0.9), sigma(-0.1)
    z = sigma(0.5 * h1 - 0.4 * h2 + 0.1)
    w11 = (z - 1) * 0.5 * h1 * (1 - h1)
    x1 = w11 * 0.3 - (z - 1) * 0.4 * h2 * (1 - h2) * 0.7
    [backward] = [line for line in lines if line.startswith("backward")]
    assert numbers(backward) == pytest.approx([w11, x1], rel=1e-5)
    explained = [numbers(line)[-1] for line in lines if line.startswith("∂E/∂") and line[-1].isdecimal()]
    assert explained == pytest.approx([w11, x1], rel=1e-5)
    assert lines[-2:] == ["(z - r) u_1 h_1 (1 - h_1) x_1", "h1*u1*x1*(1 - h1)*(-r + z)"]


def property_test_your_formula(lines):
    assert lines[0].startswith("50 random points")
    assert numbers(lines[1])[0] == pytest.approx(2.0, abs=0.2)
    assert "12.0 (numeric), got 8.0 (backward)" in lines[2]
    assert "your own operation 'cube'" in lines[2]


def own_operation(lines):
    def swish(x):
        return x * sigma(x)

    def slope(x):
        return sigma(x) + x * sigma(x) * sigma(-x)

    def bend(x):
        return sigma(x) * sigma(-x) * (2 + x * (sigma(-x) - sigma(x)))

    assert numbers(lines[0]) == pytest.approx([swish(1.5)], abs=1e-8)
    assert numbers(lines[1]) == pytest.approx([3 * slope(1.5), 9 * bend(1.5)], abs=1e-8)
    assert lines[2].startswith("closed form: ∂y/∂w = ")
    rows = (0.5, 1.0, 1.5)
    expected = [sum(map(swish, rows)) / 3, sum(2 * x * slope(x) for x in rows) / 3]
    assert numbers(lines[4]) == pytest.approx(expected, abs=1e-8)
    assert "got 'warm'" in lines[5]


def char_transformer(lines):
    assert numbers(lines[0]) == [300.0, 768.0, round(math.log(12), 4)]
    first, *_, last = [numbers(line)[1] for line in lines[1:6]]
    assert last < 1.7 < math.log(12) < first
    words = lines[6].removeprefix("words of its own: ").replace(".", "").split()
    turns = [(a in "aeio") != (b in "aeio") for word in words for a, b in pairwise(word)]
    assert sum(turns) / len(turns) > 0.8  # it has learned that vowels and consonants take turns


CHECKS = {
    check.__name__: check
    for check in (
        char_transformer,
        derive_the_paper,
        own_operation,
        property_test_your_formula,
        quick_start,
        second_derivatives,
        train_mlp,
        xor_by_hand,
    )
}


@pytest.mark.parametrize("example", CHECKS)
def test_example_prints_what_it_must(example):
    CHECKS[example](lines_of(example))


def test_every_example_is_checked():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CHECKS}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= (110 if path.stem == "char_transformer" else 60)
