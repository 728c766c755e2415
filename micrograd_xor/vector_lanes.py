"""What a lane is: a row of the table (`Rows`) or a network (`Networks`), for the parts of a program (`Part`).

A part is one LLVM function. Parts leave each other numbers in a frame, an array of vectors; every number has a key.
"""

from collections.abc import Hashable

from micrograd_xor.vector_code import Code, Vector

Key = Hashable  # of a number in the frame; a float is its own
Index = str | int

WORDS = ("rows", "networks", "scale", "frame", "theta", "state", "losses", "stride", "steps", "first")  # then arrays


class Part(Code):
    """A function of the program, with access to the frame and to the words of the call.

    Its arguments are %k, the first network of the lanes, and %i, their first row or the training step.
    """

    def __init__(self, lanes: int, slots: dict[Key, int]) -> None:
        super().__init__(lanes)
        self._slots = slots
        self._known: dict[Key, Vector] = {}
        self._words: dict[int, str] = {}

    def get(self, key: Key) -> Vector:
        """The number of this key."""
        if key not in self._known:
            self._known[key] = self.constant(key) if isinstance(key, float) else self._loaded(key)
        return self._known[key]

    def _loaded(self, key: Key) -> Vector:
        return self.let(self.real, f"load {self.real}, ptr {self._slot(key)}")

    def set(self, key: Key, x: Vector, keep: bool = True) -> None:
        """Let x be the number of this key from here on; in later parts only if it is kept in the frame."""
        self._known[key] = x
        if keep:
            self.lines.append(f"store {x}, ptr {self._slot(key)}")

    def _slot(self, key: Key) -> str:
        slot = self._slots.setdefault(key, len(self._slots))
        return self.let("ptr", f"getelementptr {self.real}, ptr %frame, i64 {slot}").name

    def word(self, name: str) -> str:
        """An integer among the words of the call."""
        return self._word(WORDS.index(name), "i64")

    def scale(self) -> Vector:
        """What sums are multiplied by."""
        return self.spread(Vector(self, self._word(WORDS.index("scale"), "double"), "double"))

    def array(self, array: str | int) -> str:
        """An array by its word, or by its position among those that follow the words."""
        return self._word(len(WORDS) + array if isinstance(array, int) else WORDS.index(array), "ptr")

    def _word(self, i: int, type: str) -> str:
        if i not in self._words:
            place = self.let("ptr", f"getelementptr i64, ptr %call, i64 {i}").name
            self._words[i] = self.let(type, f"load {type}, ptr {place}, !invariant.load !0").name
        return self._words[i]


class Rows:
    """Each lane a row of the table, all of one network."""

    def __init__(self, lanes: int) -> None:
        self.networks, self.rows = 1, lanes

    def load(self, part: Part, array: str, width: Index, item: Index) -> Vector:
        """An item of an array that has `width` of them for each network."""
        return part.load(array, _item(part, width, item))

    def store(self, part: Part, array: str, width: Index, item: Index, x: Vector) -> None:
        """Set an item of an array that has `width` of them for each network."""
        part.store(array, _item(part, width, item), x)

    def load_row(self, part: Part, column: str) -> Vector:
        """The row's number in a column."""
        return part.load_lanes(column, "%i", part.word("rows"))

    def store_row(self, part: Part, array: str, width: Index, item: Index, x: Vector) -> None:
        """Set an item of an array that has `width` of them for each row of each network."""
        rows = part.word("rows")
        first = part.spread_index(part.scalar("mul", "%k", rows))
        row = part.binary("add", first, part.indices("%i", rows))
        part.scatter(array, _items(part, row, width, item), x)

    def added(self, part: Part, total: Vector, x: Vector) -> Vector:
        """total + x where a lane has a row of its own, total where it repeats another."""
        return part.select(part.below("%i", part.word("rows")), total + x, total)

    def total(self, part: Part, x: Vector) -> Vector:
        """The sum over the rows, in every lane."""
        distance = part.lanes // 2
        while distance:
            x = x + part.shuffle(x, [lane ^ distance for lane in range(part.lanes)])
            distance //= 2
        return x


class Networks:
    """Each lane a network, all on one row."""

    def __init__(self, lanes: int) -> None:
        self.networks, self.rows = lanes, 1

    def load(self, part: Part, array: str, width: Index, item: Index) -> Vector:
        """An item of an array that has `width` of them for each network."""
        return part.gather(array, self._items(part, width, item))

    def store(self, part: Part, array: str, width: Index, item: Index, x: Vector) -> None:
        """Set an item of an array that has `width` of them for each network."""
        part.scatter(array, self._items(part, width, item), x)

    def _items(self, part: Part, width: Index, item: Index) -> Vector:
        return _items(part, part.indices("%k", part.word("networks")), width, item)

    def load_row(self, part: Part, column: str) -> Vector:
        """The row's number in a column."""
        return part.load(column, "%i")

    def store_row(self, part: Part, array: str, width: Index, item: Index, x: Vector) -> None:
        """Set an item of an array that has `width` of them for each row of each network."""
        row = self._items(part, part.word("rows"), "%i")
        part.scatter(array, _items(part, row, width, item), x)

    def added(self, _: Part, total: Vector, x: Vector) -> Vector:
        """total + x: no lane repeats a row."""
        return total + x

    def total(self, _: Part, x: Vector) -> Vector:
        """x itself: it is the sum already."""
        return x


def _item(part: Part, width: Index, item: Index) -> str:
    return part.scalar("add", part.scalar("mul", "%k", width), item)


def _items(part: Part, index: Vector, width: Index, item: Index) -> Vector:
    first = part.binary("mul", index, part.spread_index(str(width)))
    return part.binary("add", first, part.spread_index(str(item)))


Lanes = Rows | Networks
