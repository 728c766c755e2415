"""Arithmetic that writes LLVM IR: a function in the making (`Code`) and its values (`Vector`).

A vector has one number for each lane: doubles, the 64-bit integers that hold their bits, or truths. Operators on
vectors write instructions, so a formula in Python is the formula in machine code.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Vector:
    """A value of the function that `code` writes: its name there and LLVM's name for its type."""

    code: "Code"
    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    def __add__(self, other: Any) -> "Vector":
        return self.code.binary("fadd", self, other)

    def __radd__(self, other: float) -> "Vector":
        return self.code.binary("fadd", other, self)

    def __sub__(self, other: Any) -> "Vector":
        return self.code.binary("fsub", self, other)

    def __rsub__(self, other: float) -> "Vector":
        return self.code.binary("fsub", other, self)

    def __mul__(self, other: Any) -> "Vector":
        return self.code.binary("fmul", self, other)

    def __rmul__(self, other: float) -> "Vector":
        return self.code.binary("fmul", other, self)

    def __truediv__(self, other: Any) -> "Vector":
        return self.code.binary("fdiv", self, other)

    def __rtruediv__(self, other: float) -> "Vector":
        return self.code.binary("fdiv", other, self)

    def __neg__(self) -> "Vector":
        return self.code.negative(self)

    def __abs__(self) -> "Vector":
        return self.code.call("llvm.fabs", self.code.negated.get(self.name, self))

    def __lt__(self, other: Any) -> "Vector":
        return self.code.compare("olt", self, other)

    def __gt__(self, other: Any) -> "Vector":
        return self.code.compare("ogt", self, other)


class Code:
    """The lines of one LLVM function in the making, and the declarations of the functions that it calls.

    Scalars are 64-bit integers, the same for all lanes, as text: `%rows`, `7`.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.real, self.whole, self.truth = (f"<{lanes} x {scalar}>" for scalar in ("double", "i64", "i1"))
        self.lines: list[str] = []
        self.called: dict[str, str] = {}
        self._block = "entry"
        self._written: dict[str, Vector] = {}
        self.negated: dict[str, Vector] = {}
        self._names = 0

    def let(self, type: str, instruction: str) -> Vector:
        """Write an instruction, unless it is there already, and name its result."""
        if instruction not in self._written:
            name = f"%{self._name()}"
            self.lines.append(f"{name} = {instruction}")
            self._written[instruction] = Vector(self, name, type)
        return self._written[instruction]

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    # --- arithmetic in all lanes

    def constant(self, x: float) -> Vector:
        """A number in all lanes."""
        return Vector(self, f"splat (double {literal(x)})", self.real)

    def binary(self, instruction: str, x: Any, y: Any) -> Vector:
        """An instruction of two operands of one type; of numbers and doubles, or whole numbers and whole numbers."""
        type = x.type if isinstance(x, Vector) else y.type
        return self.let(type, f"{instruction} {type} {self._text(x)}, {self._text(y)}")

    def _text(self, x: Any) -> str:
        if isinstance(x, Vector):
            return x.name
        return f"splat (i64 {_signed(x)})" if isinstance(x, int) else self.constant(x).name

    def negative(self, x: Vector) -> Vector:
        """-x, whose absolute value is known to be that of x."""
        result = self.let(x.type, f"fneg {x}")
        self.negated[result.name] = x
        return result

    def compare(self, condition: str, x: Vector, y: Any) -> Vector:
        """The truth of a comparison, as LLVM names it: `ogt` is greater, and neither is NaN."""
        return self.let(self.truth, f"fcmp {condition} {x}, {self._text(y)}")

    def select(self, condition: Vector, x: Any, y: Any) -> Vector:
        """The double x in the lanes where the condition holds, y in the others."""
        return self.let(self.real, f"select {condition}, {self.real} {self._text(x)}, {self.real} {self._text(y)}")

    def bits(self, x: Vector) -> Vector:
        """The bits of doubles as whole numbers."""
        return self.let(self.whole, f"bitcast {x} to {self.whole}")

    def from_bits(self, x: Vector) -> Vector:
        """The doubles of these bits."""
        return self.let(self.real, f"bitcast {x} to {self.real}")

    def fma(self, x: Any, y: Any, z: Any) -> Vector:
        """x y + z, fused where the machine does that in one instruction."""
        return self.call("llvm.fmuladd", x, y, z)

    def call(self, function: str, *operands: Any) -> Vector:
        """A function of doubles in all lanes: one of LLVM's own, or one that the module defines."""
        name = vector_name(function, self.lanes)
        self.called[function] = f"declare {self.real} {name}({', '.join([self.real] * len(operands))})"
        operands_text = ", ".join([f"{self.real} {self._text(x)}" for x in operands])
        return self.let(self.real, f"call {self.real} {name}({operands_text})")

    def shuffle(self, x: Vector, order: Iterable[int]) -> Vector:
        """The lanes of x in another order."""
        mask = f"<{self.lanes} x i32> <{', '.join([f'i32 {i}' for i in order])}>"
        return self.let(x.type, f"shufflevector {x}, {x.type} poison, {mask}")

    # --- scalars and lanes

    def scalar(self, instruction: str, x: str, y: str | int) -> str:
        """Integer arithmetic on scalars."""
        return self.let("i64", f"{instruction} i64 {x}, {y}").name

    def spread(self, scalar: Vector) -> Vector:
        """A scalar of any type in all lanes."""
        type = f"<{self.lanes} x {scalar.type}>"
        first = self.let(type, f"insertelement {type} poison, {scalar}, i64 0")
        return self.shuffle(first, [0] * self.lanes)

    def spread_index(self, scalar: str) -> Vector:
        """A scalar index in all lanes."""
        return self.spread(Vector(self, scalar, "i64"))

    def below(self, start: str, stop: str) -> Vector:
        """Whether start, start + 1, ... are below stop, in the lanes."""
        left = self.spread_index(self.scalar("sub", stop, start))
        return self.let(self.truth, f"icmp slt {self._lane()}, {left.name}")

    def indices(self, start: str, stop: str) -> Vector:
        """start, start + 1, ... in the lanes, and the last below stop in those left over."""
        last = self.spread_index(self.scalar("sub", stop, 1))
        index = self.binary("add", self.spread_index(start), self._lane())
        return self.let(self.whole, f"select {self.below(start, stop)}, {index}, {last}")

    def _lane(self) -> Vector:
        return Vector(self, f"<{', '.join([f'i64 {i}' for i in range(self.lanes)])}>", self.whole)

    # --- memory: arrays of doubles

    def place(self, array: str, index: str) -> str:
        """The address of an array's double."""
        return self.let("ptr", f"getelementptr double, ptr {array}, i64 {index}").name

    def load(self, array: str, index: str) -> Vector:
        """A double of an array, in all lanes."""
        return self.spread(self.let("double", f"load double, ptr {self.place(array, index)}"))

    def store(self, array: str, index: str, x: Vector) -> None:
        """Lane 0 of x into an array."""
        first = self.let("double", f"extractelement {x}, i64 0")
        self.lines.append(f"store {first}, ptr {self.place(array, index)}")

    def load_lanes(self, array: str, start: str, stop: str) -> Vector:
        """Consecutive doubles of an array, and the last below stop in the lanes left over."""
        last = self.load(array, self.scalar("sub", stop, 1))
        arguments = f"ptr {self.place(array, start)}, i32 8, {self.below(start, stop)}, {last}"
        return self.let(self.real, self._memory(self.real, "load", "p0", arguments))

    def gather(self, array: str, index: Vector) -> Vector:
        """A double of an array for each lane."""
        arguments = f"{self._places(array, index)}, i32 8, {self.truth} splat (i1 true), {self.real} poison"
        return self.let(self.real, self._memory(self.real, "gather", f"v{self.lanes}p0", arguments))

    def scatter(self, array: str, index: Vector, x: Vector) -> None:
        """Each lane of x to its place in an array; lanes of the same place must be equal."""
        arguments = f"{x}, {self._places(array, index)}, i32 8, {self.truth} splat (i1 true)"
        self.lines.append(self._memory("void", "scatter", f"v{self.lanes}p0", arguments))

    def _places(self, array: str, index: Vector) -> Vector:
        return self.let(f"<{self.lanes} x ptr>", f"getelementptr double, ptr {array}, {index}")

    def _memory(self, result: str, name: str, pointers: str, arguments: str) -> str:
        return f"call {result} @llvm.masked.{name}.v{self.lanes}f64.{pointers}({arguments})"

    # --- control

    @contextmanager
    def loop(self, stop: str, step: int) -> Iterator[str]:
        """Instructions repeated for the counter yielded: 0, step, ... below stop, once at least."""
        counter, following, body, done = f"%{self._name()}", f"%{self._name()}", self._name(), self._name()
        before, self._block = self._block, body
        self.lines += [f"br label %{body}", f"{body}:", ""]
        head = len(self.lines) - 1
        yield counter
        self.lines[head] = f"{counter} = phi i64 [0, %{before}], [{following}, %{self._block}]"
        self.lines.append(f"{following} = add nsw i64 {counter}, {step}")
        more = self.let("i1", f"icmp slt i64 {following}, {stop}")
        self.lines += [f"br {more}, label %{body}, label %{done}", f"{done}:"]
        self._block = done


def vector_name(function: str, lanes: int) -> str:
    """The name of a function of doubles in all lanes."""
    return f"@{function}.v{lanes}f64"


def literal(x: float) -> str:
    """A float64 as LLVM writes it, exactly."""
    return "0x" + struct.pack(">d", x).hex()


def _signed(x: int) -> int:
    """The 64 bits of x as LLVM writes them."""
    return (x + 2**63) % 2**64 - 2**63
