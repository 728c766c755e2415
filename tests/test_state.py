"""Saved, pickled and copied graphs: the same bits and the same shape; a bad file is refused and says why."""

import copy
import json
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, dot, ops, total
from micrograd_xor.gradient import gradient
from micrograd_xor.nn import MLP
from micrograd_xor.state import load, restore, save
from micrograd_xor.table import TABLE
from micrograd_xor.testing import graphs, operands
from micrograd_xor.value import topological_order

every_row = pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "graph.json"


@pytest.fixture(scope="module")
def same_path(tmp_path_factory):
    """One path for all examples of a property."""
    return tmp_path_factory.mktemp("state") / "graph.json"


def saved(values, path):
    save(values, path)
    return load(path)


def shape(roots):
    """All that a graph is, by position: bits, operations, operands, labels."""
    order = topological_order(*roots)
    place = {node: i for i, node in enumerate(order)}
    nodes = [
        (x.data.hex(), x._op, x.op, x.label, [place.get(a, repr(a)) for a in x.args], [d.hex() for d in x.partials])
        for x in order
    ]
    return nodes, [place[x] for x in roots]


def sample():
    """A graph with everything: shared nodes, a constant, a wide row, an operation of its own, labels, a loose leaf."""
    a, b, loose = Value(2.0, label="a"), Value(-0.1), Value(math.inf, label="h̄1")
    own = Value(4.0, (a, b), local_grads=(3.0, -0.0))
    c = dot([a, b, 1.5], [b, b, a]) + ops.tanh(a) ** 2 * own - total([a, a])
    c.label = "c"
    return [c, a, own, loose, c]


# --- files ------------------------------------------------------------------------------------


def test_a_graph_comes_back_as_it_was(path):
    roots = sample()
    assert shape(saved(roots, path)) == shape(roots)


@given(graph=graphs())
@settings(max_examples=25)
def test_random_graphs_come_back(graph, same_path):
    roots = [graph.output, *graph.inputs]
    assert shape(saved(roots, same_path)) == shape(roots)


@every_row
@given(data=st.data())
@settings(max_examples=4)
def test_every_row_comes_back(row, data, same_path):
    out = row(*map(Value, data.draw(operands(row))))
    assert shape(saved([out], same_path)) == shape([out])


@pytest.mark.parametrize("x", [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, math.inf, -math.inf, math.nan])
def test_floats_are_exact(x, path):
    [leaf, sum_] = saved([v := Value(x), v + x], path)
    assert leaf.data.hex() == x.hex()
    assert sum_.args[1].hex() == x.hex()


@given(label=st.text())
@settings(max_examples=25)
def test_any_label_comes_back(label, same_path):
    [x] = saved([Value(1.0, label=label)], same_path)
    assert x.label == label


def test_a_loaded_graph_is_recorded_again(path):
    x = Value(3.0)
    y = x * x
    x.data = 5.0
    [y, x] = saved([y, x], path)
    y.backward()
    assert (y.data, x.grad, gradient(y, [x])[0].data) == (25.0, 10.0, 10.0)


def test_a_model_is_restored(path):
    model, other = MLP(2, [3, 1], seed=1), MLP(2, [3, 1], seed=2)
    save(model.parameters(), path)
    restore(other.parameters(), path)
    assert [p.data for p in other.parameters()] == [p.data for p in model.parameters()]


@pytest.mark.parametrize(("sizes", "label"), [([4, 1], ""), ([3, 1], "w")])
def test_another_model_is_not_restored(sizes, label, path):
    save(MLP(2, [3, 1], seed=1).parameters(), path)
    parameters = MLP(2, sizes, seed=2).parameters()
    parameters[-1].label = label
    before = [p.data for p in parameters]
    with pytest.raises(ValueError, match=r"must hold the parameters' labels in order, got 13 values for 1[37] "):
        restore(parameters, path)
    assert [p.data for p in parameters] == before


def test_a_file_is_json_that_a_reader_understands(path):
    x = Value(0.1, label="x")
    save([x * 2], path)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "format": "micrograd_xor graph",
        "version": 1,
        "roots": [1],
        "nodes": [{"data": "0.1", "label": "x"}, {"op": "mul", "args": [0, "2.0"]}],
    }


def test_nothing_is_half_written(path):
    save([Value(1.0)], path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"values must hold Values, got 2\.0\."):
        save([Value(1.0), 2.0], path)
    with pytest.raises(OSError):  # a folder is in the way; each system words it in its own way
        save([Value(1.0)], path.parent)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert not list(path.parent.parent.glob("*.part"))


def test_an_operation_with_its_own_backward_is_refused(path):
    x = Value(1.0)
    y = Value(2.0, (x,), "mine")
    y._backward = lambda: None
    for store in (lambda v: save([v], path), pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="must be a row of the table or have local_grads, got 'mine' with its own"):
            store(y + 1)
    assert not path.exists()


def document(**changes):
    nodes = [{"data": "2.0"}, {"op": "mul", "args": [0, 0]}]
    return {"format": "micrograd_xor graph", "version": 1, "roots": [1], "nodes": nodes, **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be JSON"),
        (b"\x80\x04K\x01.", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"1" * 10_000, "must be JSON"),
        (b"[]", r"must be a micrograd_xor graph, got \[\]"),
        (json.dumps({"format": "other"}), "must be a micrograd_xor graph"),
        (document(version=2), "must have version 1, got 2"),
        (document(nodes=None), "must have a list of nodes, got None"),
        (document(roots="1"), "must have a list of roots, got '1'"),
        (document(roots=[2]), "2 is not the place of an earlier node"),
        (document(roots=[-1]), "-1 is not the place"),
        (document(roots=[True]), "True is not the place"),
        (document(roots=[[0]]), r"\[0\] is not the place"),
        (document(nodes=["os.system"]), "a node is an object"),
        (document(nodes=[{}]), "'op'"),
        (document(nodes=[{"data": 2.0}]), r"2\.0 is not a string"),
        (document(nodes=[{"data": "two"}]), "could not convert string to float"),
        (document(nodes=[{"data": "2.0", "label": 3}]), "label must be a str"),
        (document(nodes=[{"data": "2.0"}, {"op": "__import__", "args": [0]}]), "'__import__'"),
        (document(nodes=[{"data": "2.0"}, {"op": ["mul"], "args": [0, 0]}]), "unhashable"),
        (document(nodes=[{"data": "2.0"}, {"op": "mul", "args": [0]}]), "must take 2 operands, got 1"),
        (document(nodes=[{"data": "2.0"}, {"op": "mul", "args": 3}]), "not iterable"),
        (document(nodes=[{"data": "2.0"}, {"op": "mul", "args": [0, 1]}]), "1 is not the place of an earlier node"),
        (document(nodes=[{"data": "2.0"}, {"op": "mul", "args": [0, -1]}]), "-1 is not the place"),
        (document(nodes=[{"op": "mul", "args": ["2.0", "3.0"]}]), "has a node among its operands"),
        (document(nodes=[{"data": "0.0"}, {"op": "log", "args": [0]}]), "log's operand must be greater than 0"),
        (document(nodes=[{"data": "0.0"}, {"op": "div", "args": ["1.0", 0]}]), "must be other than 0"),
        (document(nodes=[{"data": "1e3"}, {"op": "exp", "args": [0]}]), "exp's operand must be at most 709"),
        (document(nodes=[{"data": "1"}, {"data": "1", "op": "f", "args": ["1"]}]), "children must be Values"),
        (document(nodes=[{"data": "1"}, {"data": "1", "op": 5, "args": [0]}]), "5 is not a string"),
        (document(nodes=[{"data": "1"}, {"data": "1", "args": [0], "local_grads": ["1", "2"]}]), "one a child"),
    ],
)
def test_a_bad_file_is_refused(content, message, path):
    text = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as refusal:
        load(path)
    assert str(refusal.value).startswith(repr(str(path)))
    assert str(refusal.value).endswith("Load a file that save() wrote.")
    assert len(str(refusal.value)) < 600


def test_every_truncation_is_refused(path):
    save(sample(), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must be JSON"):
            load(path)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["mul", "1.0", "data", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "op", "args", "label", "local_grads"]), inner)
    ),
    max_leaves=8,
)


@given(nodes=st.lists(junk, max_size=3), roots=junk)
@settings(max_examples=100)
def test_junk_is_loaded_or_refused(nodes, roots, same_path):
    same_path.write_text(json.dumps(document(nodes=[{"data": "2.0"}, *nodes], roots=roots)), encoding="utf-8")
    try:
        assert all(isinstance(x, Value) for x in load(same_path))
    except ValueError as refusal:
        assert str(same_path) in str(refusal)


# --- pickles and copies -----------------------------------------------------------------------

COPIERS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle 2": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "python pickle": lambda x: pickle._loads(pickle._dumps(x)),
    "deepcopy": copy.deepcopy,
}
every_copier = pytest.mark.parametrize("duplicate", COPIERS.values(), ids=COPIERS)


@every_copier
def test_a_copy_has_the_same_bits_and_its_own_nodes(duplicate):
    roots = sample()
    roots[0].backward()
    copies = duplicate(roots)
    assert shape(copies) == shape(roots)
    before, after = topological_order(*roots), topological_order(*copies)
    assert [x.grad for x in after] == [x.grad for x in before]
    assert not {*before} & {*after}


@every_copier
def test_a_copy_is_not_computed_again(duplicate):
    x = Value(3.0)
    y = x * x
    x.data = 5.0
    y = duplicate(y)
    assert (y.data, y.args[0].data, y.partials) == (9.0, 5.0, (3.0, 3.0))


@every_copier
def test_copies_share_what_the_originals_shared(duplicate):
    model = MLP(2, [2, 1], seed=1)
    out = model([0.5, 1.0])
    model, outs = duplicate((model, {"out": out, "square": out * out}))
    outs["square"].backward()
    assert outs["square"].args == (outs["out"],) * 2
    assert {*model.parameters()} < {*topological_order(outs["square"])}
    assert any(p.grad for p in model.parameters())


@every_copier
def test_attributes_come_along(duplicate):
    a, b = Value(1.0, label="a"), Value(2.0)
    b.colour, b.friend, b.itself = "red", a, b
    c = duplicate(a * b)
    a, b = c.args
    assert (a.label, b.colour, b.friend, b.itself) == ("a", "red", a, b)


@every_copier
def test_a_deep_graph_is_copied_without_recursion(duplicate):
    x = y = Value(1.0)
    for _ in range(20_000):
        y = y + x
    y = duplicate(y)
    y.backward()
    assert (y.data, topological_order(y)[0].grad) == (20_001.0, 20_001.0)


def test_a_deep_graph_is_saved_without_recursion(path):
    x = y = Value(1.0)
    for _ in range(20_000):
        y = y + x
    [y, x] = saved([y, x], path)
    y.backward()
    assert (y.data, x.grad) == (20_001.0, 20_001.0)


def test_a_shallow_copy_keeps_its_operands():
    x = Value(3.0)
    y = copy.copy(x * x)
    y.backward()
    assert x.grad == 6.0


def test_a_failed_pickle_leaves_nothing_behind():
    x = y = Value(1.0)
    for _ in range(20_000):
        y = y + x
    x.lock = lambda: None
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(y)
    x.lock = None
    assert pickle.loads(pickle.dumps(y.args[0])).data == 20_000.0  # as deep as ever


@every_copier
def test_a_named_operation_of_ones_own_keeps_its_name_and_attributes(duplicate):
    node = Value(4.0, (Value(2.0),), "square", "y", local_grads=[4.0])
    node.note = "kept"
    again = duplicate(node)
    assert (again._op, again.label, again.note, again.data, again.partials) == ("square", "y", "kept", 4.0, (4.0,))
    again.backward()
    assert again.args[0].grad == 4.0
