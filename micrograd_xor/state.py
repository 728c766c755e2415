"""Graphs on disk and in copies: JSON files that run no code when loaded, and what pickle and deepcopy need.

A file holds the leaves' numbers and the operations. Loading records the operations again, so a file cannot
claim a number that its operations do not give. Numbers are strings, Python's shortest exact `repr`: JSON has
no inf and no nan, and a whole number there is the place of a node in the list.

Nothing recurses: a chain of a million nodes is saved, loaded, pickled and copied as a short one is.
"""

import json
import os
import reprlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from micrograd_xor.table import TABLE
from micrograd_xor.value import Value, restored, topological_order

FORMAT = "micrograd_xor graph"
VERSION = 1

Entry = dict[str, Any]


def save(values: Iterable[Value], path: str | os.PathLike[str]) -> None:
    """Write values and all that they were computed from as JSON: data, operations and labels, without `grad`.

    The file appears whole or not at all. TypeError where values holds something else than Values, or where
    a node has a `_backward` of its own.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/weights.json"
    >>> save([Value(0.1, label="w")], path)
    >>> Path(path).read_text(encoding="utf-8")
    '{"format": "micrograd_xor graph", "version": 1, "roots": [0], "nodes": [{"data": "0.1", "label": "w"}]}'
    """
    roots = list(values)
    for x in roots:
        if not isinstance(x, Value):
            raise TypeError(f"values must hold Values, got {x!r}. Save the parameters or the roots of a graph.")
    place = {node: i for i, node in enumerate(topological_order(*roots))}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "roots": [place[x] for x in roots],
        "nodes": [_entry(node, place) for node in place],
    }
    write(json.dumps(document, ensure_ascii=False), path)


def load(path: str | os.PathLike[str]) -> list[Value]:
    """The values that `save` was given, recorded again on new leaves.

    ValueError where the file is not one that `save` wrote; it tells what is wrong and where.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/graph.json"
    >>> x = Value(3.0, label="x")
    >>> save([x * x, x], path)
    >>> y, x = load(path)
    >>> y.backward()
    >>> y.data, x.grad
    (9.0, 6.0)
    """
    document = _document(path)
    graph: list[Value] = []
    for entry in document["nodes"]:
        try:
            graph.append(_node(entry, graph))
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise _foreign(path, f"hold recorded operations, got {reprlib.repr(entry)} ({error})") from None
    try:
        return [graph[_place(i, graph)] for i in document["roots"]]
    except ValueError as error:
        raise _foreign(path, f"list its roots, got {reprlib.repr(document['roots'])} ({error})") from None


def restore(parameters: Iterable[Value], path: str | os.PathLike[str]) -> None:
    """Set each parameter's `data` to that of the value in the same place of a file: `save`'s inverse for a model.

    ValueError where the numbers of values or the labels differ; then no parameter has changed.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/weights.json"
    >>> w = Value(0.1)
    >>> save([w], path)
    >>> w.data = 7.0
    >>> restore([w], path)
    >>> w.data
    0.1
    """
    parameters, saved = list(parameters), load(path)
    if [p.label for p in parameters] != [s.label for s in saved]:
        raise ValueError(
            f"{path} must hold the parameters' labels in order, got {len(saved)} values for {len(parameters)} "
            "parameters. Restore into the model that was saved."
        )
    for p, s in zip(parameters, saved, strict=True):
        p.data = s.data


def write(content: str | bytes, path: str | os.PathLike[str]) -> None:
    """Write a file, text as UTF-8, whole or not at all: under another name first, then renamed."""
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


# --- one node, to the file and back -----------------------------------------------------------


def _entry(node: Value, place: dict[Value, int]) -> Entry:
    label = {"label": node.label} if node.label else {}
    if not node.args:
        return {"data": repr(node.data), **label}
    args = [place[x] if isinstance(x, Value) else repr(x) for x in node.args]
    if node.op:
        return {"op": node.op.name, "args": args, **label}
    if getattr(node._backward, "__self__", None) is not node:
        raise _unsayable(node)
    local_grads = [repr(d) for d in node.partials]
    return {"op": node._op, "args": args, "data": repr(node.data), "local_grads": local_grads, **label}


def _node(entry: Any, graph: list[Value]) -> Value:
    if not isinstance(entry, dict):
        raise ValueError("a node is an object")
    args: list[Any] = [graph[_place(x, graph)] if isinstance(x, int) else _number(x) for x in entry.get("args", ())]
    if "data" not in entry:
        node = TABLE[entry["op"]](*args)
    else:
        local_grads = [_number(d) for d in entry.get("local_grads", ())]
        node = Value(_number(entry["data"]), args, _text(entry.get("op", "")), local_grads=local_grads)
    if not isinstance(node, Value):
        raise ValueError("an operation has a node among its operands")
    if "label" in entry:
        node.label = entry["label"]
    return node


def _place(i: Any, graph: list[Value]) -> int:
    if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < len(graph):
        raise ValueError(f"{reprlib.repr(i)} is not the place of an earlier node")
    return i


def _number(text: Any) -> float:
    return float(_text(text))


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{reprlib.repr(text)} is not a string")
    return text


def _document(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _foreign(path, f"be JSON, got {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _foreign(path, f"be a {FORMAT}, got {reprlib.repr(document)}")
    if document.get("version") != VERSION:
        raise _foreign(path, f"have version {VERSION}, got {reprlib.repr(document.get('version'))}")
    for name in ("nodes", "roots"):
        if not isinstance(document.get(name), list):
            raise _foreign(path, f"have a list of {name}, got {reprlib.repr(document.get(name))}")
    return document


def _foreign(path: str | os.PathLike[str], rule: str) -> ValueError:
    return ValueError(f"{os.fspath(path)!r} must {rule}. Load a file that save() wrote.")


# --- pickle and copy --------------------------------------------------------------------------

_copying = threading.local()


def reduce(node: Value, attributes: dict[str, Any]) -> tuple[Any, ...]:
    """What `Value.__reduce__` returns: the node by its operands, and the user's attributes.

    A copier follows operands by recursion. So the first node it meets brings all nodes below, operands first:
    the copier has then met the operands of each before the node itself, and the depth stays constant.
    """
    if "_backward" in attributes:
        raise _unsayable(node)
    below = None if node in _met() else _Below(topological_order(node)[:-1])
    args = (below, node.op or node._op, node.data, node.grad, *node.args, *node.partials)  # flat: pickles keep tuples
    return _restore, args, (None, attributes) if attributes else None


class _Below(list[Value]):
    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, self._one_by_one()

    def _one_by_one(self) -> Iterator[Value]:
        outer = _met()
        _copying.nodes = outer.union(self)
        try:
            yield from self
        finally:
            _copying.nodes = outer


def _met() -> frozenset[Value]:
    return getattr(_copying, "nodes", frozenset())


def _restore(_: list[Value] | None, row: Any, data: float, grad: float, *args_and_partials: Any) -> Value:
    half = len(args_and_partials) // 2
    return restored(row, data, grad, args_and_partials[:half], args_and_partials[half:])


def _unsayable(node: Value) -> TypeError:
    return TypeError(
        f"A saved or copied operation must be a row of the table or have local_grads, got {node._op!r} with its own "
        "_backward. Give its local_grads, or add a row with Op."
    )
