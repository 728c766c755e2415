"""Programs: shapes, names, buffers, training and errors, on every backend that is installed."""

import importlib.util
import math
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import minimize

from micrograd_xor import Value, ops, optim
from micrograd_xor.compiler import Program, compile
from micrograd_xor.descent import Loop, update_tape
from micrograd_xor.gradient import gradient, hessian
from micrograd_xor.testing import graphs

X1, X2, R = (np.array(column) for column in ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]))
NAMES = ("u1", "u2", "b_z", "w11", "w12", "b1", "w21", "w22", "b2")
THETA = np.random.default_rng(0).uniform(-1.0, 1.0, 9)
BACKENDS = ["numpy", *(["llvm"] if importlib.util.find_spec("llvmlite") else [])]


def xor_loss(u1, u2, b_z, w11, w12, b1, w21, w22, b2, x1, x2, r):
    """The paper's E, as the paper writes it."""
    h1 = ops.sigmoid(w11 * x1 + w12 * x2 + b1)
    h2 = ops.sigmoid(w21 * x1 + w22 * x2 + b2)
    z = ops.sigmoid(u1 * h1 + u2 * h2 + b_z)
    return -r * ops.log(z) - (1.0 - r) * ops.log(1.0 - z)


def recorded() -> tuple[list[Value], Value]:
    """Parameters, and the mean loss over the four patterns, on the engine."""
    parameters = [Value(x) for x in THETA]
    losses = [xor_loss(*parameters, *map(float, pattern)) for pattern in zip(X1, X2, R, strict=True)]
    return parameters, sum(losses) / 4.0


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


@pytest.fixture
def program(backend) -> Program:
    return compile(xor_loss, data=["x1", "x2", "r"], backend=backend)


def of_product(backend: str = "numpy", reduce: str | None = "mean") -> Program:
    """w x, by w."""
    w, x = Value(1.0, label="w"), Value(1.0, label="x")
    return compile(w * x, [w], [x], reduce=reduce, backend=backend)


# --- the engine's numbers ---------------------------------------------------------------------


def test_value_gradient_and_hessian_are_the_engines(program):
    parameters, E = recorded()
    slopes = [d.data for d in gradient(E, parameters)]
    bends = np.array([[d.data for d in row] for row in hessian(E, parameters)])
    value, found = program(THETA, X1, X2, R)
    assert (float(value), list(found)) == (pytest.approx(E.data, rel=1e-13), pytest.approx(slopes, rel=1e-12))
    assert program.value(THETA, X1, X2, R) == pytest.approx(E.data, rel=1e-13)
    assert program.gradient(THETA, X1, X2, R) == pytest.approx(found, rel=1e-12)
    assert program.hessian(THETA, X1, X2, R) == pytest.approx(bends, rel=1e-10, abs=1e-14)
    vector = np.arange(9.0)
    assert program.hvp(THETA, vector, X1, X2, R) == pytest.approx(bends @ vector, rel=1e-10)


@settings(max_examples=15)
@given(graph=graphs())
@pytest.mark.parametrize("backend", BACKENDS)
def test_random_graphs_have_the_engines_gradient(backend, graph):
    program = compile(graph.output, graph.inputs, backend=backend)
    value, found = program([x.data for x in graph.inputs])
    graph.output.backward()
    assert value == pytest.approx(graph.output.data, rel=1e-13, abs=1e-14)
    assert found == pytest.approx([x.grad for x in graph.inputs], rel=1e-11, abs=1e-12)


def test_at_zero_the_papers_facts_hold(program):
    zeros = np.zeros(9)
    value, slope = program(zeros, X1, X2, R)
    assert value == pytest.approx(math.log(2.0), rel=1e-15)
    assert not slope.any()
    assert np.linalg.eigvalsh(program.hessian(zeros, X1, X2, R)) == pytest.approx([0.0] * 8 + [0.375], abs=1e-15)


def test_the_gradient_is_z_minus_r_where_z_saturates(backend):
    program = compile(lambda z_bar, r: -r * z_bar.sigmoid().log() - (1 - r) * (1 - z_bar.sigmoid()).log(),
                      data=["r"], reduce=None, backend=backend)  # fmt: skip
    value, slope = program([[-700.0], [700.0]], [0.0, 1.0])
    tiny = math.exp(-700.0)
    assert value == pytest.approx(np.array([[tiny, 700.0], [700.0, tiny]]), rel=1e-15)
    assert slope[..., 0] == pytest.approx(np.array([[tiny, -1.0], [1.0, -tiny]]), rel=1e-15)


# --- shapes, names, buffers -------------------------------------------------------------------


@pytest.mark.parametrize("sets", [(), (1,), (3,)])
@pytest.mark.parametrize("reduce", ["mean", "sum", None])
def test_shapes(backend, sets, reduce):
    program = compile(xor_loss, data=["x1", "x2", "r"], reduce=reduce, backend=backend)
    theta, rows = np.random.default_rng(1).normal(size=(*sets, 9)), () if reduce else (4,)
    value, slope = program(theta, X1, X2, R)
    assert (np.shape(value), slope.shape) == ((*sets, *rows), (*sets, *rows, 9))
    assert program.hessian(theta, X1, X2, R).shape == (*sets, *rows, 9, 9)
    assert program.hvp(theta, theta, X1, X2, R).shape == (*sets, *rows, 9)
    whole = compile(xor_loss, data=["x1", "x2", "r"], reduce=None, backend="numpy")(theta, X1, X2, R)
    axis = len(sets)
    for found, every in zip((value, slope), whole, strict=True):
        assert found == pytest.approx(getattr(every, reduce)(axis=axis) if reduce else every, rel=1e-12)


def test_arguments_by_name_are_those_by_position(program):
    expected = program(THETA, X1, X2, R)[1]
    named = dict(zip(NAMES, THETA, strict=True))
    assert np.array_equal(program(THETA, X1, r=R, x2=X2)[1], expected)
    assert np.array_equal(program(**named, x1=X1, x2=X2, r=R)[1], expected)
    many = named | {"b_z": np.array([named["b_z"], 0.0])}
    assert program(**many, x1=X1, x2=X2, r=R)[1].shape == (2, 9)


def test_what_is_no_contiguous_float64_is_converted(program):
    expected = program(THETA, X1, X2, R)[1]
    strided = np.stack([X1, X2], axis=1)
    found = program(list(THETA), strided[:, 0], X2.astype(np.float32), R.astype(int).tolist())[1]
    assert np.array_equal(found, expected)
    assert np.array_equal(program(THETA, X1.astype(bool), X2[::-1][::-1], R)[1], expected)


def test_a_number_is_a_column_of_it(backend):
    program = of_product(backend, None)
    assert program.value([2.0], 3.0).tolist() == [6.0]
    x = Value(1.0, label="x")
    assert compile(x * x, [x], backend=backend)([3.0]) == (9.0, [6.0])


def test_results_go_to_the_callers_arrays(program):
    value, slope = np.empty(()), np.empty(9)
    found = program(THETA, X1, X2, R, out=(value, slope))
    assert found[0] is value
    assert found[1] is slope
    assert np.array_equal(slope, program(THETA, X1, X2, R)[1])
    assert program.gradient(THETA, X1, X2, R, out=slope) is slope


def test_a_bound_call_reads_its_arrays_anew(program):
    theta = THETA.copy()
    call = program.bind(theta, X1, X2, R)
    before = call()[1].copy()
    theta *= 2.0
    assert np.array_equal(call()[1], program(theta, X1, X2, R)[1])
    assert not np.array_equal(before, call()[1])


def test_an_empty_table(backend):
    assert of_product(backend, "sum")([2.0], []) == (0.0, [0.0])
    assert of_product(backend, None)([2.0], [])[1].shape == (0, 1)
    with pytest.raises(ValueError, match="must have a row to take the mean of, got 0 rows"):
        of_product(backend)([2.0], [])


def test_a_decorated_function_is_a_program(backend):
    @compile(data=["x"], reduce="sum", backend=backend)
    def program(w, x):
        return ops.where(ops.step(x), w * x, 0.0)

    assert program([2.0], [-1.0, 3.0]) == (6.0, [3.0])


def test_what_python_reads_is_a_constant():
    w, x = Value(2.0, label="w"), Value(3.0, label="x")
    assert compile(w * x.data, [w], [x], backend="numpy")([2.0], [100.0])[0] == 6.0


def test_a_program_is_a_function_for_scipy(program):
    found = minimize(program, THETA, args=(X1, X2, R), jac=True, method="L-BFGS-B", options={"maxiter": 30})
    assert found.fun < program.value(THETA, X1, X2, R)
    newton = minimize(program, THETA, args=(X1, X2, R), jac=True, hess=program.hessian, method="trust-exact",
                      options={"maxiter": 5})  # fmt: skip
    assert newton.fun < program.value(THETA, X1, X2, R)
    product = minimize(program, THETA, args=(X1, X2, R), jac=True, hessp=program.hvp, method="Newton-CG",
                       options={"maxiter": 5})  # fmt: skip
    assert product.fun < program.value(THETA, X1, X2, R)


def test_pickled_it_gives_the_same_bits(program):
    expected = program(THETA, X1, X2, R)[1]
    arrived = pickle.loads(pickle.dumps(program))
    assert np.array_equal(arrived(THETA, X1, X2, R)[1], expected)
    assert repr(arrived) == repr(program)


def test_threads_may_share_it(program):
    thetas, found = np.random.default_rng(2).normal(size=(8, 9)), {}
    expected = [program(theta, X1, X2, R)[1] for theta in thetas]

    def work(i: int) -> None:
        found[i] = [program(thetas[i], X1, X2, R)[1] for _ in range(20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(slope, expected[i]) for i in range(8) for slope in found[i])


# --- training ---------------------------------------------------------------------------------

OPTIMIZERS = [
    optim.SGD(0.5),
    optim.Momentum(0.1, momentum=0.8),
    optim.Nesterov(0.1),
    optim.RMSprop(0.01),
    optim.Adam(0.05),
    optim.SGD(lambda t: 1.0 / (1.0 + t)),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_training_takes_the_engines_steps(program, optimizer):
    descent = program.train(THETA, X1, X2, R, steps=25, optimizer=optimizer, record=[0, 7, 25])
    theta, state, losses = list(THETA), [(0.0,) * optimizer.slots] * 9, []
    thetas = {0: theta}
    for t in range(1, 26):
        value, slopes = program(theta, X1, X2, R)
        losses.append(float(value))
        moves = [optimizer.update(p, d, s, t) for p, d, s in zip(theta, slopes.tolist(), state, strict=True)]
        thetas[t] = theta = [p for p, _ in moves]
        state = [s for _, s in moves]
    assert descent.losses[:-1] == pytest.approx(losses, rel=1e-10)
    assert descent.losses[-1] == pytest.approx(program.value(theta, X1, X2, R), rel=1e-10)
    assert descent.theta == pytest.approx(theta, rel=1e-9)
    assert sorted(descent.snapshots) == [0, 7, 25]
    for step, snapshot in descent.snapshots.items():
        assert snapshot == pytest.approx(thetas[step], rel=1e-9)


def test_networks_trained_at_once_are_those_trained_one_by_one(program):
    thetas = np.random.default_rng(4).uniform(-1.0, 1.0, (5, 9))
    together = program.train(thetas, X1, X2, R, steps=30, optimizer=optim.Adam(0.1), record=[10])
    alone = [program.train(theta, X1, X2, R, steps=30, optimizer=optim.Adam(0.1), record=[10]) for theta in thetas]
    assert together.losses.shape == (5, 31)
    assert together.theta == pytest.approx(np.stack([one.theta for one in alone]), rel=1e-10)
    assert together.snapshots[10] == pytest.approx(np.stack([one.snapshots[10] for one in alone]), rel=1e-10)


def test_training_learns_xor_and_leaves_theta(program):
    theta = np.random.default_rng(5).uniform(-1.0, 1.0, (20, 9))
    before = theta.copy()
    seen = []
    descent = program.train(
        theta, X1, X2, R, steps=600, optimizer=optim.Nesterov(0.5), progress=lambda n, _: seen.append(n)
    )
    solved = descent.losses[:, -1] < 0.1
    assert solved.mean() > 0.5  # the others sit on a plateau, as the paper's network does
    assert np.array_equal(theta, before)
    assert (seen[-1], descent.steps, descent.interrupted) == (600, 600, False)


def test_an_interrupt_returns_what_there_is(program):
    def interrupt(step: int, _: object) -> None:
        if step >= 3:
            raise KeyboardInterrupt

    descent = program.train(THETA, X1, X2, R, steps=50_000, optimizer=optim.SGD(1.0), progress=interrupt)
    again = program.train(THETA, X1, X2, R, steps=descent.steps, optimizer=optim.SGD(1.0))
    assert descent.interrupted
    assert 3 <= descent.steps < 50_000
    assert descent.theta == pytest.approx(again.theta, rel=1e-12)
    assert descent.losses == pytest.approx(again.losses, rel=1e-12)


def test_an_interrupt_within_a_chunk_leaves_no_half_step():
    class Kernel:
        chunks = 0

        def bind(self, *arguments):
            _theta, _columns, outs, _reduce = arguments
            return lambda: [out.fill(0.0) for out in outs]

        def train(self, *arguments):
            _update, theta, _state, _columns, losses, _reduce, _first = arguments
            theta += losses.shape[1]
            losses[:] = 0.0
            self.chunks += 1
            if self.chunks == 2:
                raise KeyboardInterrupt

    descent = Loop(Kernel(), np.zeros((1, 3)), (), "mean", optim.SGD(), work=10**9).run(100, frozenset(), None)
    assert (descent.steps, descent.interrupted) == (1, True)
    assert np.array_equal(descent.theta, np.ones((1, 3)))


def test_a_rate_is_asked_anew_each_time():
    rates = [0.5, 0.25]
    optimizer = optim.SGD(lambda _: rates[0])
    thetas = []
    while rates:
        thetas.append(of_product().train([1.0], [1.0], steps=1, optimizer=optimizer).theta[0])
        rates.pop(0)
    assert thetas == [0.5, 0.75]
    assert update_tape(optim.SGD(0.5)) is update_tape(optim.SGD(0.5))
    assert update_tape(optim.SGD(0.5)) != update_tape(optim.SGD(0.25))


def test_no_steps_leave_theta_where_it_is(program):
    descent = program.train(THETA, X1, X2, R, steps=0)
    assert np.array_equal(descent.theta, THETA)
    assert descent.losses == pytest.approx([program.value(THETA, X1, X2, R)])


def test_training_needs_a_loss_rows_and_a_number_of_steps(program):
    with pytest.raises(ValueError, match="must reduce its rows to be trained, got reduce=None"):
        of_product(reduce=None).train([1.0], [1.0], steps=1)
    with pytest.raises(ValueError, match="must have a row to train on, got 0 rows"):
        program.train(THETA, [], [], [], steps=1)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        program.train(THETA, X1, X2, R, steps=-1)


# --- exports ----------------------------------------------------------------------------------


def test_the_sources_are_of_value_and_gradient(program):
    namespace = {}
    exec(program.to_numpy("f"), namespace)
    value, *slopes = namespace["f"](np, *THETA, X1, X2, R)
    expected = program(THETA, X1, X2, R)
    assert value.mean() == pytest.approx(expected[0])
    assert [np.mean(slope) for slope in slopes] == pytest.approx(expected[1])
    assert "out[10]: value, d_d u1" in program.to_c("f")


# --- which row was bad ------------------------------------------------------------------------


def test_check_names_the_row_the_operation_and_its_operands(backend):
    w, x = Value(1.0, label="w"), Value(1.0, label="x")
    product = w * x
    product.label = "p"
    program = compile(product.log(), [w], [x], backend=backend)
    assert program([1.0], [1.0, 2.0], check=True)[1] == pytest.approx([1.0])
    with pytest.raises(FloatingPointError, match=r"Row 2 must give finite numbers, got log\(p = 0\.0\)"):
        program([1.0], [1.0, 2.0, 0.0, -1.0], check=True)
    with pytest.raises(FloatingPointError, match=r"Row 1 must give finite numbers, got x = nan"):
        program([1.0], [1.0, math.nan], check=True)
    with pytest.raises(FloatingPointError, match=r"Row 0 of parameter set 1 must give finite numbers, got log\(p = -1"):
        program([[1.0], [-1.0]], [1.0, 2.0], check=True)


def test_check_finds_the_row_of_a_long_table():
    x = np.ones(70_000)
    x[69_999] = math.inf
    with pytest.raises(FloatingPointError, match="Row 69999 must give finite numbers, got x = inf"):
        of_product()([1.0], x, check=True)


def test_check_tells_an_overflow_of_the_sum(backend):
    program = of_product(backend, "sum")
    with pytest.raises(FloatingPointError, match="must have a finite sum"):
        program([1e308], [1.0, 1.0], check=True)
    assert program([1e308], [1.0, 1.0])[0] == math.inf


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0], X1), ValueError, r"theta must have shape \(1,\) or \(K, 1\), got \(2,\)"),
        ((np.ones((0, 1)), X1), ValueError, r"theta must have shape \(1,\) or \(K, 1\), got \(0, 1\)"),
        ((1.0, X1), ValueError, r"theta must have shape \(1,\) or \(K, 1\), got \(\)"),
        (([1.0],), TypeError, "got none for 'x'"),
        (([1.0], X1, X2), TypeError, "The columns must be 1, got 2"),
        (([1.0], X1[:, None]), ValueError, r"x must be one number a row, got shape \(4, 1\)"),
        (([1.0], ["a"]), TypeError, "x must hold real numbers"),
        (([1.0], [1j]), TypeError, "x must hold real numbers"),
        (([1.0], [None]), TypeError, "x must hold real numbers"),
        (([1.0], [[1.0], [1.0, 2.0]]), TypeError, "x must hold real numbers"),
        ((["a"], X1), TypeError, "theta must hold real numbers"),
    ],
)
def test_bad_arguments(backend, arguments, error, message):
    with pytest.raises(error, match=message):
        of_product(backend)(*arguments)


def test_bad_names(program):
    with pytest.raises(TypeError, match="must be a label of the program, got 'y'"):
        program(THETA, X1, X2, y=R)
    with pytest.raises(TypeError, match="given once, got 'x1' by position and by name"):
        program(THETA, X1, X2, R, x1=X1)
    with pytest.raises(TypeError, match="as theta or by name, got both"):
        program(THETA, X1, X2, R, u1=1.0)
    with pytest.raises(TypeError, match="got none for 'u1'"):
        program(x1=X1, x2=X2, r=R)
    with pytest.raises(ValueError, match="same length, got 4 for 'x1' and 3 for 'x2'"):
        program(THETA, X1, X2[:3], R)
    with pytest.raises(ValueError, match="vector must have theta's shape"):
        program.hvp(THETA, np.ones((2, 9)), X1, X2, R)


@pytest.mark.parametrize(
    "out",
    [
        (np.empty(()), np.empty(8)),
        (np.empty(()), np.empty(9, np.float32)),
        (np.empty(()), np.empty(18)[::2]),
        (np.empty(()), [0.0] * 9),
        (np.empty(()), np.broadcast_to(0.0, 9)),
        (np.empty(9),),
    ],
)
def test_bad_buffers(program, out):
    with pytest.raises(ValueError, match="out must"):
        program(THETA, X1, X2, R, out=out)


def test_bad_compilations():
    w, x = Value(1.0, label="w"), Value(1.0, label="x")
    with pytest.raises(ValueError, match="backend must be 'auto', 'llvm' or 'numpy', got 'cuda'"):
        compile(w * x, [w], [x], backend="cuda")
    with pytest.raises(ValueError, match="reduce must be 'mean', 'sum' or None, got 'max'"):
        compile(w * x, [w], [x], reduce="max")
    with pytest.raises(ValueError, match="must have parameters, got none"):
        compile(w * x, [], [w, x])
    with pytest.raises(ValueError, match="must be a leaf Value"):
        compile(w * x, [w * x], [x])
    with pytest.raises(ValueError, match="must have different names"):
        compile(w * x, [w, x], [x])
    with pytest.raises(TypeError, match="must be a Value or a function of Values, got 3"):
        compile(3.0, [w])
    with pytest.raises(TypeError, match="must return a Value, got nan"):
        compile(lambda w: w.data, backend="numpy")
    with pytest.raises(ValueError, match="data must name arguments of <lambda>, got 'y'"):
        compile(lambda w: w * 2.0, data=["y"])


def test_a_parameter_that_the_formula_does_not_use_has_gradient_0(backend):
    w, x, other = (Value(1.0, label=name) for name in ("w", "x", "other"))
    assert compile(w * x, [w, other], [x], backend=backend)([2.0, 5.0], [3.0])[1].tolist() == [3.0, 0.0]


def test_without_llvmlite_auto_is_numpy(monkeypatch):
    monkeypatch.setattr("micrograd_xor.backend.find_spec", lambda _: None)
    assert of_product("auto").backend == "numpy"
    with pytest.raises(ModuleNotFoundError, match="must have llvmlite, got none"):
        of_product("llvm")


def test_importing_the_package_imports_no_numpy():
    code = "import sys, micrograd_xor; assert 'numpy' not in sys.modules and 'llvmlite' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
