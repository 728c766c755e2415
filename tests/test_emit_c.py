"""The C99 file: it compiles without a warning and gives the tape's numbers, in double and in float."""

import ctypes
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from micrograd_xor import Value, ops
from micrograd_xor.emit_c import source
from micrograd_xor.table import TABLE
from micrograd_xor.tape import Tape
from micrograd_xor.testing import graphs

COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

POINTS = {
    "log": (0.3,),
    "sqrt": (0.3,),
    "rsqrt": (0.3,),
    "pow": (0.3, 1.7),
    "total": (0.1, -2.0, 3.0),
    "dot": (0.1, -2.0, 3.0, 0.7),
    "where": (0.0, 0.25, 0.75),
}


def built(folder, tape: Tape, parameters: int, precision: str = "double"):
    """The library of a tape's file, compiled where every warning is an error."""
    path, library = folder / "tape.c", folder / "tape.so"
    path.write_text(source(tape, parameters, precision=precision), encoding="utf-8")
    subprocess.run([COMPILER, *STRICT, "-O1", "-shared", "-fPIC", str(path), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def array(numbers, real=ctypes.c_double):
    numbers = list(numbers)
    return (real * max(len(numbers), 1))(*numbers)


def at_one_row(library, theta, row, outputs: int, real=ctypes.c_double) -> list[float]:
    out = array([math.nan] * outputs, real)
    library.program(array(theta, real), array(row, real), out)
    return list(out)


def point(op) -> tuple[float, ...]:
    return POINTS.get(op.name, (0.6, -0.3)[: op.arity])


@needs_compiler
@pytest.mark.parametrize("precision", ["double", "float"])
def test_every_row_and_its_partials(tmp_path, precision):
    inputs = {op: [Value(x, label=f"{op.name}_{i}") for i, x in enumerate(point(op))] for op in TABLE.values()}
    leaves = [x for xs in inputs.values() for x in xs]
    results = [op(*xs) for op, xs in inputs.items()]
    values, slopes = Tape.of(results, leaves), Tape.of([ops.total(results)], leaves).gradient()
    tape = Tape.trace(lambda *xs: [*values.on(xs[0].recorder, xs), *slopes.on(xs[0].recorder, xs)], values.inputs)
    numbers = [x.data for x in leaves]
    real, tolerance = (ctypes.c_double, 1e-15) if precision == "double" else (ctypes.c_float, 2e-6)
    library = built(tmp_path, tape, 3, precision)
    found = at_one_row(library, numbers[:3], numbers[3:], len(tape.outputs), real)
    assert found == pytest.approx(values.run(*numbers) + slopes.run(*numbers), rel=tolerance, abs=tolerance)


@needs_compiler
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs())
def test_random_graphs_have_the_engines_gradient(tmp_path_factory, graph):
    tape = Tape.of([graph.output], graph.inputs).gradient()
    numbers = [x.data for x in graph.inputs]
    graph.output.backward()
    found = at_one_row(built(tmp_path_factory.mktemp("c"), tape, len(numbers)), numbers, [], len(numbers))
    assert found == pytest.approx([x.grad for x in graph.inputs], rel=1e-12, abs=1e-13)


@needs_compiler
def test_sums_and_means_run_over_columns(tmp_path):
    w, x, y = (Value(1.0, label=name) for name in "wxy")
    library = built(tmp_path, Tape.of([w * x + y, w], [w, x, y]), 1)
    columns = np.arange(5.0), np.arange(5.0) ** 2
    pointers = (ctypes.POINTER(ctypes.c_double) * 2)(
        *[c.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for c in columns]
    )
    for reduce in ("sum", "mean"):
        out = array([math.nan] * 2)
        getattr(library, f"program_{reduce}")(array([3.0]), pointers, ctypes.c_size_t(5), out)
        exact = getattr(3.0 * columns[0] + columns[1], reduce)(), {"sum": 15.0, "mean": 3.0}[reduce]
        assert tuple(out) == pytest.approx(exact)


@needs_compiler
@pytest.mark.parametrize("precision", ["double", "float"])
def test_constants_at_the_ends_of_the_range(tmp_path, precision):
    constants = (math.inf, -math.inf, math.nan, -0.0, 1e300, -1e-300, 0.1)
    tape = Tape((), constants, (), tuple(range(len(constants))))
    real = ctypes.c_double if precision == "double" else ctypes.c_float
    found = at_one_row(built(tmp_path, tape, 0, precision), [], [], len(constants), real)
    assert list(map(str, found)) == [str(real(c).value) for c in constants]


@needs_compiler
def test_a_step_of_constants_that_would_raise_in_python_is_infinite(tmp_path):
    tape = Tape.trace(lambda x: [x + ops.log(x.recorder.register(0.0))], ["x"])
    assert at_one_row(built(tmp_path, tape, 1), [1.0], [], 1) == [-math.inf]


@needs_compiler
@pytest.mark.parametrize("label", ["*/ int x; /*", "a\\", "??/", "h\u0304_1", "line\nbreak", "/* x"])
def test_a_label_stays_in_its_comment(tmp_path, label):
    x = Value(2.0, label=label)
    assert at_one_row(built(tmp_path, Tape.of([x * x], [x]), 1), [3.0], [], 1) == [9.0]


def test_the_file_is_free_of_doubles_in_float():
    x = Value(2.0, label="x")
    text = source(Tape.of([ops.erf(x) * 0.1], [x]), 1, precision="float")
    assert "double" not in text
    assert re.search(r"erff\(theta\[0\]\)", text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "1st"}, "name must be a C identifier, got '1st'"),
        ({"name": "f(void);"}, "name must be a C identifier"),
        ({"precision": "half"}, "precision must be 'double' or 'float', got 'half'"),
    ],
)
def test_what_c_cannot_say_is_refused(options, message):
    x = Value(2.0)
    with pytest.raises(ValueError, match=re.escape(message)):
        source(Tape.of([x + 1.0], [x]), 1, **options)


def test_a_tape_without_outputs_is_refused():
    with pytest.raises(ValueError, match="must have an output"):
        source(Tape(("x",), (), (), ()), 1)
