"""Scripts written for other people's `Value` run with only the import changed, and print the same digits.

Each script is run twice from one text: on the plain classes of `plain.py`, and on ours.
"""

import contextlib
import io
import math
from fractions import Fraction

import pytest

from micrograd_xor import Value
from micrograd_xor.gradient import gradient

OURS = {"micrograd.engine": "micrograd_xor", "micrograd.nn": "micrograd_xor.nn", "microgpt": "micrograd_xor"}
PLAIN = {
    "micrograd.engine": "plain",
    "micrograd.nn": "plain",
    "from microgpt import": "from plain import LocalGrads as",
}


def printed(script, imports):
    """What the script prints with its imports changed, and nothing else."""
    for theirs, other in imports.items():
        script = script.replace(theirs, other)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
    return out.getvalue()


DEMO = """
import random
from math import cos, pi, sin
from micrograd.engine import Value
from micrograd.nn import MLP

random.seed(1337)
moons = []
for i in range(30):
    t = pi * i / 29
    moons.append(([cos(t) + random.gauss(0, 0.1), sin(t) + random.gauss(0, 0.1)], 1))
    moons.append(([1 - cos(t) + random.gauss(0, 0.1), 0.5 - sin(t) + random.gauss(0, 0.1)], -1))

model = MLP(2, [8, 8, 1])
print(len(model.parameters()))

def loss():
    inputs = [list(map(Value, x)) for x, y in moons]
    scores = list(map(model, inputs))
    losses = [(1 + -y * score).relu() for (x, y), score in zip(moons, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    reg_loss = 1e-4 * sum((p * p for p in model.parameters()))
    accuracy = [(y > 0) == (score.data > 0) for (x, y), score in zip(moons, scores)]
    return data_loss + reg_loss, sum(accuracy) / len(accuracy)

for k in range(5):
    total_loss, acc = loss()
    model.zero_grad()
    total_loss.backward()
    learning_rate = 1.0 - 0.9 * k / 100
    for p in model.parameters():
        p.data -= learning_rate * p.grad
    print(f"step {k} loss {total_loss.data:.10f}, accuracy {acc * 100:.1f}%")
"""

NOTEBOOK = """
from micrograd.engine import Value

def trace(root):
    nodes, edges = set(), set()
    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)
    build(root)
    return nodes, edges

a, b, c = Value(2.0, label="a"), Value(-3.0, label="b"), Value(10.0, label="c")
e = a * b; e.label = "e"
d = e + c; d.label = "d"
f = Value(-2.0, label="f")
L = d * f + a; L.label = "L"
L.backward()
nodes, edges = trace(L)
for n in sorted(nodes, key=lambda n: (n.label, n.data)):
    print("{ %s | data %.4f | grad %.4f } %s" % (n.label, n.data, n.grad, n._op))
print(sorted((x.label, y.label, y._op) for x, y in edges), str(id(a)) == str(id(a)))
"""

LECTURE = """
import math
from micrograd.engine import Value

def tanh(x):
    t = (math.exp(2 * x.data) - 1) / (math.exp(2 * x.data) + 1)
    out = Value(t, (x,), "tanh")
    def _backward():
        x.grad += (1 - t**2) * out.grad
    out._backward = _backward
    return out

x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
b = Value(6.8813735870195432, label="b")
x1w1 = x1 * w1; x2w2 = x2 * w2
s = x1w1 + x2w2; n = s + b
o = tanh(n); o.label = "o"

o.grad = 1.0  # by hand first, a node at a time
for node in (o, n, s, x1w1, x2w2):
    node._backward()
print(["%.12f" % v.grad for v in (x1, x2, w1, w2, b, n)], o._op, o.label)

for v in (x1, x2, w1, w2, b, o, n, s, x1w1, x2w2):
    v.grad = 0.0
o.backward()
print(["%.12f" % v.grad for v in (x1, x2, w1, w2, b, n)])

y = tanh(tanh(x1 * 0.3) + tanh(x1 * 0.3) * w1)
x1.grad = w1.grad = 0
y.backward()
print("%.12f %.12f %.12f" % (y.data, x1.grad, w1.grad))
o.note = "any attribute"
print(o.note)
"""

GPT = """
import math, random
from microgpt import Value

random.seed(42)
docs = ["anna", "hannah", "nan", "ana", "hanna"]
chars = sorted(set("".join(docs)))
BOS = len(chars)
vocab, width, block, heads = BOS + 1, 4, 8, 2
matrix = lambda nout, nin: [[Value(random.gauss(0, 0.2)) for _ in range(nin)] for _ in range(nout)]
state = {"wte": matrix(vocab, width), "wpe": matrix(block, width), "out": matrix(vocab, width),
         "wq": matrix(width, width), "wk": matrix(width, width), "wv": matrix(width, width), "wo": matrix(width, width),
         "fc1": matrix(4 * width, width), "fc2": matrix(width, 4 * width)}
params = [p for m in state.values() for row in m for p in row]
print("params", len(params))

def silu(x):  # an operation of the script's own: its value and its local derivative
    s = 1 / (1 + math.exp(-x.data))
    return Value(x.data * s, (x,), (s * (1 + x.data * (1 - s)),))

def linear(x, w):
    return [sum(wi * xi for wi, xi in zip(row, x)) for row in w]

def softmax(logits):
    top = max(v.data for v in logits)
    exps = [(v - top).exp() for v in logits]
    total = sum(exps)
    return [e / total for e in exps]

def rmsnorm(x):
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]

def gpt(token, pos, keys, values):
    x = rmsnorm([t + p for t, p in zip(state["wte"][token], state["wpe"][pos])])
    h = rmsnorm(x)
    q = linear(h, state["wq"])
    keys.append(linear(h, state["wk"]))
    values.append(linear(h, state["wv"]))
    mixed = []
    for head in range(heads):
        part = slice(head * width // heads, (head + 1) * width // heads)
        scores = [sum(a * b for a, b in zip(q[part], k[part])) / (width // heads) ** 0.5 for k in keys]
        weights = softmax(scores)
        for j in range(width // heads):
            mixed.append(sum(w * v[part][j] for w, v in zip(weights, values)))
    x = [a + b for a, b in zip(x, linear(mixed, state["wo"]))]
    h = [silu(v) + v.relu() for v in linear(rmsnorm(x), state["fc1"])]
    x = [a + b for a, b in zip(x, linear(h, state["fc2"]))]
    return linear(x, state["out"])

m, v = [0.0] * len(params), [0.0] * len(params)
for step in range(6):
    tokens = [BOS] + [chars.index(c) for c in docs[step % len(docs)]] + [BOS]
    keys, values, losses = [], [], []
    for pos in range(len(tokens) - 1):
        probs = softmax(gpt(tokens[pos], pos, keys, values))
        losses.append(-probs[tokens[pos + 1]].log())
    loss = (1 / len(losses)) * sum(losses)
    loss.backward()
    for i, p in enumerate(params):
        m[i] = 0.85 * m[i] + 0.15 * p.grad
        v[i] = 0.99 * v[i] + 0.01 * p.grad ** 2
        p.data -= 0.05 * (m[i] / (1 - 0.85 ** (step + 1))) / ((v[i] / (1 - 0.99 ** (step + 1))) ** 0.5 + 1e-8)
        p.grad = 0
    print(f"step {step + 1} | loss {loss.data:.10f}")

token, keys, values, word = BOS, [], [], ""
for pos in range(block):
    probs = softmax([logit / 0.5 for logit in gpt(token, pos, keys, values)])
    token = random.choices(range(vocab), weights=[p.data for p in probs])[0]
    if token == BOS:
        break
    word += chars[token]
print("sample", word, isinstance(loss, Value))
"""


@pytest.mark.parametrize(
    ("script", "lines"),
    [(DEMO, 6), (NOTEBOOK, 9), (LECTURE, 4), (GPT, 8)],
    ids=["demo", "graph notebook", "lecture", "scalar GPT"],
)
def test_only_the_import_changes(script, lines):
    expected = printed(script, PLAIN)
    assert len(expected.splitlines()) == lines
    assert printed(script, OURS) == expected


# --- micrograd's own tests, with what they must give computed exactly -----------------------------


class Dual:
    """a + b ε over the rationals: the exact value and derivative of a rational expression."""

    def __init__(self, a, b=0):
        self.a, self.b = Fraction(a), Fraction(b)

    def _lift(self, other):
        return other if isinstance(other, Dual) else Dual(other)

    def __add__(self, other):
        other = self._lift(other)
        return Dual(self.a + other.a, self.b + other.b)

    def __mul__(self, other):
        other = self._lift(other)
        return Dual(self.a * other.a, self.a * other.b + self.b * other.a)

    def __pow__(self, n):
        return Dual(self.a**n, n * self.a ** (n - 1) * self.b)

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -self._lift(other)

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * self._lift(other) ** -1

    def __rtruediv__(self, other):
        return self**-1 * other

    def relu(self):
        return self if self.a > 0 else Dual(0)

    __radd__, __rmul__ = __add__, __mul__


def sanity(x, y):
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    return h + q + q * x + y * 0


def more_operations(a, b):
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
    return g


def every_side(a, b):
    return 1 - a / 4 + (b - 2) * (3 - b) + 5 / (a * a) - (-b) ** 2 / 7 + (0.5 + a) ** -2 + (a + b).relu() * b**3


@pytest.mark.parametrize("formula", [sanity, more_operations, every_side])
@pytest.mark.parametrize("at", [(-4.0, 2.0), (3.5, -1.25), (0.125, 8.0)])
def test_operators_are_exact_to_the_last_digits(formula, at):
    a, b = map(Value, at)
    out = formula(a, b)
    out.backward()
    by_a, by_b = formula(Dual(at[0], 1), Dual(at[1])), formula(Dual(at[0]), Dual(at[1], 1))
    assert out.data == pytest.approx(float(by_a.a), rel=1e-13)
    assert (a.grad, b.grad) == pytest.approx((float(by_a.b), float(by_b.b)), rel=1e-12)


def test_readme_digits():
    a, b = Value(-4.0), Value(2.0)
    g = more_operations(a, b)
    g.backward()
    assert f"{g.data:.4f} {a.grad:.4f} {b.grad:.4f}" == "24.7041 138.8338 645.5773"


# --- where we differ, and why -----------------------------------------------------------------


def test_a_constant_operand_is_no_node():
    """`x * 2` keeps its 2 as a float in `args`: less memory, and no shared constant in pictures."""
    x = Value(3.0)
    y = x * 2
    assert y._prev == {x}
    assert y.args == (x, 2.0)


def test_each_operator_is_one_operation():
    """x - y is one node, not x + y * -1, and `_op` is the symbol alone: the exponent is an operand."""
    x, y = Value(3.0), Value(2.0)
    assert [(v._op, v._children) for v in (x - y, x / y, -x, x**3)] == [
        ("-", (x, y)),
        ("/", (x, y)),
        ("neg", (x,)),
        ("**", (x,)),
    ]


def test_a_second_backward_is_right():
    """Inner nodes start each sweep at 0; micrograd's keep the last sweep's grad and pass it on once more."""
    x = Value(3.0)
    y = x * x
    z = y * 2
    z.backward()
    z.backward()
    assert (y.grad, x.grad) == (2.0, 2 * 12.0)


def test_a_condition_on_a_value_is_refused():
    """A branch is not recorded, so it would be wrong the next time; on `.data` it says that it is meant."""
    with pytest.raises(TypeError, match=r"Ask \.data"):
        max(Value(1.0), Value(2.0))


def test_slots_of_the_class_are_numbers():
    """`data` and `grad` are float64: arrays and None are refused when they are assigned, not later."""
    x = Value(1)
    x.grad += 1
    assert (type(x.data), type(x.grad)) == (float, float)
    for junk in (None, "1", [1.0]):
        with pytest.raises(TypeError, match="must be a real number"):
            x.data = junk


def test_errors_come_at_the_line_that_makes_them():
    x = Value(-8.0, label="x")
    with pytest.raises(ValueError, match=r"x = -8\.0"):
        x ** (1 / 3)
    with pytest.raises(ZeroDivisionError, match="other than 0"):
        1 / (x - x)


# --- the surface, a name at a time ----------------------------------------------------------------


def test_constructors():
    x, y = Value(1.0), Value(2.0)
    assert Value(3.0, (x, y), "+", "s").label == "s"
    assert Value(3.0, _children=(x, y), _op="f")._prev == {x, y}
    own = Value(3.0, children=(x, y), local_grads=(5.0, 7.0))
    (own * 2).backward()
    assert (x.grad, y.grad, own._local_grads) == (10.0, 14.0, (5.0, 7.0))
    assert Value(3.0, (x,), (5.0,))._local_grads == (5.0,)


def test_identity_sums_and_methods():
    x = Value(0.5)
    assert {x: 1}[x] == 1
    assert x != Value(0.5)
    assert sum([x, x, 1]).data == 2.0
    for out, expected in (
        (x.relu(), 0.5),
        (x.tanh(), math.tanh(0.5)),
        (x.exp(), math.exp(0.5)),
        (x.log(), math.log(0.5)),
        (x**2, 0.25),
        (2**x, math.sqrt(2.0)),
    ):
        assert out.data == pytest.approx(expected, rel=1e-15)


def test_numpy_scalars_on_either_side():
    np = pytest.importorskip("numpy")
    x = Value(3.0)
    for out in (np.float64(2) * x, x * np.float64(2), np.float32(2) * x, np.int64(2) * x):
        assert isinstance(out, Value)
        assert (out.data, gradient(out, [x])[0].data) == (6.0, 2.0)


def test_deep_sums_that_overflow_the_others():
    x = Value(1.0)
    y = sum([x] * 5000, Value(0.0))
    y.backward()
    assert (y.data, x.grad) == (5000.0, 5000.0)
