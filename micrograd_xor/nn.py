"""Neuron, Layer, MLP: micrograd's modules on this engine, with micrograd's digits.

Weights are drawn from `random` in micrograd's order, so the same `random.seed` gives the same network. A
neuron is one `dot` node instead of two nodes a weight; its sum runs in micrograd's order, bias first.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from micrograd_xor import ops
from micrograd_xor.value import Value

Seed = int | random.Random | None


class Module:
    """Something with parameters. A subclass says which, in `parameters`."""

    def zero_grad(self) -> None:
        """Set the `grad` of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0.0

    def parameters(self) -> list[Value]:
        """The Values that training may change."""
        return []


class Neuron(Module):
    """b + w·x, through relu unless `nonlin` is False; weights uniform in [-1, 1], bias 0.

    TypeError or ValueError where `nin` is not a positive whole number, or where x has another length.

    >>> n = Neuron(2, seed=0)
    >>> n, n([1.0, 0.0]).data == n.w[0].data
    (ReLUNeuron(2), True)
    """

    def __init__(self, nin: int, nonlin: bool = True, *, seed: Seed = None) -> None:
        uniform = _generator(seed).uniform
        self.w = [Value(uniform(-1, 1)) for _ in range(_size("nin", nin))]
        self.b = Value(0.0)
        self.nonlin = nonlin

    def __call__(self, x: Iterable[Any]) -> Value:
        """The neuron's output for the inputs x, numbers or Values."""
        pairs = (self.b, *self.w, 1.0, *x)
        if len(pairs) != 2 * len(self.w) + 2:
            got = len(pairs) - len(self.w) - 2
            raise ValueError(f"{self}'s input must have length {len(self.w)}, got length {got}. Match it to nin.")
        act = self.b.__op__(ops.inner_product, pairs)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        """The weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons on the same inputs; keywords go to each `Neuron`.

    >>> len(Layer(2, 3, nonlin=False)([1.0, 2.0]))
    3
    """

    def __init__(self, nin: int, nout: int, *, seed: Seed = None, **kwargs: bool) -> None:
        generator = _generator(seed)
        self.neurons = [Neuron(nin, **kwargs, seed=generator) for _ in range(_size("nout", nout))]

    def __call__(self, x: Sequence[Any]) -> Any:
        """The neurons' outputs: a list, or the Value itself where there is one neuron."""
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """The parameters of each neuron in turn."""
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """Layers of `nouts` neurons, each on the outputs of the one before; the last has no relu.

    `seed` draws the weights from a generator of its own: the digits of `random.seed(seed)`, `random` untouched.

    >>> model = MLP(2, [16, 16, 1], seed=1337)
    >>> len(model.parameters()), model([0.5, -0.5])
    (337, Value(data=-0.4622584932316083, grad=0.0))
    """

    def __init__(self, nin: int, nouts: Sequence[int], *, seed: Seed = None) -> None:
        generator = _generator(seed)
        last = len(nouts) - 1
        sizes = zip([nin, *nouts], nouts, strict=False)
        self.layers = [Layer(n, m, nonlin=i != last, seed=generator) for i, (n, m) in enumerate(sizes)]

    def __call__(self, x: Sequence[Any]) -> Any:
        """The last layer's outputs: a list, or the Value itself where there is one."""
        out: Any = x
        for layer in self.layers:
            out = layer([out] if isinstance(out, Value) else out)
        return out

    def parameters(self) -> list[Value]:
        """The parameters of each layer in turn."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def _generator(seed: Seed) -> Any:
    """Where weights come from: `random` itself, or a generator that draws the same numbers from its own seed."""
    if seed is None:
        return random
    return seed if hasattr(seed, "uniform") else random.Random(seed)


def _size(name: str, n: int) -> int:
    if not isinstance(n, int):
        raise TypeError(f"{name} must be a whole number, got {n!r}. Give the number of neurons or inputs.")
    if n < 1:
        raise ValueError(f"{name} must be at least 1, got {n!r}. Give the number of neurons or inputs.")
    return n
