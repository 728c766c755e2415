"""Workers do what is left for them, once each, awake or asleep, and whoever else calls."""

import ctypes
import os
import subprocess
import sys
import threading
from functools import partial

import pytest

pytest.importorskip("llvmlite")

from micrograd_xor import workers

FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def counting(counts):
    """One call for each of counts, in the shape that `Machine.bind` gives it; it adds 1."""

    @FUNCTION
    def add(i):
        counts[i or 0] += 1

    return [partial(add, i) for i in range(len(counts))]


@pytest.mark.parametrize("looks", [1, 1000], ids=["asleep", "awake"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_call_is_done_once(count, looks):
    counts = [0] * count
    calls = counting(counts)
    for _ in range(100):
        workers.run(calls, looks)
    assert counts == [100] * count


def test_the_first_call_is_the_callers_own():
    threads = [None, None]

    @FUNCTION
    def tell(i):
        threads[i or 0] = threading.get_ident()

    workers.run([partial(tell, 0), partial(tell, 1)], 100)
    assert threads[0] == threading.get_ident() != threads[1]


def test_callers_that_find_no_free_worker_do_their_calls_themselves():
    counts = [[0] * 3 for _ in range(6)]
    callers = [threading.Thread(target=lambda c=c: [workers.run(counting(c), 10) for _ in range(50)]) for c in counts]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert counts == [[50] * 3] * 6


def test_where_the_system_gives_no_thread_the_caller_does_all(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    crew = workers.Crew()
    monkeypatch.setattr(crew.pool, "submit", refuse)
    monkeypatch.setattr(workers, "_crew", lambda: crew)
    counts = [0, 0]
    workers.run(counting(counts), 10)
    assert counts == [1, 1]


def test_an_error_in_the_callers_own_call_waits_for_the_others_and_frees_them():
    counts = [0, 0]

    def interrupted():
        raise KeyboardInterrupt

    for _ in range(10):
        with pytest.raises(KeyboardInterrupt):
            workers.run([interrupted, counting(counts)[1]], 10)
    assert counts == [0, 10]


RACE = """
import ctypes, random
from functools import partial
from micrograd_xor import workers
rng, nothing_to_wait_for = random.Random(0), ctypes.create_string_buffer(8)
function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.cast(workers._machine().wait, ctypes.c_void_p).value)
job = partial(function, ctypes.addressof(nothing_to_wait_for))
for _ in range(200_000):  # with so many looks a job often comes while the worker leaves
    workers.run([job, job], rng.randrange(1, 150))
"""

FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
os.environ["MICROGRAD_XOR_THREADS"] = "2"
from micrograd_xor import Value, compile
w, x = Value(2.0, label="w"), Value(1.0, label="x")
program = compile(w * x, [w], [x], reduce="sum", backend="llvm")
rows = np.ones(100_000)
assert program([2.0], rows)[0] == 200_000.0
child = os.fork()
assert program([2.0], rows)[0] == 200_000.0
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(RACE, id="a job for a worker that leaves"),
        pytest.param(FORKED, id="forked", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")),
    ],
)
def test_nothing_hangs(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
