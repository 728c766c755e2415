"""The oracles of the drop-in tests: the two kinds of `Value` that people know, as plain as they come, and modules.

`Value` keeps a closure a node and its operands in a set; `LocalGrads` keeps operands and local derivatives.
"""

import math
import random


class Value:
    def __init__(self, data, _children=(), _op="", label=""):
        self.data, self.grad, self.label = data, 0.0, label
        self._backward, self._prev, self._op = lambda: None, set(_children), _op

    def _binary(self, other, f, op, slopes):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(f(self.data, other.data), (self, other), op)

        def backward():
            da, db = slopes(self.data, other.data)
            self.grad += da * out.grad
            other.grad += db * out.grad

        out._backward = backward
        return out

    def _unary(self, data, op, slope):
        out = Value(data, (self,), op)

        def backward():
            self.grad += slope * out.grad

        out._backward = backward
        return out

    def __add__(self, other):
        return self._binary(other, lambda a, b: a + b, "+", lambda *_: (1.0, 1.0))

    def __mul__(self, other):
        return self._binary(other, lambda a, b: a * b, "*", lambda a, b: (b, a))

    def __pow__(self, n):
        return self._unary(self.data**n, f"**{n}", n * self.data ** (n - 1))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return self**-1 * other

    __radd__, __rmul__ = __add__, __mul__

    def relu(self):
        return self._unary(max(0.0, self.data), "ReLU", float(self.data > 0))

    def tanh(self):
        t = math.tanh(self.data)
        return self._unary(t, "tanh", 1 - t * t)

    def exp(self):
        e = math.exp(self.data)
        return self._unary(e, "exp", e)

    def log(self):
        return self._unary(math.log(self.data), "log", 1 / self.data)

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for x in node._prev:
                    visit(x)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node._backward()


class LocalGrads:
    def __init__(self, data, children=(), local_grads=()):
        self.data, self.grad, self._children, self._local_grads = data, 0.0, children, local_grads

    def __add__(self, other):
        other = other if isinstance(other, LocalGrads) else LocalGrads(other)
        return LocalGrads(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, LocalGrads) else LocalGrads(other)
        return LocalGrads(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, n):
        return LocalGrads(self.data**n, (self,), (n * self.data ** (n - 1),))

    def log(self):
        return LocalGrads(math.log(self.data), (self,), (1 / self.data,))

    def exp(self):
        return LocalGrads(math.exp(self.data), (self,), (math.exp(self.data),))

    def relu(self):
        return LocalGrads(max(0.0, self.data), (self,), (float(self.data > 0),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __truediv__(self, other):
        return self * other**-1

    __radd__, __rmul__ = __add__, __mul__

    backward = Value.backward
    _prev = property(lambda self: self._children)

    def _backward(self):
        for x, slope in zip(self._children, self._local_grads, strict=True):
            x.grad += slope * self.grad


class Neuron:
    def __init__(self, nin, nonlin=True):
        self.w, self.b, self.nonlin = [Value(random.uniform(-1, 1)) for _ in range(nin)], Value(0), nonlin

    def __call__(self, x):
        act = self.b
        for w, xi in zip(self.w, x, strict=True):
            act = act + w * xi
        return act.relu() if self.nonlin else act


class MLP:
    def __init__(self, nin, nouts):
        self.layers = [
            [Neuron(n, nonlin=i < len(nouts)) for _ in range(m)]
            for i, (n, m) in enumerate(zip([nin, *nouts[:-1]], nouts, strict=True), 1)
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = [neuron(x) for neuron in layer]
        return x[0] if len(x) == 1 else x

    def parameters(self):
        return [p for layer in self.layers for neuron in layer for p in (*neuron.w, neuron.b)]

    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0.0
