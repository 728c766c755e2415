"""Modules: micrograd's digits from micrograd's seed, its texts, and clear refusals."""

import random

import plain
import pytest

from micrograd_xor import Value
from micrograd_xor.nn import MLP, Layer, Module, Neuron

X = [0.5, -0.25]


def numbers(values):
    return [v.data for v in values]


@pytest.mark.parametrize("sizes", [[1], [3], [16, 16, 1], [4, 1, 2]])
def test_the_same_seed_gives_the_same_network(sizes):
    random.seed(1337)
    expected = plain.MLP(2, sizes)
    random.seed(1337)
    model = MLP(2, sizes)
    assert numbers(model.parameters()) == numbers(expected.parameters())
    out, want = model(X), expected(X)
    if sizes[-1] > 1:
        out, want = sum(out), sum(want)
    assert out.data == want.data
    out.backward()
    want.backward()
    assert [p.grad for p in model.parameters()] == pytest.approx([p.grad for p in expected.parameters()], rel=1e-12)


def test_a_seed_of_its_own_draws_the_same_digits_and_leaves_random_alone():
    random.seed(7)
    expected, following = numbers(MLP(2, [3, 1]).parameters()), random.random()
    random.seed(7)
    [random.random() for _ in range(9)]
    model = MLP(2, [3, 1], seed=7)
    assert numbers(model.parameters()) == expected
    assert random.random() == following
    assert numbers(Layer(2, 3, seed=7).parameters()) == expected[:9]
    assert numbers(Neuron(2, seed=7).parameters()) == expected[:3]


def test_a_sum_runs_bias_first_as_micrograds():
    n = Neuron(3, nonlin=False, seed=0)
    for p, x in zip(n.parameters(), (1.0, 1.0, 1.0, 1e16), strict=True):
        p.data = x
    assert n([1.0, 1.0, 1.0]).data == 1e16  # ones first would give 1e16 + 4


def test_texts():
    assert repr(MLP(2, [2, 1])) == ("MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]")


def test_a_neuron_is_one_node_and_its_relu():
    n = Neuron(3, seed=0)
    out = n([Value(1.0), 2.0, Value(3.0)])
    assert out._op == "relu"
    assert [x._op for x in out._children] == ["·"]


def test_the_last_layer_alone_has_no_relu():
    assert [layer.neurons[0].nonlin for layer in MLP(2, [3, 3, 1]).layers] == [True, True, False]


def test_zero_grad():
    model = MLP(2, [2, 1], seed=3)
    model(X).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())


def test_a_module_of_ones_own():
    class Scale(Module):
        def __init__(self):
            self.factor = Value(2.0)

        def parameters(self):
            return [self.factor]

    scale = Scale()
    (scale.factor * 3).backward()
    scale.zero_grad()
    assert scale.factor.grad == 0.0
    assert Module().parameters() == []


def test_inputs_may_be_any_iterable_of_numbers():
    n = Neuron(2, seed=1)
    assert n(map(float, ("0.5", "-0.25"))).data == n(X).data == n((0.5, Value(-0.25))).data


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Neuron(2)([1.0]), ValueError, r"ReLUNeuron\(2\)'s input must have length 2, got length 1\."),
        (lambda: MLP(2, [3, 1])([1.0, 2.0, 3.0]), ValueError, "must have length 2, got length 3"),
        (lambda: Neuron(2)(["a", 1.0]), TypeError, "must be a real number or a Value, got 'a'"),
        (lambda: Neuron(0), ValueError, "nin must be at least 1, got 0"),
        (lambda: Layer(2, 1.5), TypeError, r"nout must be a whole number, got 1\.5"),
        (lambda: MLP(2, [3, -1]), ValueError, "nout must be at least 1, got -1"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
