"""The paper's rows for any number of hidden units, derived and compared: those that differ in their indices are one.

`families` finds the general row of w11, w12, w21, ... by comparing what was derived for each; `matrix_form` writes
it for all indices at once, as the paper's section 2.2 does.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import mul
from typing import Any, NamedTuple

import sympy

from micrograd_xor.chain import Heading
from micrograd_xor.derive import Derivation, derive_all
from micrograd_xor.notation import Notation
from micrograd_xor.symbolic import evaluate
from micrograd_xor.typeset import Formula
from micrograd_xor.xor.open_form import OpenForm, open_form, parameter_names

LETTERS = "jk"  # hidden unit, input


class Vector(NamedTuple):
    """What a name with indices is in the paper's matrices: its letter, and whether the first runs down a column."""

    name: str
    column: bool = True


VECTORS = {
    "u": Vector("U", column=False),
    "h": Vector("h"),
    "h_bar": Vector("h_bar"),
    "x": Vector("x"),
    "w": Vector("W"),
    "b": Vector("b_h"),
}


@dataclass(frozen=True)
class Family:
    """Rows that differ in their indices only, as one: ∂E/∂w_jk = (z - r) u_j h_j (1 - h_j) x_k.

    `rows` are the headings of the rows that were compared.
    """

    heading: Heading
    formula: Formula
    rows: tuple[Heading, ...]

    def sides(self, notation: Notation) -> list[str]:
        """The two sides of the general row, in a notation."""
        return [self.heading.write(notation), self.formula.write(notation)]


def network(hidden: int) -> OpenForm:
    """The open form with all weights 0: a derivation is the same at any."""
    return open_form(dict.fromkeys(parameter_names(hidden), 0.0), 1.0, 0.0, 1.0)


def rows(form: OpenForm) -> list[Derivation]:
    """The paper's rows, in its order: the local partials from E down, then ∂E/∂z̄, then E by each parameter."""
    table = derive_all(form.E)
    nodes = [form.E, form.z, form.z_bar, *form.h, *form.h_bar]
    by = [name for name in form.nodes() if name not in form.inputs]
    local = [table.local[of.label, x] for of in nodes for x in by if (of.label, x) in table.local]
    return [*local, *(table.total["E", x] for x in ["z_bar", *form.parameters])]


def families(derived: Iterable[Derivation]) -> list[Family]:
    """The general rows of some rows, found by comparing them; ValueError where some have no general row.

    >>> from micrograd_xor.notation import TEXT
    >>> for family in families(rows(network(3)))[-2:]:
    ...     print(*family.sides(TEXT), sep=" = ")
    ∂E/∂w_jk = (z - r) u_j h_j (1 - h_j) x_k
    ∂E/∂b_j = (z - r) u_j h_j (1 - h_j)
    """
    groups = defaultdict[tuple[str, ...], list[Derivation]](list)
    for row in derived:
        groups[tuple(_split(name)[0] for name in (row.heading.of, *row.heading.by))].append(row)
    return list(map(_family, groups.values()))


def _family(derived: list[Derivation]) -> Family:
    """The way to write one row's indices as letters that gives every other row, too."""
    pattern = derived[-1]  # its indices differ from each other, if any row's do
    index = _index(pattern)
    names = [pattern.heading.of, *_names(pattern.formula)]
    for lettered in product(*(_with_letters(name, index) for name in names)):
        general = dict(zip(names, lettered, strict=True))
        formula = _renamed(pattern.formula, general)
        if all(_is_instance(row, general[pattern.heading.of], formula) for row in derived):
            by = _join(_split(pattern.heading.by[0])[0], LETTERS[: len(index)])
            return Family(Heading(general[pattern.heading.of], (by,)), formula, tuple(row.heading for row in derived))
    raise ValueError(f"The rows must differ in their indices only, got {pattern}. Derive them from one network.")


def _is_instance(row: Derivation, of: str, general: Formula) -> bool:
    index = dict(zip(LETTERS, _index(row), strict=False))
    numbers = {name: _join(*_numbered(name, index)) for name in [of, *_names(general)]}
    same = _renamed(general, numbers).expression == row.formula.expression
    return bool(same and numbers[of] == row.heading.of)


def _names(formula: Formula) -> list[str]:
    return [symbol.name for symbol in formula.expression.free_symbols]


def _renamed(formula: Formula, names: Mapping[str, str]) -> Formula:
    symbols = {sympy.Symbol(old): sympy.Symbol(new) for old, new in names.items()}
    rank = {new: formula.rank[old] for old, new in symbols.items() if old in formula.rank}
    return Formula(formula.expression.xreplace(symbols), rank, factor=formula.factor)


def _index(row: Derivation) -> tuple[str, ...]:
    return _split(row.heading.by[0])[1]


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    """A name's letter and its indices: those of w11 are 1 and 1, of h1_bar, the letter h_bar, 1."""
    match = re.fullmatch(f"([a-z]+?)_?([0-9{LETTERS}]+)(_bar)?", name)
    if not match:
        return name, ()
    letter, index, bar = match.groups(default="")
    return letter + bar, (index[:-1], index[-1]) if letter == "w" else (index,)


def _join(letter: str, indices: Iterable[str]) -> str:
    index = "".join(indices)
    gap = "" if index.isdecimal() or not index else "_"
    return letter.replace("_bar", "") + gap + index + "_bar" * letter.endswith("_bar") if index else letter


def _numbered(name: str, index: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    letter, indices = _split(name)
    return letter, tuple(index.get(i, i) for i in indices)


def _with_letters(name: str, index: tuple[str, ...]) -> list[str]:
    """The name with each of its indices written as a letter of the same number, in every way, or left as it is."""
    letter, indices = _split(name)
    ways = [[*(c for c, number in zip(LETTERS, index, strict=False) if number == i), i] for i in indices]
    return [_join(letter, written) for written in product(*ways)]


# --- matrices -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MatrixForm:
    """A general row for all indices at once: numbers times a column of products by element times a row of such."""

    heading: Heading
    numbers: tuple[Formula, ...]
    column: tuple[Formula, ...]
    row: tuple[Formula, ...]

    def sides(self, notation: Notation) -> list[str]:
        """The two sides as the paper has them: the chain's last factors first, for they apply from the left."""
        column = [_written(x, notation, column=True) for x in reversed(self.column)]
        row = [_written(x, notation, column=False) for x in reversed(self.row)]
        sides = [notation.hadamard(side) for side in (column, row) if side]
        return [self.heading.write(notation), notation.product([*(x.write(notation) for x in self.numbers), *sides])]

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The form's array, from the paper's names: a number for a scalar, a 1-D numpy array for a vector."""
        parts = self.numbers, self.column, self.row
        symbols = {s for part in parts for factor in part for s in factor.expression.free_symbols}
        known = {s: values[_vector(s.name).name] for s in symbols}
        numbers, column, row = ([evaluate(factor.expression, known) for factor in part] for part in parts)
        sides = [reduce(mul, side) for side in (column, row) if side]
        if len(sides) == 2:
            sides[0] = sides[0][:, None]
        return reduce(mul, [*numbers, *sides])


def matrix_form(family: Family) -> MatrixForm:
    """The general row of a product in the paper's matrices: j runs down a column, k along a row, or j where U is one.

    >>> from micrograd_xor.notation import TEXT
    >>> for family in families(rows(network(2)))[-4:]:
    ...     print(*matrix_form(family).sides(TEXT), sep=" = ")
    ∂E/∂U = (z - r) hᵀ
    ∂E/∂b_z = (z - r)
    ∂E/∂W = (z - r) ((1 - h) ⊙ h ⊙ Uᵀ) xᵀ
    ∂E/∂b_h = (z - r) ((1 - h) ⊙ h ⊙ Uᵀ)
    """
    vector = _vector(family.heading.by[0])
    numbers: list[Formula] = []
    column: list[Formula] = []
    row: list[Formula] = []
    for factor in family.formula.factors():
        along = {index for name in _names(factor) for index in _split(name)[1]}
        down = vector.column and LETTERS[0] in along
        (column if down else row if along else numbers).append(factor)
    return MatrixForm(Heading(family.heading.of, (vector.name,)), tuple(numbers), tuple(column), tuple(row))


def _vector(name: str) -> Vector:
    """What the paper calls the vector or matrix of a name with indices; a scalar keeps its name."""
    letter, indices = _split(name)
    return VECTORS[letter] if indices else Vector(name)


def _written(factor: Formula, notation: Notation, *, column: bool) -> str:
    """A factor of vectors, turned where they lie the other way."""
    vectors = {name: _vector(name) for name in _names(factor)}
    written = _renamed(factor, {name: vector.name for name, vector in vectors.items()}).write(notation)
    return written if all(vector.column == column for vector in vectors.values()) else notation.transpose(written)
