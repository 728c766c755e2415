"""Each update rule against the explicit sum that it unrolls to, and against the closed forms of simple problems."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_xor import Value
from micrograd_xor.gradient import gradient
from micrograd_xor.optim import SGD, Adam, Momentum, Nesterov, Optimizer, RMSprop

OPTIMIZERS = [
    SGD(learning_rate=0.1),
    Momentum(learning_rate=0.1, momentum=0.8),
    Nesterov(learning_rate=0.1, momentum=0.8),
    RMSprop(learning_rate=0.1, decay=0.9),
    Adam(learning_rate=0.1, beta1=0.8, beta2=0.95),
]
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
slopes = st.lists(st.floats(-10, 10).filter(lambda g: abs(g) > 1e-3), min_size=1, max_size=8)


def decayed(factor, terms):
    """Σ factor^(n-k) terms_k: what a decaying sum is, written out."""
    return math.fsum(factor ** (len(terms) - k) * x for k, x in enumerate(terms, 1))


def move(optimizer, g):
    """The n-th move of a parameter, from all the gradients g_1..g_n that it has seen: nothing is carried along."""
    squares = [x * x for x in g]
    match optimizer:
        case Nesterov(momentum=mu):
            return g[-1] + mu * decayed(mu, g)
        case Momentum(momentum=mu):
            return decayed(mu, g)
        case RMSprop(decay=a, epsilon=e):
            return g[-1] / (math.sqrt((1 - a) * decayed(a, squares)) + e)
        case Adam(beta1=b1, beta2=b2, epsilon=e):
            mean = decayed(b1, g) / decayed(b1, [1.0] * len(g))
            return mean / (math.sqrt(decayed(b2, squares) / decayed(b2, [1.0] * len(g))) + e)
        case SGD():
            return g[-1]


def trajectory(optimizer, p, g, state=None, t=1):
    state = (0.0,) * optimizer.slots
    for t, slope in enumerate(g, 1):
        p, state = optimizer.update(p, slope, state, t)
    return p


@every_optimizer
@given(g=slopes, p=st.floats(-3, 3))
def test_rule_is_its_unrolled_sum(optimizer, g, p):
    expected = p - 0.1 * math.fsum(move(optimizer, g[:n]) for n in range(1, len(g) + 1))
    assert trajectory(optimizer, p, g) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradient_descent_on_a_parabola_is_geometric():
    p = 3.0
    for _ in range(20):
        p, _ = SGD(learning_rate=0.25).update(p, 2 * 0.5 * p, (), 1)
    assert p == 3.0 * 0.75**20


def test_momentum_reaches_terminal_velocity():
    ramp = Momentum(learning_rate=1.0, momentum=0.5)
    before, after = (trajectory(ramp, 0.0, [1.0] * n) for n in (60, 61))
    assert before - after == 2.0  # g / (1 - μ)


@pytest.mark.parametrize("g", [1e-3, -1.0, 250.0])
def test_adam_moves_by_the_learning_rate_on_a_constant_slope(g):
    adam = Adam(learning_rate=0.125, epsilon=0.0)
    assert trajectory(adam, 1.0, [g] * 7) == pytest.approx(1.0 - math.copysign(7 * 0.125, g), rel=1e-12)


@every_optimizer
def test_a_rule_on_values_gives_the_bits_it_gives_on_floats(optimizer):
    g = [0.3, -1.7, 2.2]
    recorded = trajectory(optimizer, Value(1.5), [Value(x) for x in g])
    assert recorded.data == trajectory(optimizer, 1.5, g)


def test_training_can_be_differentiated_by_its_learning_rate():
    rate, w = Value(0.1), Value(2.0)
    for _ in range(5):
        w, _ = SGD(learning_rate=rate).update(w, 3.0 * w, (), 1)
    [slope] = gradient(w, [rate])
    assert slope.data == pytest.approx(2.0 * 5 * (1 - 0.3) ** 4 * -3.0)


@every_optimizer
def test_step_writes_what_update_says(optimizer):
    optimizer = replace(optimizer)
    w, b = Value(1.5), Value(-0.5)
    for g in (0.3, -1.7, 2.2):
        w.grad, b.grad = g, 2 * g
        optimizer.step([w, b])
    assert w.data == trajectory(optimizer, 1.5, [0.3, -1.7, 2.2])
    assert b.data == trajectory(optimizer, -0.5, [0.6, -3.4, 4.4])


def test_a_parameter_that_joins_late_starts_at_its_first_step():
    adam = Adam(learning_rate=0.125, epsilon=0.0)
    early, late = Value(0.0), Value(0.0)
    early.grad = late.grad = 1.0
    adam.step([early])
    adam.step([early, late])
    assert (early.data, late.data) == (pytest.approx(-0.25), pytest.approx(-0.125))


def test_two_equal_optimizers_remember_apart():
    first, second = Momentum(), Momentum()
    w = Value(1.0)
    w.grad = 1.0
    first.step([w])
    assert first == second
    w.data = 1.0
    second.step([w])
    assert w.data == 1.0 - 0.01


@every_optimizer
def test_the_learning_rate_may_depend_on_the_step(optimizer):
    falling = replace(optimizer, learning_rate=lambda t: 0.1 / t)
    p, state = falling.update(1.0, 0.5, (0.0,) * optimizer.slots, 1)
    assert (p, state) == optimizer.update(1.0, 0.5, (0.0,) * optimizer.slots, 1)
    halved = replace(optimizer, learning_rate=0.05)
    assert falling.update(p, 0.7, state, 2) == halved.update(p, 0.7, state, 2)


@every_optimizer
def test_every_rule_minimises_a_bowl(optimizer):
    optimizer = replace(optimizer, learning_rate=lambda t: 0.2 / t**0.5)
    x, y = Value(1.0), Value(-0.7)
    for _ in range(400):
        loss = (x - 0.3) ** 2 + 3 * (y - 0.1) ** 2
        x.grad = y.grad = 0.0
        loss.backward()
        optimizer.step([x, y])
    assert (x.data, y.data) == (pytest.approx(0.3, abs=0.02), pytest.approx(0.1, abs=0.02))


def test_optimizers_print_and_compare_as_their_settings():
    assert repr(SGD()) == "SGD(learning_rate=0.01)"
    assert Adam(0.5) == Adam(learning_rate=0.5) != Adam(0.25)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-1.0), ValueError, "learning_rate must be at least 0 and finite, got -1.0."),
        (lambda: SGD(math.nan), ValueError, "learning_rate must be at least 0 and finite, got nan."),
        (lambda: SGD("fast"), TypeError, "learning_rate must be a real number"),
        (lambda: Momentum(momentum=1.0), ValueError, "momentum must be at least 0 and less than 1, got 1.0."),
        (lambda: RMSprop(decay=-0.1), ValueError, "decay must be at least 0 and less than 1, got -0.1."),
        (lambda: RMSprop(epsilon=-1e-8), ValueError, "epsilon must be at least 0 and finite, got -1e-08."),
        (lambda: Adam(beta1=2), ValueError, "beta1 must be at least 0 and less than 1, got 2."),
        (lambda: Adam(beta2=None), TypeError, "beta2 must be a real number"),
        (lambda: Optimizer().step([Value(1.0)]), NotImplementedError, "Optimizer must define update"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_bad_parameter_is_refused_and_none_has_moved():
    w = Value(1.0)
    w.grad = 1.0
    with pytest.raises(TypeError, match=r"A parameter must be a Value, got 2\.0\."):
        SGD().step([w, 2.0])
    assert w.data == 1.0
