"""A recorded graph as a straight-line program: run it, differentiate it, simplify it, print it, save it.

What an emitter gets. A `Tape` numbers its registers: first the `inputs` (by name), then the `constants`, then one for
each of the `steps`. `Step(op, args, label)` says which row of the table makes that register from which registers before
it; `outputs` are the registers to return. `tape.run(*floats)` is the meaning that every emitter reproduces, with IEEE
754 in place of exceptions. An emitter writes instructions for the rows that it has and calls `tape.lowered(their
names)` first, which records every other row as its `expansion`; rows of any number of operands (`total`, `dot`) become
sums. Its loop is then

    for register, step in tape.numbered():
        write(register, step.op.name, step.args)

Constants may be infinite or NaN. Emitters know no calculus and no algebra: `gradient` and `simplified` return tapes.
A tape runs on anything the table's rules run on: `tape.run(*values)` records a graph, `tape.run(*floats)` computes.
"""

import gc
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from micrograd_xor.register import NO_EXPANSIONS, Recorder, Register, gradient
from micrograd_xor.table import TABLE, Op, Rule, number
from micrograd_xor.value import Operand, Value, topological_order

_FORMAT, _VERSION = "micrograd_xor.tape", 1


class Step(NamedTuple):
    """One operation: the row of the table, the registers of its operands, and the node's label if it had one."""

    op: Op
    args: tuple[int, ...]
    label: str = ""


@dataclass(frozen=True)
class Tape:
    """A straight-line program of scalar float64 operations; see the module's docstring for its registers.

    ValueError or TypeError where inputs repeat a name, a step reads a register that is not written yet or has the wrong
    number of operands, or an output is no register: a tape that exists can be run.

    >>> x = Value(3.0, label="x")
    >>> print(Tape.of([x * x + 1], [x]))
    r0 = x
    r1 = 1.0
    r2 = mul(r0, r0)
    r3 = add(r2, r1)
    return r3
    >>> Tape.of([x * x + 1], [x]).run(3.0)
    (10.0,)
    """

    inputs: tuple[str, ...]
    constants: tuple[float, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"A tape's inputs must have different names, got {self.inputs!r}. Relabel one.")
        for register, step in self.numbered():
            step.op.check_arity(step.args)
            _check_registers(step.args, register)
        _check_registers(self.outputs, self.first_step + len(self.steps))

    @classmethod
    def of(cls, outputs: Iterable[Value], inputs: Iterable[Value]) -> "Tape":
        """The recorded computation of outputs from inputs; every other leaf is a constant.

        Inputs are named by their labels, unlabelled ones in_0, in_1, ... by position. ValueError where an input is
        computed or listed twice, TypeError where a node below is no row of the table (it has a `_backward` or local
        grads of its own).

        >>> x, y = Value(3.0), Value(2.0)
        >>> Tape.of([x * y], [x]).run(10.0)
        (20.0,)
        """
        outputs, inputs = tuple(outputs), tuple(inputs)
        for x in inputs:
            if not isinstance(x, Value) or x.args:
                raise ValueError(f"A tape's input must be a leaf Value, got {x!r}. Record the graph from it anew.")
        leaves: dict[Any, int] = {x: i for i, x in enumerate(inputs)}
        order = [node for node in topological_order(*outputs) if node not in leaves]
        computed = [node for node in order if node.args]
        constants = {_key(x): _number(x) for x in _constants(order)}
        register = leaves | {key: len(inputs) + i for i, key in enumerate(constants)}
        register |= {node: len(register) + i for i, node in enumerate(computed)}

        def index(x: Operand) -> int:
            return register[x] if x in register else register[_key(x)]

        steps = tuple([Step(_row(node), tuple(map(index, node.args)), node.label) for node in computed])
        return cls(_names(inputs), tuple(constants.values()), steps, tuple(map(index, outputs)))

    @property
    def first_step(self) -> int:
        """The register of the first step: the number of inputs and constants."""
        return len(self.inputs) + len(self.constants)

    def numbered(self) -> Iterator[tuple[int, Step]]:
        """Each step with the register that it makes."""
        return enumerate(self.steps, self.first_step)

    def run(self, *operands: Any) -> tuple[Any, ...]:
        """The outputs for these inputs, in their arithmetic: floats (as strict as `math`), `Value`s, registers.

        TypeError for a wrong number of operands; ValueError or ArithmeticError as the rows raise them.
        """
        if len(operands) != len(self.inputs):
            raise TypeError(f"A tape must run on {len(self.inputs)} inputs, got {len(operands)}. Pass one for each.")
        registers = [*operands, *self.constants]
        for step in self.steps:
            registers.append(step.op(*[registers[i] for i in step.args]))
        return tuple([registers[i] for i in self.outputs])

    @classmethod
    def trace(
        cls, function: Callable[..., Iterable[Any]], names: Iterable[str], recorder: Recorder | None = None
    ) -> "Tape":
        """The tape of a function of registers, one for each name, that returns registers or numbers.

        >>> print(Tape.trace(lambda x, y: [x * y], ["x", "y"]))
        r0 = x
        r1 = y
        r2 = mul(r0, r1)
        return r2
        """
        recorder = recorder or Recorder()
        with _collector_paused():
            outputs = function(*[recorder.input(name) for name in names])
            tape = _frozen(recorder, [recorder.register(x) for x in outputs])
            recorder.clear()
        return tape

    def on(self, recorder: Recorder, inputs: Sequence[Register]) -> list[Register]:
        """The outputs as registers of a tape in the making, with this tape's labels."""
        registers = [*inputs, *map(recorder.register, self.constants)]
        for step in self.steps:
            out = recorder.record(step.op, [registers[i] for i in step.args])
            out.label = out.label or step.label
            registers.append(out)
        return [registers[i] for i in self.outputs]

    def simplified(self) -> "Tape":
        """The same outputs in fewer and more accurate steps.

        >>> x = Value(3.0, label="x")
        >>> print(Tape.of([(1.0 - x.sigmoid()).log()], [x]).simplified())
        r0 = x
        r1 = neg(r0)
        r2 = log_sigmoid(r1)
        return r2
        """
        return self._on(Recorder())

    def lowered(self, supported: Iterable[str], expansions: Mapping[str, Rule] = NO_EXPANSIONS) -> "Tape":
        """The same outputs using the rows named in `supported` only.

        Other rows are recorded as their expansion, that of `expansions` before the table's own; TypeError where
        there is none.
        """
        supported = frozenset(supported)
        foreign = any(step.op.name not in supported for step in self.steps)
        return self._on(Recorder(supported, expansions)) if foreign else self

    def _on(self, recorder: Recorder) -> "Tape":
        return Tape.trace(lambda *inputs: self.on(recorder, inputs), self.inputs, recorder)

    def gradient(self, wrt: Iterable[str] | None = None) -> "Tape":
        """The tape of the derivatives of each output by each input named in `wrt`, all by default, outputs first.

        >>> x, y = Value(3.0, label="x"), Value(2.0, label="y")
        >>> Tape.of([x * x * y], [x, y]).gradient().run(3.0, 2.0)
        (12.0, 9.0)
        """
        chosen = [self.inputs.index(name) for name in (self.inputs if wrt is None else wrt)]
        recorder = Recorder()

        def derivatives(*inputs: Register) -> list[Register]:
            wrt = [inputs[i] for i in chosen]
            return [d for output in self.on(recorder, inputs) for d in gradient(output, wrt)]

        return Tape.trace(derivatives, self.inputs, recorder)

    def __str__(self) -> str:
        lines = [f"r{i} = {x}" for i, x in enumerate((*self.inputs, *self.constants))]
        for register, (op, args, label) in self.numbered():
            lines.append(f"r{register} = {op.name}({_spelled(args)})" + (f"  # {label}" if label else ""))
        return "\n".join([*lines, f"return {_spelled(self.outputs)}"])

    def to_json(self) -> str:
        """The tape as one line of JSON; `Tape.from_json` reads it back, exactly."""
        constants = [c if math.isfinite(c) else repr(c) for c in self.constants]
        steps = [[op.name, list(args), label] for op, args, label in self.steps]
        contents = {"inputs": self.inputs, "constants": constants, "steps": steps, "outputs": self.outputs}
        return json.dumps({"format": _FORMAT, "version": _VERSION, **contents})

    @classmethod
    def from_json(cls, text: str) -> "Tape":
        """The tape that `to_json` wrote. ValueError where the text is anything else; nothing in it is executed."""
        try:
            return cls(**_parsed(json.loads(text)))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"A tape's JSON must be written by to_json of version {_VERSION}, got a fault: {error} Save it anew."
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Tape.from_json, (self.to_json(),)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Recording makes no garbage; Python's collector would walk all registers again and again to find that out."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _frozen(recorder: Recorder, outputs: Iterable[Register]) -> Tape:
    """The tape of the steps that the outputs need, numbered anew."""
    outputs = list(outputs)
    live = _needed(recorder, outputs)
    inputs = [x for x in recorder.registers if x.op is None and x.constant is None]
    constants = [x for x in recorder.registers if x.constant is not None and x in live]
    computed = [x for x in recorder.registers if x.op is not None and x in live]
    place = {x: i for i, x in enumerate(inputs + constants + computed)}
    steps = [Step(x.op, tuple([place[arg] for arg in x.args]), x.label) for x in computed if x.op]
    return Tape(
        tuple([x.label for x in inputs]),
        tuple([x.constant for x in constants if x.constant is not None]),
        tuple(steps),
        tuple([place[x] for x in outputs]),
    )


def _needed(recorder: Recorder, outputs: Iterable[Register]) -> set[Register]:
    """The outputs and what they were computed from; no register is older than its operands."""
    needed = set(outputs)
    for x in reversed(recorder.registers):
        if x in needed:
            needed.update(x.args)
    return needed


def _constants(order: Iterable[Value]) -> Iterator[Operand]:
    """The numbers below a graph's outputs that are no inputs: constant operands and the other leaves."""
    for node in order:
        if not node.args:
            yield node
        yield from [x for x in node.args if not isinstance(x, Value)]


def _number(x: Operand) -> float:
    return x.data if isinstance(x, Value) else x


def _key(x: Operand) -> str:
    """The same for the same float64, and for no other; a NaN is a NaN."""
    return _number(x).hex()


def _row(node: Value) -> Op:
    if node.op is None:
        raise TypeError(f"A tape's operation must be a row of the table, got {node._op!r}. Add a row with Op.")
    return node.op


def _names(inputs: Sequence[Value]) -> tuple[str, ...]:
    return tuple([x.label or f"in_{i}" for i, x in enumerate(inputs)])


def _spelled(registers: Iterable[int]) -> str:
    return ", ".join([f"r{i}" for i in registers])


def _check_registers(registers: Iterable[int], end: int) -> None:
    for i in registers:
        if not 0 <= i < end:
            raise ValueError(
                f"A register must be one of the {end} written before it is read, got r{i}. Reorder the steps."
            )


def _parsed(contents: Any) -> dict[str, Any]:
    """The fields of a tape from its JSON, every type checked."""
    if (contents["format"], contents["version"]) != (_FORMAT, _VERSION):
        raise ValueError(f"its format is {contents['format']!r}, version {contents['version']!r}.")
    return {
        "inputs": tuple([_is(name, str) for name in _is(contents["inputs"], list)]),
        "constants": tuple([_constant(c) for c in _is(contents["constants"], list)]),
        "steps": tuple([_step(*_is(step, list)) for step in _is(contents["steps"], list)]),
        "outputs": tuple([_is(i, int) for i in _is(contents["outputs"], list)]),
    }


def _step(name: Any, args: Any, label: Any) -> Step:
    if name not in TABLE:
        raise ValueError(f"{name!r} is no row of the table.")
    return Step(TABLE[name], tuple([_is(i, int) for i in _is(args, list)]), _is(label, str))


def _constant(x: Any) -> float:
    return float(x) if x in ("inf", "-inf", "nan") else number(_is(x, float), "A constant")


def _is(x: Any, kind: type) -> Any:
    if type(x) is not kind:
        raise ValueError(f"{x!r} is no {kind.__name__}.")
    return x
