"""The interpreter that writes tapes: arithmetic on a `Register` records a step, simplified as it is recorded.

A `Register` is to a tape what a `Value` is to a graph: it has `op`, `args` and `label`, and the table's rules run on
it. `Recorder.record` is the only way to make one, so simplification is said here once, for gradients and emitters
alike: common subexpressions, constants, identities that hold for every float64, and the table's `identity` rules read
from the textbook's expression to the accurate one (log(1 - σ(x)) becomes log σ(-x)).
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import permutations
from types import MappingProxyType
from typing import Any, NamedTuple

from micrograd_xor import ops
from micrograd_xor.table import TABLE, Op, Rule, number


class Register:
    """A number of a tape being written: an input, a constant, or the result of `op` on `args`."""

    __slots__ = ("args", "constant", "index", "label", "op", "recorder")

    def __init__(
        self,
        recorder: "Recorder",
        op: Op | None = None,
        args: "Args" = (),
        constant: float | None = None,
        label: str = "",
    ) -> None:
        self.recorder, self.op, self.args, self.constant, self.label = recorder, op, args, constant, label
        self.index = len(recorder.registers)
        recorder.registers.append(self)

    def __op__(self, op: Op, operands: tuple[Any, ...]) -> "Register":
        op.check_arity(operands)
        return self.recorder.record(op, operands)

    def __neg__(self) -> "Register":
        return self.recorder.record(ops.neg, (self,))

    def __add__(self, other: "Register | float") -> "Register":
        return self.recorder.record(ops.add, (self, other))

    def __radd__(self, other: float) -> "Register":
        return self.recorder.record(ops.add, (other, self))

    def __sub__(self, other: "Register | float") -> "Register":
        return self.recorder.record(ops.sub, (self, other))

    def __rsub__(self, other: float) -> "Register":
        return self.recorder.record(ops.sub, (other, self))

    def __mul__(self, other: "Register | float") -> "Register":
        return self.recorder.record(ops.mul, (self, other))

    def __rmul__(self, other: float) -> "Register":
        return self.recorder.record(ops.mul, (other, self))

    def __truediv__(self, other: "Register | float") -> "Register":
        return self.recorder.record(ops.div, (self, other))

    def __rtruediv__(self, other: float) -> "Register":
        return self.recorder.record(ops.div, (other, self))

    def __pow__(self, other: "Register | float") -> "Register":
        return self.recorder.record(ops.pow, (self, other))

    def __rpow__(self, other: float) -> "Register":
        return self.recorder.record(ops.pow, (other, self))


Args = tuple[Register, ...]
NO_EXPANSIONS: Mapping[str, Rule] = MappingProxyType({})
_COMMUTATIVE = frozenset((ops.add, ops.mul))


class Recorder:
    """Records steps and hands out their registers, the same register for the same number.

    `supported` names the rows that may be recorded; any other is recorded as its expansion, one of `expansions` or the
    table's. Rewriting is then off: it would undo the expansions.
    """

    def __init__(
        self,
        supported: Iterable[str] | None = None,
        expansions: Mapping[str, Rule] = NO_EXPANSIONS,
        rewrite: bool = True,
    ) -> None:
        self.supported = None if supported is None else frozenset(supported)
        self.expansions = expansions
        self.registers: list[Register] = []
        self.rewrites = _rewrites() if rewrite and supported is None else {}
        self._recorded: dict[object, Register] = {}

    def input(self, name: str) -> Register:
        """A register that the tape's caller fills."""
        return Register(self, label=name)

    def register(self, x: Any) -> Register:
        """x as a register of this recorder: a number becomes a constant, one register for each float64."""
        if isinstance(x, Register):
            return x
        constant = number(x)
        key = constant.hex()  # tells -0.0 from 0.0, and holds for NaN
        if key not in self._recorded:
            self._recorded[key] = Register(self, constant=constant)
        return self._recorded[key]

    def record(self, op: Op, operands: Sequence[Any]) -> Register:
        """The register of `op` on registers and numbers, a known one where there is one."""
        args = tuple([x if x.__class__ is Register else self.register(x) for x in operands])
        if op in _COMMUTATIVE and args[0].index > args[1].index:
            args = args[1], args[0]
        key = (op, args)
        known = self._recorded.get(key)
        if known is None:
            known = self._recorded[key] = self._new(op, args)
        return known

    def clear(self) -> None:
        """Forget the registers; they refer to their recorder, and would else wait for Python's collector."""
        self.registers.clear()
        self._recorded.clear()

    def _new(self, op: Op, args: Args) -> Register:
        if op.arity is None:  # such a row is plain arithmetic
            return self.register(op.value(*args))
        if self.supported is not None and op.name not in self.supported:
            return self.register(_expansion(op, self.expansions)(*args))
        for simplify in (_folded, _identity, self._rewritten):
            simpler = simplify(op, args)
            if simpler is not None:
                return self.register(simpler)
        return Register(self, op, args)

    def _rewritten(self, op: Op, args: Args) -> Any:
        for rewrite in self.rewrites.get(op, ()):
            for binding in _all_bindings(op, rewrite.textbook.args, args, {}):
                return _substituted(rewrite.accurate, binding)
        return None


def gradient(output: Register, wrt: Sequence[Register]) -> list[Register]:
    """∂output/∂w for each w of `wrt`: the reverse sweep, recorded."""
    active = _dependents(output, wrt)
    adjoint = {output: output.recorder.register(1.0)}
    for x in reversed(active):
        if x in adjoint:
            _hand_down(x, adjoint, active)
    zero = output.recorder.register(0.0)
    return [adjoint.get(w, zero) if w in active else zero for w in wrt]


def _dependents(output: Register, wrt: Iterable[Register]) -> dict[Register, None]:
    """The registers up to output that are in wrt or were computed from it, in order."""
    active = dict.fromkeys(sorted(wrt, key=lambda w: w.index))
    for x in output.recorder.registers[: output.index + 1]:
        if any(arg in active for arg in x.args):
            active[x] = None
    return active


def _hand_down(x: Register, adjoint: dict[Register, Register], active: Container[Register]) -> None:
    for i, arg in enumerate(x.args):
        partial = x.op.partial(i, x.args, x) if x.op and arg in active else 0.0
        if isinstance(partial, Register) or partial != 0.0:  # a rule's plain 0.0 is no dependence at all
            share = adjoint[x] * partial
            adjoint[arg] = adjoint[arg] + share if arg in adjoint else share


def _expansion(op: Op, expansions: Mapping[str, Rule]) -> Rule:
    """The rule that says op in other rows."""
    rule = expansions.get(op.name) or op.expansion
    if rule is None:
        raise TypeError(f"A row without an expansion must be an instruction of the emitter, got {op.name}. Add either.")
    return rule


def _folded(op: Op, args: Args) -> float | None:
    """The result where all operands are constants; None where that would raise: the step then stays as it is."""
    for x in args:
        if x.constant is None:
            return None
    try:
        return float(op.value(*[x.constant for x in args]))
    except (ValueError, ArithmeticError):
        return None


# --- identities that hold for every float64, the zeros' signs, infinities and NaN included -----


def _identity(op: Op, args: Args) -> Any:
    rule = _IDENTITIES.get(op)
    return rule(*args) if rule else None


def _negated(x: Register) -> Register | None:
    """The y of x = -y."""
    return x.args[0] if x.op is ops.neg else None


def _neg(x: Register) -> Any:
    return _negated(x)


def _add(x: Register, y: Register) -> Any:
    for one, other in ((x, y), (y, x)):
        if other.constant is not None and other.constant.hex() == "-0x0.0p+0":  # x + 0.0 turns -0.0 into 0.0
            return one
        minus = _negated(other)
        if minus is not None:
            return one - minus
    return None


def _sub(x: Register, y: Register) -> Any:
    minus = _negated(y)
    if minus is not None:
        return x + minus
    return None if y.constant is None else x + -y.constant


def _mul(x: Register, y: Register) -> Any:
    for one, other in ((x, y), (y, x)):
        if other.constant == 1.0:
            return one
        if other.constant == -1.0:
            return -one
        minus = _negated(other)
        if minus is not None:
            return -(one * minus)
    return None


def _div(x: Register, y: Register) -> Any:
    if y.constant == 1.0:
        return x
    if y.constant == -1.0:
        return -x
    above, below = _negated(x), _negated(y)
    if above is not None:
        return -(above / y)
    return None if below is None else -(x / below)


def _pow(x: Register, y: Register) -> Any:
    rule = _POWERS.get(y.constant)
    return rule(x) if rule else None


def _abs(x: Register) -> Any:
    if x.op is ops.abs:
        return x
    minus = _negated(x)
    return None if minus is None else ops.abs(minus)


def _where(condition: Register, x: Register, y: Register) -> Any:
    if condition.constant is not None:
        return x if condition.constant else y
    return x if x is y else None


def _extreme(x: Register, y: Register) -> Any:
    return x if x is y else None


_POWERS: dict[float | None, Rule] = {
    0.0: lambda _: 1.0,
    1.0: lambda x: x,
    2.0: lambda x: x * x,
    -1.0: lambda x: 1.0 / x,
}

_IDENTITIES: dict[Op, Rule] = {
    ops.neg: _neg,
    ops.add: _add,
    ops.sub: _sub,
    ops.mul: _mul,
    ops.div: _div,
    ops.pow: _pow,
    ops.abs: _abs,
    ops.where: _where,
    ops.maximum: _extreme,
    ops.minimum: _extreme,
}

# --- the table's identities, read from the textbook's expression to the accurate one ------------


class Rewrite(NamedTuple):
    """A pattern and what replaces it: equal expressions of the same inputs, the second with fewer rounding errors."""

    textbook: Register
    accurate: Register
    size: int


def _rewrites() -> dict[Op, list[Rewrite]]:
    """The rewrites of the table by the row at their root, the most specific first."""
    found: dict[Op, list[Rewrite]] = {}
    for rewrite in [_rewrite(op, op.identity) for op in TABLE.values() if op.identity and op.arity]:
        if rewrite.textbook.op is not None:
            found.setdefault(rewrite.textbook.op, []).append(rewrite)
    return {op: sorted(those, key=lambda rewrite: -rewrite.size) for op, those in found.items()}


@cache
def _rewrite(op: Op, identity: Rule) -> Rewrite:
    """The row's `identity` on registers, in the canonical form that identities give every tape."""
    recorder = Recorder(rewrite=False)
    operands = [recorder.input(f"x{i}") for i in range(op.arity or 0)]
    accurate, textbook = identity(*operands, recorder.record(op, operands))
    return Rewrite(textbook, accurate, len(recorder.registers))


Binding = dict[Register, Register]


def _bindings(pattern: Register, x: Register, binding: Binding) -> Iterator[Binding]:
    """Every way to bind the pattern's inputs so that the pattern is x."""
    if pattern.op is not None:
        if pattern.op is x.op:
            yield from _all_bindings(pattern.op, pattern.args, x.args, binding)
    elif pattern.constant is not None:
        if pattern.constant == x.constant:
            yield binding
    elif binding.get(pattern, x) is x:
        yield {**binding, pattern: x}


def _all_bindings(op: Op, patterns: Args, args: Args, binding: Binding) -> Iterator[Binding]:
    """The same for all operands of op at once, in either order where that makes no difference."""
    if len(args) == 1:
        yield from _bindings(patterns[0], args[0], binding)
    for x, y in permutations(args) if op in _COMMUTATIVE else (args,) if len(args) == 2 else ():
        for bound in _bindings(patterns[0], x, binding):
            yield from _bindings(patterns[1], y, bound)


def _substituted(pattern: Register, binding: Binding) -> Any:
    """The pattern recorded anew, on what its inputs are bound to."""
    if pattern.op is None:
        return binding.get(pattern, pattern.constant)
    return pattern.op(*[_substituted(x, binding) for x in pattern.args])
