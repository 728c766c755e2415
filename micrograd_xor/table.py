"""What the table of operations is made of: a row (`Op`), its domain, and the errors that it raises.

The rows themselves are in `ops`.
"""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, overload

Rule = Callable[..., Any]


class Domain(NamedTuple):
    """The interval of operands on which a row is defined and its result fits a float64.

    >>> POSITIVE.contains(0.0), POSITIVE.rule
    (False, 'greater than 0')
    """

    rule: str
    low: float = -math.inf
    high: float = math.inf
    closed: bool = True
    hole: float | None = None

    def contains(self, x: float) -> bool:
        """Whether x lies inside; a NaN passes through every operation, as in IEEE 754."""
        if math.isnan(x):
            return True
        inside = self.low <= x <= self.high if self.closed else self.low < x < self.high
        return inside and x != self.hole

    def explains(self, error: Exception, x: float) -> bool:
        """Whether x outside is why error was raised: an overflow only where the domain ends for it."""
        return not self.contains(x) and (self.high < math.inf or not isinstance(error, OverflowError))


REALS = Domain("a real number")
NONZERO = Domain("other than 0", hole=0.0)
POSITIVE = Domain("greater than 0", low=0.0, closed=False)
NON_NEGATIVE = Domain("at least 0", low=0.0)
UNIT = Domain("between -1 and 1", low=-1.0, high=1.0)
EXPONENT = Domain("at most 709.782712893384", high=709.782712893384)
HYPERBOLIC = Domain("within ±710.475860073943", low=-710.475860073943, high=710.475860073943)

TABLE: dict[str, "Op"] = {}

# A node names its row by its place here. The first two places are a leaf's, and that of an operation of the user's own.
ROWS: list["Op | None"] = [None, None]
OWN = 1


class Op:
    """One row of the table; call it on numbers to compute, on `Value`s to record.

    `value(*operands)` is the result on floats. `partials[i](*operands, out)` is the derivative of
    the result by operand i; a row of any number of operands has one rule
    `partials(i, operands, out)` instead. `expansion` says the value in other rows, for an interpreter without the
    instruction. `identity(*operands, out)` is a pair of equal expressions, first the accurate one
    and then the textbook's: derivation reads it to the right, the compiler to the left.

    >>> from micrograd_xor import sigmoid
    >>> sigmoid(0.0), sigmoid.partial(0, (0.0,), 0.5)
    (0.5, 0.25)
    """

    __slots__ = ("arity", "domain", "expansion", "identity", "index", "name", "partials", "remedy", "symbol", "value")

    def __init__(
        self,
        name: str,
        symbol: str,
        value: Rule,
        partials: tuple[Rule, ...] | Rule,
        domain: tuple[Domain, ...] = (),
        *,
        expansion: Rule | None = None,
        identity: Rule | None = None,
        remedy: str = "Check what reaches it.",
    ) -> None:
        if name in TABLE:
            raise ValueError(f"A row's name must be new to the table, got {name!r}. Choose another name.")
        self.name, self.symbol, self.value, self.partials, self.domain = name, symbol, value, partials, domain
        self.expansion, self.identity, self.remedy = expansion, identity, remedy
        self.arity = len(partials) if isinstance(partials, tuple) else None
        TABLE[name] = self
        self.index = len(ROWS)
        ROWS.append(self)

    @overload
    def __call__(self, *operands: float) -> float: ...
    @overload
    def __call__(self, *operands: Any) -> Any: ...
    def __call__(self, *operands: Any) -> Any:
        """The result: a float for numbers; else what the operands' interpreter makes of the row.

        An interpreter's type says `__op__(op, operands)`; `Value.__op__` records a node.
        """
        return self.on(operands)

    def on(self, operands: tuple[Any, ...]) -> Any:
        """The same for operands that already are in a tuple: a call would copy a long one three times."""
        for x in operands:
            record = None if type(x) is float else getattr(x, "__op__", None)
            if record:
                return record(self, operands)
        return self.evaluate(*map(number, operands))

    def evaluate(self, *operands: float) -> float:
        """The value on floats, as strict as Python's `math`: ValueError, ZeroDivisionError or OverflowError."""
        self.check_arity(operands)
        try:
            result: float = self.value(*operands)
        except (ValueError, ArithmeticError) as error:
            raise self.refusal(error, operands) from None
        return result

    def partial(self, i: int, operands: tuple[Any, ...], out: Any) -> Any:
        """The local partial by operand i, in the type of the operands."""
        if not isinstance(self.partials, tuple):
            return self.partials(i, operands, out)
        try:
            return self.partials[i](*operands, out)
        except ZeroDivisionError:  # a vertical tangent, as that of x ** 0.5 at 0
            return math.inf

    def check_arity(self, operands: tuple[Any, ...]) -> None:
        """Raise a TypeError where the number of operands is not the row's."""
        if self.arity is not None and len(operands) != self.arity:
            raise TypeError(f"{self.name} must take {self.arity} operands, got {len(operands)}. Check the call.")

    def refusal(self, error: Exception, operands: tuple[Any, ...]) -> Exception:
        """The error to raise instead of Python's own: it names the operation, the labels and the values."""
        pairs = enumerate(zip(operands, self.domain, strict=False))
        outside = [i for i, (x, domain) in pairs if domain.explains(error, getattr(x, "data", x))]
        if outside:
            place = _PLACES[len(operands) - 1][outside[0]]
            thing = f"{self.name}'s {place} must be {self.domain[outside[0]].rule}"
        else:
            thing = f"{self.name}'s result must be a number that fits in a float64"
        return type(error)(f"{thing}, got {self.name}({', '.join(map(_shown, operands))}). {self.remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _row, (self.name,)

    def __repr__(self) -> str:
        return f"<row {self.name}>"


def _row(name: str) -> Op:
    return TABLE[name]


_PLACES = (("operand",), ("left operand", "right operand"), ("condition", "second operand", "third operand"))


def _shown(x: Any) -> str:
    label = getattr(x, "label", "")
    return f"{label} = {x.data!r}" if label else repr(getattr(x, "data", x))


def number(x: Any, thing: str = "An operand") -> float:
    """x as a float; a TypeError where it is not a real number.

    >>> number(2), number(True)
    (2.0, 1.0)
    """
    if type(x) is float:
        return x
    if not isinstance(x, (float, int, Real)):  # the ABC last, for it is slow: numpy's scalars, fractions
        raise TypeError(f"{thing} must be a real number or a Value, got {x!r}. Convert it with float() first.")
    try:
        return float(x)
    except OverflowError:
        raise OverflowError(f"{thing} must fit in a float64, got a larger {type(x).__name__}. Scale it down.") from None
