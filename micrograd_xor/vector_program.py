"""A tape as the text of an LLVM module: loops over networks, steps and rows, and parts that the loops call.

A part is a function that reads and writes the frame, a vector for every number that one part leaves to another. A
small program is inlined into one function, and its frame dissolves in machine registers. A large one stays in parts,
because LLVM's cost grows faster than the length of a function, and its frame lies in memory that the caller provides;
there an elementary function is one call, for every instruction counts.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from micrograd_xor.tape import Step, Tape
from micrograd_xor.vector_code import Vector
from micrograd_xor.vector_lanes import Key, Lanes, Part
from micrograd_xor.vector_math import DEFINED, FROM_LIBM, FROM_TAILS, INLINED, definition

_INLINED_COST = 20  # instructions of an inlined function, about
_SMALL = 2000  # instructions of a program that is one function
_PART = 1000  # steps of a part of a larger one; LLVM's cost is linear up to here
_ITEMS = 64  # parameters or outputs in a part
_ARGUMENTS = "ptr %frame, ptr %call"


def _clear(part: Part, total: Key) -> None:
    part.set(total, part.constant(0.0))


def _step(x: Vector) -> Vector:
    return x.code.select(x > 0.0, 1.0, 0.0)


def _where(condition: Vector, x: Vector, y: Vector) -> Vector:
    return x.code.select(x.code.compare("une", condition, 0.0), x, y)


def _extreme(preferred: str, x: Vector, y: Vector) -> Vector:
    code = x.code
    return code.select(code.compare("uno", x, x), x, code.select(code.compare(preferred, x, y), x, y))


def _function(name: str, *operands: Vector) -> Vector:
    return operands[0].code.call(name, *operands)


INSTRUCTIONS: dict[str, Callable[..., Vector]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": abs,
    "step": _step,
    "where": _where,
    "maximum": partial(_extreme, "ogt"),
    "minimum": partial(_extreme, "olt"),
    "sqrt": partial(_function, "llvm.sqrt"),
    **FROM_TAILS,
    **{name: partial(_function, name) for name in ("exp", "expm1", "log", "log1p", "tanh", *FROM_LIBM)},
}
_OUT_OF_LINE = INSTRUCTIONS | {name: partial(_function, name) for name in FROM_TAILS}


class Program:
    """The text of one LLVM module in the making, written by `evaluation` or `training`, and its frame's `slots`."""

    def __init__(self, tape: Tape, parameters: int, lanes: int, lane: Lanes) -> None:
        self.tape, self.lanes, self.lane = tape, lanes, lane
        self.slots: dict[Key, int] = {}
        self.is_small = sum(map(_cost, tape.steps)) + 8 * len(tape.inputs + tape.outputs) < _SMALL
        self._instructions = INSTRUCTIONS if self.is_small else _OUT_OF_LINE
        self._keys = _keys(tape, "register")
        self._parameters = [self._keys[i] for i in range(parameters)]
        self._columns = [self._keys[i] for i in range(parameters, len(tape.inputs))]
        self._outputs = [self._keys[i] for i in tape.outputs]
        self._sums: list[Key] = [("sum", i) for i in range(len(tape.outputs))]
        self._functions: list[str] = []
        self._called: dict[str, str] = {}

    def evaluation(self, widths: Sequence[int], reduced: bool) -> str:
        """Fill arrays of these widths with the outputs: those of each row, or their sums times the scale."""
        places = [(len(self._columns) + j, width, item) for j, width in enumerate(widths) for item in range(width)]
        main = self._part()
        with main.loop(main.word("networks"), self.lane.networks) as k:
            self._each(main, self._load_parameter, enumerate(self._parameters), k)
            if reduced:
                self._sum(main, k)
                self._each(main, self._store_sum, zip(self._sums, places, strict=True), k)
            else:
                with main.loop(main.word("rows"), self.lane.rows) as i:
                    self._evaluate(main, k, i)
                    self._each(main, self._store_row, zip(self._outputs, places, strict=True), k, i)
        return self._text(main)

    def training(self, update: Tape) -> str:
        """Take training steps; `update` moves one parameter."""
        states: list[Key] = [
            ("state", j, p) for j in range(len(update.outputs) - 1) for p in range(len(self._parameters))
        ]
        main = self._part()
        with main.loop(main.word("networks"), self.lane.networks) as k:
            self._each(main, self._load_parameter, enumerate(self._parameters), k)
            self._each(main, self._load_state, zip(states), k)
            with main.loop(main.word("steps"), 1) as step:
                self._sum(main, k)
                self._each(main, self._end_sum, zip(self._sums), k, step)
                self._each(main, self._store_loss, [()], k, step)
                self._update(main, update, k, step)
            self._each(main, self._store_parameter, enumerate(self._parameters), k)
            self._each(main, self._store_state, zip(states), k)
        return self._text(main)

    # --- what the loops do

    def _sum(self, main: Part, k: str) -> None:
        """The sums of the outputs over the rows, lane by lane."""
        self._each(main, _clear, zip(self._sums))
        with main.loop(main.word("rows"), self.lane.rows) as i:
            self._evaluate(main, k, i)
            self._each(main, self._add, zip(self._sums, self._outputs, strict=True), k, i)

    def _evaluate(self, main: Part, k: str, i: str) -> None:
        self._each(main, self._load_column, enumerate(self._columns), k, i)
        steps, size = list(self.tape.numbered()), _SMALL if self.is_small else _PART
        kept = _kept(self.tape, size)
        for start in range(0, len(steps), size):
            self._each(main, self._run, [(steps[start : start + size], self._keys, kept)], k, i)

    def _update(self, main: Part, update: Tape, k: str, step: str) -> None:
        """Move all parameters; what depends on the number of the step alone is computed once."""
        common = _common(update)
        keys = {**_keys(update, "common"), len(update.inputs) - 1: "t"}
        self._each(main, self._count, [()], k, step)
        self._each(main, self._run, [([(i, step) for i, step in update.numbered() if i in common], keys, common)], k)
        self._each(main, partial(self._move, update, keys, common), zip(range(len(self._parameters))), k)

    def _move(self, update: Tape, keys: Mapping[int, Key], common: frozenset[int], part: Part, p: int) -> None:
        states: list[Key] = [("state", j, p) for j in range(len(update.outputs) - 1)]
        steps = [(i, step) for i, step in update.numbered() if i not in common]
        own: dict[int, Key] = {i: ("update", p, i) for i, _ in steps}
        inputs = enumerate([self._parameters[p], self._sums[1 + p], *states])
        self._run(part, steps, {**keys, **own, **dict(inputs)}, frozenset())
        moved = [part.get({**keys, **own, **dict(inputs)}[i]) for i in update.outputs]
        for key, x in zip([self._parameters[p], *states], moved, strict=True):
            part.set(key, x)

    def _run(
        self, part: Part, steps: Iterable[tuple[int, Step]], keys: Mapping[int, Key], kept: frozenset[int]
    ) -> None:
        """Steps of a tape whose registers have these keys."""
        for register, step in steps:
            x = self._instructions[step.op.name](*[part.get(keys[i]) for i in step.args])
            part.set(keys[register], x, register in kept)

    # --- a few instructions for one number

    def _load_parameter(self, part: Part, p: int, key: Key) -> None:
        part.set(key, self.lane.load(part, part.array("theta"), len(self._parameters), p))

    def _store_parameter(self, part: Part, p: int, key: Key) -> None:
        self.lane.store(part, part.array("theta"), len(self._parameters), p, part.get(key))

    def _load_state(self, part: Part, key: tuple[str, int, int]) -> None:
        part.set(key, self.lane.load(part, part.array("state"), len(self._parameters), self._state(part, key)))

    def _store_state(self, part: Part, key: tuple[str, int, int]) -> None:
        item = self._state(part, key)
        self.lane.store(part, part.array("state"), len(self._parameters), item, part.get(key))

    def _state(self, part: Part, key: tuple[str, int, int]) -> str:
        """Where state j of parameter p is in an array (S, K, P), counted from the network's row of the first state."""
        _, j, p = key
        parameters = len(self._parameters)
        return part.scalar("add", part.scalar("mul", part.word("networks"), j * parameters), p)

    def _load_column(self, part: Part, column: int, key: Key) -> None:
        part.set(key, self.lane.load_row(part, part.array(column)))

    def _add(self, part: Part, total: Key, output: Key) -> None:
        part.set(total, self.lane.added(part, part.get(total), part.get(output)))

    def _end_sum(self, part: Part, total: Key) -> None:
        part.set(total, self.lane.total(part, part.get(total)) * part.scale())

    def _store_sum(self, part: Part, total: Key, place: tuple[int, int, int]) -> None:
        array, width, item = place
        self._end_sum(part, total)
        self.lane.store(part, part.array(array), width, item, part.get(total))

    def _store_row(self, part: Part, output: Key, place: tuple[int, int, int]) -> None:
        array, width, item = place
        self.lane.store_row(part, part.array(array), width, item, part.get(output))

    def _store_loss(self, part: Part) -> None:
        self.lane.store(part, part.array("losses"), part.word("stride"), "%i", part.get(self._sums[0]))

    def _count(self, part: Part) -> None:
        """t of the optimiser: the number of the step."""
        number = part.scalar("add", part.word("first"), "%i")
        part.set("t", part.spread(part.let("double", f"sitofp i64 {number} to double")))

    # --- from parts to a module

    def _part(self) -> Part:
        return Part(self.lanes, self.slots)

    def _each(
        self, main: Part, write: Callable[..., None], items: Iterable[tuple[Any, ...]], k: str = "0", i: str = "0"
    ) -> None:
        """Call parts that write(part, *item) for each item."""
        items = list(items)
        for start in range(0, len(items), _ITEMS):
            part, name = self._part(), f"part{len(self._functions)}"
            for item in items[start : start + _ITEMS]:
                write(part, *item)
            head = f"define internal void @{name}({_ARGUMENTS}, i64 %k, i64 %i) {self._inlining} {{"
            self._functions.append("\n".join([head, "entry:", *part.lines, "ret void", "}"]))
            self._called |= part.called
            main.lines.append(f"call void @{name}(ptr %frame, ptr %call, i64 {k}, i64 {i})")

    @property
    def _inlining(self) -> str:
        return "alwaysinline" if self.is_small else "noinline"

    def _text(self, main: Part) -> str:
        memory = main.array("frame")
        frame = (
            f"alloca [{len(self.slots)} x {main.real}]" if self.is_small else f"getelementptr i8, ptr {memory}, i64 0"
        )
        head = "define void @run(ptr noalias nofree readonly align 8 dereferenceable(80) %call) {"
        run = [head, "entry:", *main.lines[-2:], f"%frame = {frame}", *main.lines[:-2], "ret void", "}"]
        return "\n".join([*self._functions, *run, *self._definitions(), *_memory(self.lanes), "!0 = !{}"])

    def _definitions(self) -> Iterator[str]:
        """The functions that are called, and those that they call."""
        done: set[str] = set()
        while pending := self._called.keys() - done:
            for name in pending:
                if name in DEFINED:
                    text, called = definition(name, self.lanes, self._inlining)
                    self._called |= called
                    yield text
                else:
                    yield self._called[name]
            done |= pending


def _keys(tape: Tape, kind: str) -> dict[int, Key]:
    """A key for each register; a constant is its own."""
    inputs, first = len(tape.inputs), tape.first_step
    keys: dict[int, Key] = {i: (kind, i) for i in range(first + len(tape.steps))}
    return keys | dict(enumerate(tape.constants, inputs))


def _cost(step: Step) -> int:
    return _INLINED_COST if step.op.name in INLINED or step.op.name in FROM_TAILS else 1


def _common(update: Tape) -> frozenset[int]:
    """The registers of the steps that depend on the last input and constants alone."""
    known = set(range(len(update.inputs) - 1, update.first_step))
    for register, step in update.numbered():
        if known.issuperset(step.args):
            known.add(register)
    return frozenset(known - set(range(update.first_step)))


def _kept(tape: Tape, size: int) -> frozenset[int]:
    """The registers that are read in other parts, of `size` steps each, than they are written in."""
    first = tape.first_step
    crossing = [i for register, step in tape.numbered() for i in step.args if i < register - (register - first) % size]
    return frozenset([*crossing, *tape.outputs])


def _memory(lanes: int) -> list[str]:
    """Declarations of the instructions that read and write an array lane by lane."""
    real, truth, pointers = (f"<{lanes} x {type}>" for type in ("double", "i1", "ptr"))
    name = f"@llvm.masked.{{}}.v{lanes}f64.{{}}"
    return [
        f"declare {real} {name.format('load', 'p0')}(ptr, i32, {truth}, {real})",
        f"declare {real} {name.format('gather', f'v{lanes}p0')}({pointers}, i32, {truth}, {real})",
        f"declare void {name.format('scatter', f'v{lanes}p0')}({real}, {pointers}, i32, {truth})",
    ]
