"""`Program`: a formula with its derivatives in executable form."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce as fold
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from micrograd_xor import emit_c, emit_numpy
from micrograd_xor.arguments import Arguments, Array, check_out, chosen, clear, columns_of, float64
from micrograd_xor.backend import Kernel, kernel, resolved
from micrograd_xor.descent import Descent, Loop
from micrograd_xor.diagnosis import diagnosis
from micrograd_xor.optim import SGD, Optimizer
from micrograd_xor.register import Recorder, Register, gradient
from micrograd_xor.tape import Tape

Results = tuple[Any, ...]

REDUCTIONS = ("mean", "sum", None)


class Program:
    """A formula compiled with its derivatives; made by `compile`, it pickles, and threads may share it.

    Every method takes `theta`, float64 of shape (P,) for one set of parameters or (K, P) for K at once, and one column
    for each name of `data`: numbers of shape (n,), or one number for all rows. Either may be given by name instead.
    `out` takes the arrays to write to. Results are float64: without `reduce` they have an axis of n rows, for K sets
    of parameters an axis of K before it.
    """

    def __init__(self, tape: Tape, parameters: int, reduce: str | None = "mean", backend: str = "auto") -> None:
        if reduce not in REDUCTIONS:
            raise ValueError(f"reduce must be 'mean', 'sum' or None, got {reduce!r}. Choose one of them.")
        if not parameters:
            raise ValueError("A program must have parameters, got none. List the leaves to differentiate by.")
        self.tape, self.reduce, self.backend = tape, reduce, resolved(backend)
        self.parameters, self.data = tape.inputs[:parameters], tape.inputs[parameters:]
        self._requested = backend
        self._kernels: dict[Form, Kernel] = {}
        self._lock = threading.Lock()

    def __call__(
        self,
        theta: ArrayLike | None = None,
        *columns: ArrayLike,
        out: Any = None,
        check: bool = False,
        **named: ArrayLike,
    ) -> Results:
        """The value, shape (), and the gradient, shape (P,).

        With `check`, FloatingPointError where a result is not finite: it names the first such row, the operation that
        made the number, by its label, and its operands.
        """
        arguments = self._arguments(theta, columns, named)
        results = self._run(BOTH, arguments, out)
        if check and not all(np.isfinite(result).all() for result in results):
            raise diagnosis(self._tape(BOTH), self._kernel(BOTH), arguments.theta, arguments.columns)
        return results

    def value(self, theta: ArrayLike | None = None, *columns: ArrayLike, out: Any = None, **named: ArrayLike) -> Any:
        """The value alone, shape ()."""
        return self._run(VALUE, self._arguments(theta, columns, named), out)[0]

    def gradient(self, theta: ArrayLike | None = None, *columns: ArrayLike, out: Any = None, **named: ArrayLike) -> Any:
        """The gradient alone, shape (P,)."""
        return self._run(GRADIENT, self._arguments(theta, columns, named), out)[0]

    def hessian(self, theta: ArrayLike | None = None, *columns: ArrayLike, out: Any = None, **named: ArrayLike) -> Any:
        """The second derivatives, shape (P, P); scipy's `hess`."""
        return self._run(HESSIAN, self._arguments(theta, columns, named), out)[0]

    def hvp(self, theta: ArrayLike, vector: ArrayLike, *columns: ArrayLike, out: Any = None, **named: ArrayLike) -> Any:
        """The Hessian times a vector of theta's shape, shape (P,), at the cost of a few gradients; scipy's `hessp`."""
        arguments = self._arguments(theta, columns, named)
        along = self._theta(vector, "vector")
        if along.shape != arguments.theta.shape:
            raise ValueError(f"vector must have theta's shape, got {along.shape}. Reshape it.")
        joined = np.concatenate([arguments.theta, along], axis=1)
        return self._run(HVP, arguments._replace(theta=joined), out)[0]

    def bind(
        self, theta: ArrayLike | None = None, *columns: ArrayLike, out: Any = None, **named: ArrayLike
    ) -> Callable[[], Results]:
        """A call without arguments for tight loops: it fills the same arrays each time and returns (value, gradient).

        It reads the arrays given here anew at each call, if they are float64 and contiguous; others were copied.
        """
        arguments = self._arguments(theta, columns, named)
        results = self._results(BOTH, arguments, out)
        run = self._bound(BOTH, arguments, results)

        def call() -> Results:
            run()
            return results

        return call

    def train(
        self,
        theta: ArrayLike,
        *columns: ArrayLike,
        steps: int,
        optimizer: Optimizer | None = None,
        record: Iterable[int] = (),
        progress: Callable[[int, Array], None] | None = None,
        **named: ArrayLike,
    ) -> Descent:
        """Take training steps from theta, on all rows at each; theta itself is left as it is.

        `record` lists the steps whose parameters are kept; `progress` is called now and then with the number of steps
        done and the latest loss. Ctrl-C returns what there is. ValueError without `reduce` or for a negative number of
        steps.
        """
        if self.reduce is None:
            raise ValueError("A program must reduce its rows to be trained, got reduce=None. Compile it with 'mean'.")
        arguments = self._arguments(theta, columns, named)
        if not arguments.rows:
            raise ValueError("A column must have a row to train on, got 0 rows. Pass data.")
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps!r}. Pass how many to take.")
        work = len(self.tape.steps) * arguments.rows * len(arguments.theta)
        loop = Loop(self._kernel(BOTH), arguments.theta, arguments.columns, self.reduce, optimizer or SGD(), work)
        descent = loop.run(steps, frozenset(record), progress)
        return descent.of_one() if arguments.single else descent

    def to_numpy(self, name: str = "program") -> str:
        """The source of `def name(xp, *inputs)`, a row's (value, *gradient), for any namespace like numpy."""
        return emit_numpy.source(self._tape(BOTH), name)

    def to_c(self, name: str = "program", precision: str = "double") -> str:
        """The source of one C99 file that computes the value and the gradient in "double" or "float"."""
        names = ("value", *[f"d/d {parameter}" for parameter in self.parameters])
        return emit_c.source(self._tape(BOTH), len(self.parameters), name, precision, names)

    def __reduce__(self) -> tuple[Any, ...]:
        return Program, (self.tape, len(self.parameters), self.reduce, self._requested)

    def __repr__(self) -> str:
        return f"<program of {', '.join(self.parameters)} over {', '.join(self.data) or 'no data'}, {self.backend}>"

    # --- from arguments to arrays ---------------------------------------------------------------

    def _arguments(
        self, theta: ArrayLike | None, columns: Sequence[ArrayLike], named: Mapping[str, ArrayLike]
    ) -> "Arguments":
        foreign = named.keys() - {*self.parameters, *self.data}
        if foreign:
            raise TypeError(f"A named argument must be a label of the program, got {min(foreign)!r}. See {self!r}.")
        if theta is None:
            theta = np.stack(np.broadcast_arrays(*chosen(self.parameters, named)), axis=-1)
        elif not named.keys().isdisjoint(self.parameters):
            raise TypeError("Parameters must be given as theta or by name, got both. Drop one.")
        matrix = self._theta(theta, "theta")
        return Arguments(matrix, columns_of(self.data, columns, named), np.ndim(theta) < 2)

    def _theta(self, theta: ArrayLike, thing: str) -> Array:
        """Parameters as (K, P), K >= 1."""
        array = float64(theta, thing)
        width = len(self.parameters)
        if array.ndim not in (1, 2) or array.shape[-1] != width or not array.size:
            raise ValueError(f"{thing} must have shape ({width},) or (K, {width}), got {array.shape}. Reshape it.")
        return array.reshape(-1, width)

    # --- from a form of the result to numbers ----------------------------------------------------

    def _tape(self, form: "Form") -> Tape:
        recorder, width = Recorder(), len(self.parameters)
        vector = [f"vector[{i}]: {name}" for i, name in enumerate(self.parameters)] if form is HVP else []

        def outputs(*inputs: Register) -> list[Register]:
            wrt, along, columns = inputs[:width], inputs[width : width + len(vector)], inputs[width + len(vector) :]
            [output] = self.tape.on(recorder, [*wrt, *columns])
            return form.rule(output, wrt, along)

        return Tape.trace(outputs, [*self.parameters, *vector, *self.data], recorder)

    def _kernel(self, form: "Form") -> Kernel:
        with self._lock:
            if form not in self._kernels:
                tape = self._tape(form)
                self._kernels[form] = kernel(self.backend, tape, len(tape.inputs) - len(self.data))
            return self._kernels[form]

    def _run(self, form: "Form", arguments: "Arguments", out: Any) -> Results:
        results = self._results(form, arguments, out)
        self._bound(form, arguments, results)()
        return tuple(results) if out is not None else tuple([result[()] for result in results])

    def _results(self, form: "Form", arguments: "Arguments", out: Any) -> tuple[Array, ...]:
        """The arrays to fill, the caller's or new ones."""
        if not arguments.rows and self.reduce == "mean":
            raise ValueError("A column must have a row to take the mean of, got 0 rows. Pass data.")
        sets = () if arguments.single else (len(arguments.theta),)
        rows = () if self.reduce else (arguments.rows,)
        shapes = [(*sets, *rows, *(len(self.parameters),) * order) for order in form.orders]
        if out is None:
            return tuple([np.zeros(shape) for shape in shapes])
        outs = tuple(out) if len(shapes) > 1 else (out,)
        if len(outs) != len(shapes):
            raise ValueError(f"out must hold {len(shapes)} arrays, got {len(outs)}. Pass (value, gradient).")
        for array, shape in zip(outs, shapes, strict=True):
            check_out(array, shape)
        return outs

    def _bound(self, form: "Form", arguments: "Arguments", results: Sequence[Array]) -> Callable[[], None]:
        theta, columns = arguments.theta, arguments.columns
        if not arguments.rows:
            return lambda: clear(results)
        lead = (len(theta),) if self.reduce else (len(theta), arguments.rows)
        outs = [result.reshape(*lead, -1) for result in results]
        return self._kernel(form).bind(theta, columns, outs, self.reduce)


class Form(NamedTuple):
    """What a kernel computes: a rule from registers (output, parameters, vector) to registers, and the results' orders.

    A result of order k has k axes of length P.
    """

    rule: Callable[[Register, Sequence[Register], Sequence[Register]], list[Register]]
    orders: tuple[int, ...]


VALUE = Form(lambda output, *_: [output], (0,))
GRADIENT = Form(lambda output, wrt, _: gradient(output, wrt), (1,))
BOTH = Form(lambda output, wrt, _: [output, *gradient(output, wrt)], (0, 1))
HESSIAN = Form(lambda output, wrt, _: [d for slope in gradient(output, wrt) for d in gradient(slope, wrt)], (2,))
HVP = Form(
    lambda output, wrt, v: gradient(fold(add, [d * x for d, x in zip(gradient(output, wrt), v, strict=True)]), wrt),
    (1,),
)
