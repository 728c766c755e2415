"""The LLVM backend: the tape's numbers, whatever the lanes, parts, threads, rows and networks."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from micrograd_xor import emit_llvm, ops, vector_program
from micrograd_xor.emit_llvm import Kernel
from micrograd_xor.optim import SGD, Adam, Momentum
from micrograd_xor.register import gradient
from micrograd_xor.tape import Tape
from micrograd_xor.vector_lanes import Rows

LANES = emit_llvm._host()[2]
ROWS = [1, LANES - 1, LANES, 2 * LANES + 3]
NETWORKS = [1, 3, LANES + 1]


def rule(u, w, b, x, r):
    """A loss with its gradient, and with outputs that are an input, a constant and a step on constants."""
    loss = ops.binary_cross_entropy(u * ops.tanh(w * x + b), r)
    return [loss, *gradient(loss, [u, w, b])]


def traced(*more) -> Tape:
    return Tape.trace(lambda *xs: [*rule(*xs), *[f(*xs) for f in more]], ["u", "w", "b", "x", "r"])


LOSS = traced()
ODD = traced(lambda u, *_: u, lambda *_: 2.5, lambda *xs: ops.div(xs[3].recorder.register(1.0), 0.0), lambda *xs: xs[3])


@pytest.fixture(params=["one function", "parts"])
def size(request, monkeypatch) -> str:
    if request.param == "parts":
        for limit, instructions in (("_SMALL", 0), ("_PART", 5), ("_ITEMS", 2)):
            monkeypatch.setattr(vector_program, limit, instructions)
    return request.param


def table(networks: int, rows: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    random = np.random.default_rng(networks + 100 * rows)
    return random.normal(size=(networks, 3)), tuple(random.normal(size=(2, rows)))


def reference(tape: Tape, theta: np.ndarray, columns: tuple[np.ndarray, ...]) -> np.ndarray:
    """The outputs (K, n, m) by running the tape row by row; div is numpy's, for its infinity."""
    return np.array([[[*run(tape, *parameters, *row)] for row in zip(*columns, strict=True)] for parameters in theta])


def run(tape: Tape, *inputs: float) -> list[float]:
    registers = [*inputs, *tape.constants]
    for op, args, _ in tape.steps:
        operands = [registers[i] for i in args]
        registers.append(np.inf if op is ops.div and operands[1] == 0.0 else op.value(*operands))
    return [registers[i] for i in tape.outputs]


def test_in_a_large_program_a_sigmoid_is_one_instruction_and_no_part_is_longer_than_it_may_be():
    def chain(x):
        for _ in range(2500):
            x = ops.sigmoid(x)
        return [x]

    text = vector_program.Program(Tape.trace(chain, ["x"]), 1, 4, Rows(4)).evaluation((1,), True)
    calls = [part.count("call <4 x double> @sigmoid.v4f64") for part in text.split("define internal void")]
    assert sorted(calls)[-3:] == [500, 1000, 1000]
    assert text.count("call") < 2600


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("networks", NETWORKS)
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_the_numbers_are_the_tapes(size, networks, rows, reduce):
    theta, columns = table(networks, rows)
    expected = reference(ODD, theta, columns)
    if reduce:
        expected = getattr(expected, reduce)(axis=1)
    outs = [np.full((*expected.shape[:-1], width), np.nan) for width in (1, 3, 4)]
    Kernel(ODD, 3).bind(theta, columns, outs, reduce)()
    np.testing.assert_allclose(np.concatenate(outs, axis=-1), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_any_number_of_lanes(monkeypatch, lanes):
    monkeypatch.setattr(emit_llvm, "_host", lambda: ("generic", "", lanes))
    theta, columns = table(2, 5)
    out = np.empty((2, 4))
    Kernel(LOSS, 3).bind(theta, columns, [out], "sum")()
    np.testing.assert_allclose(out, reference(LOSS, theta, columns).sum(axis=1), rtol=1e-13)


def test_lanes_left_over_leave_the_memory_around_alone():
    theta, _ = table(1, 1)
    around = np.full(LANES + 2, np.nan)
    around[1] = 0.5
    out = np.full((4, 4), 7.0)
    Kernel(LOSS, 3).bind(theta, (around[1:2], around[1:2]), [out[1:2]], "sum")()
    assert np.isfinite(out).all()
    assert (out[[0, 2, 3]] == 7.0).all()


@pytest.mark.parametrize("optimizer", [SGD(0.5), Momentum(0.1), Adam(0.1)], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize(("networks", "rows"), [(1, 1), (2, 3), (1, 4), (3, LANES + 1), (LANES + 1, 4)])
def test_training_is_the_same_loop_in_numpy(size, optimizer, networks, rows):
    theta, columns = table(networks, rows)
    slots, steps = optimizer.slots, 7
    names = ["p", "g", *[f"s{i}" for i in range(slots)], "t"]
    update = Tape.trace(lambda p, g, *rest: flat(optimizer.update(p, g, rest[:-1], rest[-1])), names)
    state, losses = np.zeros((slots, networks, 3)), np.zeros((networks, steps + 5))
    found, kernel = theta.copy(), Kernel(LOSS, 3)
    kernel.train(update, found, state, columns, losses[:, :4], "mean", 1)
    kernel.train(update, found, state, columns, losses[:, 4:steps], "mean", 5)
    expected, memory = theta.copy(), [np.zeros((networks, 3))] * slots
    for step in range(steps):
        outputs = reference(LOSS, expected, columns).mean(axis=1)
        np.testing.assert_allclose(losses[:, step], outputs[:, 0], rtol=1e-12)
        expected, *memory = moved(optimizer, expected, outputs[:, 1:], memory, step + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(state, np.array(memory).reshape(state.shape), rtol=1e-11, atol=1e-15)
    assert not losses[:, steps:].any()


def flat(moved: tuple) -> list:
    return [moved[0], *moved[1]]


def moved(optimizer, theta, gradient, memory, t) -> list[np.ndarray]:
    """One step by the rule on floats, parameter by parameter."""
    cells = zip(theta.flat, gradient.flat, *[m.flat for m in memory], strict=True)
    columns = zip(*[flat(optimizer.update(float(p), float(g), tuple(s), t)) for p, g, *s in cells], strict=True)
    return [np.array(column).reshape(theta.shape) for column in columns]


def test_a_call_reads_what_it_may_not_write(size):
    theta, columns = table(1, 5)
    outs = np.empty((2, 1, 4))
    Kernel(LOSS, 3).bind(theta, columns, [outs[0]], "sum")()
    for array in (theta, *columns):
        array.flags.writeable = False
    Kernel(LOSS, 3).bind(theta, columns, [outs[1]], "sum")()
    assert np.array_equal(*outs)


def test_a_call_reads_its_arrays_anew(size):
    theta, columns = table(1, 5)
    out = np.empty((1, 4))
    call = Kernel(LOSS, 3).bind(theta, columns, [out], "sum")
    theta += 1.0
    columns[0][:] = 0.25
    call()
    np.testing.assert_allclose(out, reference(LOSS, theta, columns).sum(axis=1), rtol=1e-13)


def test_a_call_keeps_its_arrays_and_its_machine_code():
    out = np.empty((1, 4))
    call = Kernel(LOSS, 3).bind(np.ones((1, 3)), (np.ones(5), np.ones(5)), [out], "sum")
    gc.collect()
    call()
    np.testing.assert_allclose(out[0], 5.0 * np.array(LOSS.run(*[1.0] * 5)), rtol=1e-13)


def test_machine_code_is_freed_with_the_kernel():
    kernel = Kernel(LOSS, 3)
    kernel.bind(np.ones((1, 3)), (np.ones(1), np.ones(1)), [np.empty((1, 4))], "sum")()
    engines = [weakref.ref(machine._engine) for machine in kernel._machines.values()]
    del kernel
    assert engines
    assert not any(engine() for engine in engines)


def test_many_threads_may_call_one_kernel(size):
    kernel, tables = Kernel(LOSS, 3), [table(1, rows) for rows in range(1, 40)]
    outs = [np.empty((1, 4)) for _ in tables]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda out, data: kernel.bind(*data, [out], "sum")(), outs, tables))
    for out, data in zip(outs, tables, strict=True):
        np.testing.assert_allclose(out, reference(LOSS, *data).sum(axis=1), rtol=1e-13)


@pytest.mark.parametrize("networks", [1, LANES])
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_threads_share_the_rows(monkeypatch, networks, reduce):
    monkeypatch.setenv("MICROGRAD_XOR_THREADS", "3")
    monkeypatch.setattr(emit_llvm, "_ROWS_OF_A_THREAD", 4)
    theta, columns = table(networks, 22)
    expected = reference(LOSS, theta, columns)
    if reduce:
        expected = getattr(expected, reduce)(axis=1)
    outs = [np.empty((*expected.shape[:-1], width)) for width in (1, 3)]
    call = Kernel(LOSS, 3).bind(theta, columns, outs, reduce)
    for _ in range(2):
        call()
        np.testing.assert_allclose(np.concatenate(outs, axis=-1), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("wanted", "rows", "threads"), [("1", 10**6, 1), ("2", 10**6, 2), ("4", 30_000, 1), ("", 9, 1)]
)
def test_as_many_threads_as_wanted_where_the_rows_are_worth_it(monkeypatch, wanted, rows, threads):
    monkeypatch.setenv("MICROGRAD_XOR_THREADS", wanted)
    assert emit_llvm._threads(rows) == threads


def test_a_large_program_is_right_too():
    def chain(x, w):
        total = x
        for i in range(400):
            total = total * w + (ops.sigmoid(total) if i % 3 else x)
        return [total, *gradient(total, [w])]

    tape = Tape.trace(chain, ["x", "w"])
    out = np.empty((1, 2))
    Kernel(tape, 2).bind(np.array([[0.3, 0.5]]), (), [out], "sum")()
    np.testing.assert_allclose(out[0], tape.run(0.3, 0.5), rtol=1e-12)
