"""Optimisers: each update rule said once, in plain arithmetic, for whatever runs it.

`update` is a pure function of one parameter, its gradient, its state and the number of the step. On floats it
is a step of training; on `Value`s it records a step that can be differentiated; on a program's registers it is
compiled with the loop. `step` runs it on the parameters of a model, from their `data` and `grad`.

The rules and their defaults are PyTorch's; every state starts at 0 and steps count from 1.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from micrograd_xor import ops
from micrograd_xor.table import number
from micrograd_xor.value import Value

State = tuple[Any, ...]
Rate = float | Callable[[Any], Any]


@dataclass(frozen=True)
class Optimizer:
    """What all optimisers share: the learning rate, a number or a function of the step, and `step`.

    `slots` is how many numbers of state the rule keeps for each parameter.
    """

    slots: ClassVar[int] = 0

    learning_rate: Rate = 0.01
    _memory: dict[Value, tuple[int, State]] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        if not callable(self.learning_rate):
            _check("learning_rate", self.learning_rate)

    def update(self, parameter: Any, gradient: Any, state: State, t: Any) -> tuple[Any, State]:
        """The parameter and its `slots` numbers of state after step t = 1, 2, ...; pure, on any kind of number."""
        raise NotImplementedError(f"{type(self).__name__} must define update(parameter, gradient, state, t).")

    def rate(self, t: Any) -> Any:
        """The learning rate of step t."""
        return self.learning_rate(t) if callable(self.learning_rate) else self.learning_rate

    def step(self, parameters: Iterable[Value]) -> None:
        """Move each parameter's `data` along its `grad`; what the rule must remember is kept by parameter.

        TypeError where a parameter is not a Value; then none has moved.

        >>> w = Value(3.0)
        >>> (w * w).backward()
        >>> SGD(learning_rate=0.25).step([w])
        >>> w.data
        1.5
        """
        moves = [(p, *self._move(p)) for p in parameters]
        for parameter, data, memory in moves:
            parameter.data = data
            self._memory[parameter] = memory

    def _move(self, parameter: Value) -> tuple[float, tuple[int, State]]:
        if not isinstance(parameter, Value):
            raise TypeError(f"A parameter must be a Value, got {parameter!r}. Pass model.parameters().")
        t, state = self._memory.get(parameter, (0, (0.0,) * self.slots))
        data, state = self.update(parameter.data, parameter.grad, state, t + 1)
        return data, (t + 1, state)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: p ← p - η g.

    >>> SGD(learning_rate=0.5).update(1.0, 4.0, (), t=1)
    (-1.0, ())
    """

    def update(self, parameter: Any, gradient: Any, state: State, t: Any) -> tuple[Any, State]:
        """One step along the gradient."""
        return parameter - self.rate(t) * gradient, state


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Heavy-ball momentum: v ← μ v + g, p ← p - η v.

    >>> Momentum(learning_rate=0.5, momentum=0.5).update(1.0, 4.0, (2.0,), t=2)
    (-1.5, (5.0,))
    """

    slots: ClassVar[int] = 1

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("momentum", self.momentum, below=1.0)

    def update(self, parameter: Any, gradient: Any, state: State, t: Any) -> tuple[Any, State]:
        """One step along the decaying sum of gradients."""
        velocity = self.momentum * state[0] + gradient
        return parameter - self.rate(t) * velocity, (velocity,)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's momentum: v ← μ v + g, p ← p - η (g + μ v), a look one step ahead.

    >>> Nesterov(learning_rate=0.5, momentum=0.5).update(1.0, 4.0, (2.0,), t=2)
    (-2.25, (5.0,))
    """

    def update(self, parameter: Any, gradient: Any, state: State, t: Any) -> tuple[Any, State]:
        """One step along the gradient and the velocity that it will have."""
        velocity = self.momentum * state[0] + gradient
        return parameter - self.rate(t) * (gradient + self.momentum * velocity), (velocity,)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps scaled by the gradient's running size: s ← α s + (1 - α) g², p ← p - η g / (√s + ε).

    >>> RMSprop(learning_rate=0.5, decay=0.75, epsilon=0.0).update(1.0, 4.0, (0.0,), t=1)
    (0.0, (4.0,))
    """

    slots: ClassVar[int] = 1

    decay: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("decay", self.decay, below=1.0)
        _check("epsilon", self.epsilon)

    def update(self, parameter: Any, gradient: Any, state: State, t: Any) -> tuple[Any, State]:
        """One step along the gradient, divided by the root of its running mean square."""
        square = self.decay * state[0] + (1.0 - self.decay) * gradient * gradient
        return parameter - self.rate(t) * gradient / (ops.sqrt(square) + self.epsilon), (square,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Momentum and scaling, both corrected for their start at 0 (Kingma & Ba 2015).

    m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ), p ← p - η m̂ / (√v̂ + ε).

    >>> Adam(learning_rate=0.5, epsilon=0.0).update(1.0, 4.0, (0.0, 0.0), t=1)[0]
    0.5
    """

    slots: ClassVar[int] = 2

    learning_rate: Rate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("beta1", self.beta1, below=1.0)
        _check("beta2", self.beta2, below=1.0)
        _check("epsilon", self.epsilon)

    def update(self, parameter: Any, gradient: Any, state: State, t: Any) -> tuple[Any, State]:
        """One step along the corrected mean of the gradient, divided by the root of its corrected mean square."""
        m = self.beta1 * state[0] + (1.0 - self.beta1) * gradient
        v = self.beta2 * state[1] + (1.0 - self.beta2) * gradient * gradient
        m_hat = m / (1.0 - self.beta1**t)
        v_hat = v / (1.0 - self.beta2**t)
        return parameter - self.rate(t) * m_hat / (ops.sqrt(v_hat) + self.epsilon), (m, v)


def _check(name: str, x: Any, below: float = math.inf) -> None:
    """Refuse a number outside [0, below); what is not a number (a Value, a register) may be anything."""
    if not hasattr(x, "__op__") and not 0.0 <= number(x, name) < below:
        rule = "at least 0 and finite" if below == math.inf else f"at least 0 and less than {below:g}"
        raise ValueError(f"{name} must be {rule}, got {x!r}. Choose a number in that range.")
