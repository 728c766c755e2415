"""From what a caller passes to what a kernel takes: float64, contiguous, of matching shapes, or a clear error."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Arguments(NamedTuple):
    """A call's arrays as kernels take them, and whether theta was one set of parameters."""

    theta: Array
    columns: tuple[Array, ...]
    single: bool

    @property
    def rows(self) -> int:
        """The length of the columns; without columns, 1."""
        return len(self.columns[0]) if self.columns else 1


def chosen(names: Sequence[str], named: Mapping[str, ArrayLike]) -> list[Array]:
    """The named arguments of these names, in order; TypeError where one is missing."""
    missing = [name for name in names if name not in named]
    if missing:
        raise TypeError(
            f"The program must get a number or an array for each input, got none for {missing[0]!r}. Add it."
        )
    return [float64(named[name], name) for name in names]


def columns_of(names: Sequence[str], columns: Sequence[ArrayLike], named: Mapping[str, ArrayLike]) -> tuple[Array, ...]:
    """One contiguous column of the same length for each name: the first ones by position, the others by name."""
    if len(columns) > len(names):
        raise TypeError(f"The columns must be {len(names)}, got {len(columns)}. Pass one for each of {tuple(names)}.")
    twice = [name for name in names[: len(columns)] if name in named]
    if twice:
        raise TypeError(f"A column must be given once, got {twice[0]!r} by position and by name. Drop one.")
    positional = [float64(column, name) for column, name in zip(columns, names, strict=False)]
    arrays = positional + chosen(names[len(columns) :], named)
    lengths = {name: len(array) for array, name in zip(arrays, names, strict=True) if _is_column(array, name)}
    first, rows = next(iter(lengths.items()), ("", 1))
    for name, others in lengths.items():
        if others != rows:
            raise ValueError(
                f"Columns must have the same length, got {rows} for {first!r} and {others} for {name!r}. Trim one."
            )
    return tuple([array if array.ndim else np.full(rows, array) for array in arrays])


def _is_column(array: Array, name: str) -> bool:
    if array.ndim > 1:
        raise ValueError(f"{name} must be one number a row, got shape {array.shape}. Pass its columns one by one.")
    return array.ndim == 1


def float64(x: ArrayLike, thing: str) -> Array:
    """x as a contiguous array, itself where it is one already."""
    try:
        array = np.asarray(x)
        return array.astype(np.float64, order="C", casting="same_kind", copy=False)
    except (TypeError, ValueError):
        raise TypeError(f"{thing} must hold real numbers, got {x!r}. Convert it to floats first.") from None


def clear(arrays: Sequence[Array]) -> None:
    """Fill the arrays with 0."""
    for array in arrays:
        array.fill(0.0)


def check_out(array: Any, shape: tuple[int, ...]) -> None:
    """Raise a ValueError where a kernel cannot write results of this shape to array."""
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == np.float64
    if not fits or not array.flags.c_contiguous or not array.flags.writeable:
        shown = f"{array.dtype}, shape {array.shape}" if isinstance(array, np.ndarray) else repr(array)
        raise ValueError(
            f"out must be a writable, contiguous float64 array of shape {shape}, got {shown}. Make it anew."
        )
