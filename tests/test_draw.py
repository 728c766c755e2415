"""What is in the picture: read back from the SVG that the renderer made, by an XML parser."""

import errno
import itertools
import math
import os
import re
import stat
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import PackageNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_xor import ops
from micrograd_xor.draw import draw, pretty
from micrograd_xor.drawing import PALETTE, Drawing
from micrograd_xor.table import TABLE
from micrograd_xor.value import Value

drawing = sys.modules["micrograd_xor.drawing"]

TITLE = "{http://www.w3.org/1999/xlink}title"
OPERANDS = (0.25, 0.75, 0.5, 0.125)


def groups(svg, kind):
    """The parts of a picture that are a node, an edge or a cluster."""
    return [g for g in ET.fromstring(svg).iter() if kind in g.get("class", "").split()]


def texts(part):
    part = ET.fromstring(part) if isinstance(part, str) else part
    return [t.text for t in part.iter() if t.tag.endswith("}text")]


def tooltips(part):
    part = ET.fromstring(part) if isinstance(part, str) else part
    return [a.get(TITLE) for a in part.iter() if a.get(TITLE)]


def edges(dot):
    return re.findall(r'^\s*"?([\w.]+)"? -> (\w+)', dot, re.MULTILINE)


def recorded(row):
    return row(*[Value(x, label=f"x{i}") for i, x in enumerate(OPERANDS[: row.arity])])


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_every_row_draws_its_symbol_and_an_edge_for_each_operand(row):
    drawn = draw(recorded(row))
    typeset = {"*": "×", "-": "−", "/": "÷", "neg": "−", "**": "^"}
    assert typeset.get(row.symbol, row.symbol) in texts(drawn.svg)
    assert len(groups(drawn.svg, "edge")) == (row.arity or len(OPERANDS)) + 1
    assert any(t.startswith(row.name) for t in tooltips(drawn.svg))


def test_a_value_used_twice_has_two_edges():
    a = Value(1.5, label="a")
    assert edges(draw(a + a).dot).count(("v0", "o1")) == 2
    assert len(groups(draw(a + a).svg, "node")) == 3


def test_adjoints_are_shown_after_a_sweep_and_no_zeros_before():
    x, y = Value(3.0, label="x"), Value(-0.5, label="y")
    product = x * y
    before = draw(product)
    assert not [t for t in texts(before.svg) if "∂" in t]
    assert not [t for t in tooltips(before.svg) if "adjoint" in t]
    product.backward()
    after = draw(product)
    assert sorted(t for t in texts(after.svg) if "∂" in t) == ["∂ 1", "∂ 3", "∂ −0.5"]
    assert "y\ndata -0.5\nadjoint 3.0" in tooltips(after.svg)


def test_local_partials_are_on_the_edges_on_request_and_always_in_the_tooltips():
    x = Value(2.0, label="x")
    y = x**3
    assert "12" not in texts(draw(y).svg)
    [edge] = [g for g in groups(draw(y, partials=True).svg, "edge") if texts(g)]
    assert texts(edge) == ["12"]
    assert "local partial 12.0" in tooltips(draw(y).svg)


def test_constants_are_folded_shared_or_hidden():
    x = Value(0.5, label="x")
    y = (1 - x) * (2 - x) + (x - 1)
    fold, share, hide = (draw(y, constants=c) for c in ("fold", "share", "hide"))
    assert {"1 −", "2 −", "− 1"} <= set(texts(fold.svg))
    assert texts(share.svg).count("1") == texts(share.svg).count("2") == 1
    assert sum(source == "c1.0" for source, _ in edges(share.dot)) == 2
    for constant in (g for g in groups(share.svg, "node") if texts(g) in (["1"], ["2"])):
        assert not [e for e in constant.iter() if e.get("stroke")]  # a bare number, not a box
    assert not {"1", "2", "1 −"} & set(texts(hide.svg))
    assert texts(hide.svg).count("−") == 3


def test_constants_of_a_row_with_three_operands_keep_their_places():
    assert "where(_, 1, _)" in texts(draw(ops.where(Value(1.0), 1.0, Value(2.0))).svg)


def test_without_intermediates_only_leaves_labels_and_roots_have_boxes():
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    h = a * b + 1
    h.label = "h"
    drawn = draw(h * a, intermediates=False, partials=True)
    assert drawn.dot.count("shape=box") == 4
    assert ("o2", "o3") in edges(drawn.dot)
    assert "mul\ndata 6.0" in tooltips(drawn.svg)


def test_clusters_frame_their_nodes_and_the_unlabelled_that_serve_them_alone():
    w, x, b = (Value(v, label=label) for v, label in ((0.5, "w"), (2.0, "x"), (1.0, "b")))
    h = w * x + b
    h.label = "h1_bar"
    drawn = draw(h.sigmoid(), clusters={"hidden layer": [w, b, h]})
    assert texts(groups(drawn.svg, "cluster")[0]) == ["hidden layer"]
    inside = re.search(r"subgraph cluster_0 \{(.*?)\}", drawn.dot, re.DOTALL)[1]
    assert set(re.findall(r"\b([vo]\d)$", inside, re.MULTILINE)) == {"v0", "v2", "o2", "v3", "v4", "o4"}


def test_a_labelled_node_joins_no_cluster_by_itself():
    x = Value(2.0)
    inner = x * x
    inner.label = "inner"
    outer = inner + 1
    drawn = draw(outer, clusters={"outer": [outer]})
    assert "o1" not in re.search(r"subgraph cluster_0 \{.*?\}", drawn.dot, re.DOTALL)[0]


def test_a_node_that_serves_two_clusters_joins_neither():
    x = Value(2.0, label="x")
    shared = x * x
    left, right = shared + 1, shared + 2
    drawn = draw(left, right, clusters={"left": [left], "right": [right]})
    assert "o1" not in "".join(re.findall(r"subgraph cluster_\d \{.*?\}", drawn.dot, re.DOTALL))


HOSTILE = [
    'quote " and \\" done',
    "<b>bold</b>",
    "<<TABLE>>",
    "a & b &amp; &#60; c",
    "back\\slash\\",
    "\\N \\G \\l",
    "]]> --> </svg>",
    "snake_case_name",
    "日本語 𝔘 é",
    "__",
    "{a|b}",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_shown_as_it_is(label):
    x = Value(1.0, label=label)
    drawn = draw(Value(2.0, (x,), label), clusters={label: [x]})
    assert label in texts(drawn.svg)  # as the operation's symbol
    assert f"{label}\ndata 1.0" in tooltips(drawn.svg)
    for part in (groups(drawn.svg, "cluster")[0], groups(drawn.svg, "node")[0]):
        assert "".join(texts(part)).removesuffix("1") == label


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("line\nbreak\ttab", "line break tab"),
        ("\x00\x1b[31m\ud800\u202e", "��[31m��"),
        ("x" * 10_000, "x" * 31 + "…"),
        (" " * 10_000 + "x", None),
        ("", None),
    ],
)
def test_a_label_is_one_short_line_of_what_can_be_seen(label, shown):
    assert texts(draw(Value(7.0, label=label)).svg) == [*([shown] if shown else []), "7"]


@given(st.lists(st.text(), min_size=2, max_size=6), st.text())
@settings(max_examples=40)
def test_any_labels_at_all_give_a_picture(labels, title):
    values = [Value(0.5, label=label) for label in labels]
    custom = Value(1.0, values, labels[0] or "?", labels[1])
    drawn = draw(custom, clusters={title: values})
    assert len(groups(drawn.svg, "node")) == len(values) + 2


def test_duplicate_labels_stay_two_nodes():
    assert len(groups(draw(Value(1.0, label="x") + Value(2.0, label="x")).svg, "node")) == 4


def test_nodes_of_ones_own_draw():
    a, b = Value(2.0, label="a"), Value(5.0, label="b")
    told = Value(10.0, children=(a, b), local_grads=(5.0, 2.0))
    untold = Value(10.0, (a, b), "gcd")
    untold._backward = lambda: None
    assert {"ƒ", "5", "2"} <= set(texts(draw(told, partials=True).svg))
    drawn = draw(untold, partials=True)
    assert "gcd" in texts(drawn.svg)
    assert not any(texts(edge) for edge in groups(drawn.svg, "edge"))  # zeros that nobody computed


def test_operands_that_do_not_commute_stand_in_order():
    a, b = Value(3.0, label="a"), Value(2.0, label="b")
    orders = ((a - b, "a", "b"), (b - a, "b", "a"), ((a * b) + (b / a), "b", "a"), (a.exp() + b**a, "b", "a"))
    for drawn, above, below in ((draw(root), above, below) for root, above, below in orders):
        height = {t.text: float(t.get("y")) for t in ET.fromstring(drawn.svg).iter() if t.tag.endswith("}text")}
        assert height[above] < height[below]


def test_a_value_used_far_away_is_mentioned_again():
    x = Value(0.5, label="x")
    y = x
    for _ in range(100):
        y = ops.sin(y) + x
    drawn = draw(y)
    assert len([g for g in groups(drawn.svg, "node") if texts(g) == ["x"]]) > 10
    assert edges(drawn.dot).count(("v0", "o2")) == 1
    assert len(groups(drawn.svg, "edge")) == 200 + 200 + 100  # each operand's edge is there


def test_several_roots_draw_as_one_graph():
    x = Value(2.0, label="x")
    drawn = draw(x * x, x + 1, x)
    assert len(groups(drawn.svg, "node")) == 5


def test_special_numbers_draw():
    x = Value(math.nan, label="x") + math.inf
    for constants in ("fold", "share"):
        assert "nan" in texts(draw(x, constants=constants).svg)
    assert texts(draw(Value(-0.0)).svg) == ["0"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: draw(), ValueError, "at least one Value"),
        (lambda: draw(3.0), TypeError, "must be a Value, got 3.0"),
        (lambda: draw([Value(1.0)]), TypeError, "must be a Value"),
        (lambda: draw(Value(1.0), constants="drop"), ValueError, "got 'drop'"),
        (lambda: draw(Value(1.0) + 1, limit=1), ValueError, "at most 1 nodes, got 2. Draw a part"),
        (lambda: draw(Value(1.0), clusters={"a": [Value(2.0)]}), ValueError, "must be in the drawn graph"),
        (lambda: draw(Value(1.0), clusters={"a": [2.0]}), TypeError, "must be a Value, got 2.0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_node_in_two_clusters_is_refused():
    x = Value(1.0, label="x")
    with pytest.raises(ValueError, match="in one cluster, got 'a' and 'b'"):
        draw(x, clusters={"a": [x], "b": [x]})


def test_drawing_changes_nothing_in_the_graph():
    x = Value(3.0, label="x")
    y = x * x
    y.backward()
    draw(y, partials=True)
    assert (x.grad, y.grad, x.label, y.label) == (6.0, 1.0, "x", "")


@pytest.mark.parametrize(("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG\r\n"), (".dot", b"digraph {")])
def test_save_writes_each_format_and_overwrites(tmp_path, suffix, magic):
    path = tmp_path / f"graph{suffix.upper()}"
    path.write_text("old")
    draw(Value(1.0, label="é").exp()).save(path)
    assert path.read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [path.name]


def test_a_saved_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "other").touch()
    draw(Value(1.0)).save(tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["graph", "graph.pdf", ".svg", "svg", ""])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.svg, \.png or \.dot, got"):
        draw(Value(1.0)).save(tmp_path / name if name else "")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder.svg").mkdir()
    for path in ("missing/x.svg", "file/x.svg", "folder.svg"):
        with pytest.raises(OSError, match=f"must be writable, got '.*{path}'"):
            draw(Value(1.0)).save(tmp_path / path)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.svg"]


def test_a_disk_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "graph.dot"
    path.write_text("old")

    def full(self, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(drawing.Path, "replace", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        draw(Value(1.0)).save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["graph.dot"]


@pytest.mark.parametrize("source", ["digraph {", "digraph { a [label=<<B>>] }"])
def test_a_failing_renderer_is_an_error_and_leaves_the_old_file(tmp_path, source):
    path = tmp_path / "graph.svg"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="must be sound DOT"):
        Drawing(source).save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["graph.svg"]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine on which no renderer is installed: only tmp_path is searched."""

    def no_files(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(drawing.sysconfig, "get_path", lambda _: str(tmp_path / "scripts"))
    monkeypatch.setattr(drawing, "files", no_files)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    drawing._renderer.cache_clear()
    yield tmp_path
    drawing._renderer.cache_clear()


def install(folder, name, answer):
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f"#!{sys.executable}\nimport sys; sys.stdin.read(); print({answer!r})\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name == "nt", reason="writes scripts with a #! line")
def test_the_renderer_is_sought_beside_python_then_on_the_path(bare):
    found = []
    with pytest.raises(FileNotFoundError, match="pip install graphviz-pure"):
        Drawing("digraph {}").svg
    for folder, name in (("bin", "dot"), ("bin", "graphviz-pure"), ("scripts", "graphviz-pure")):
        install(bare / folder, name, f"<svg> {folder} {name}")
        drawing._renderer.cache_clear()
        found.append(re.search(r"</style> (.*)", Drawing("digraph {}").svg)[1])
    assert found == ["bin dot", "bin graphviz-pure", "scripts graphviz-pure"]


@pytest.mark.skipif(os.name == "nt", reason="writes scripts with a #! line")
def test_the_renderer_is_found_where_its_package_says(bare, monkeypatch):
    class Installed:
        stem = "graphviz-pure"

        def locate(self):
            return bare / "elsewhere" / self.stem

    install(bare / "elsewhere", "graphviz-pure", "<svg> elsewhere")
    monkeypatch.setattr(drawing, "files", lambda _: [Installed()])
    assert "elsewhere" in Drawing("digraph {}").svg


def test_another_users_choice_of_dot_is_left_alone():
    from graphviz.backend import dot_command

    before = dot_command.DOT_BINARY
    draw(Value(1.0)).svg
    assert before == dot_command.DOT_BINARY


def test_a_notebook_shows_the_svg():
    drawn = draw(Value(1.0))
    assert drawn._repr_svg_() == drawn.svg
    assert "<title>" not in drawn.svg  # DOT's names of nodes are no tooltips


# --- light and dark -----------------------------------------------------------------------------

TEXT, FILL = ("ink", "adjoint", "partial"), ("paper", "layer", "leaf", "value", "operation")


def luminance(colour):
    """The relative luminance of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_on_every_fill(scheme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for text, fill in itertools.product(TEXT, FILL):
        assert contrast(PALETTE[text][scheme], PALETTE[fill][scheme]) >= 4.5, (text, fill)
    for fill in FILL:
        assert contrast(PALETTE["line"][scheme], PALETTE[fill][scheme]) >= 3, fill  # WCAG's bound for graphics


def test_every_colour_of_the_picture_has_a_dark_counterpart():
    x = Value(0.5, label="b_z")
    y = ops.where(x, 2 * x, 1.0) + x
    y.backward()
    for constants in ("fold", "share"):
        svg = draw(y, partials=True, constants=constants, clusters={"layer": [x]}).svg
        used = {e.get(a) for e in ET.fromstring(svg).iter() for a in ("fill", "stroke")} - {None, "none", "transparent"}
        assert {"#000000", "black", "lightgrey"}.isdisjoint(used)
        assert used <= {light for light, _ in PALETTE.values()}
    for light, dark in PALETTE.values():
        assert f'.micrograd [fill="{light}"]{{fill:{dark}}}' in svg
        assert f'.micrograd [stroke="{light}"]{{stroke:{dark}}}' in svg
    assert len({light for light, _ in PALETTE.values()}) == len(PALETTE)  # or two parts would turn into one colour
    assert groups(svg, "micrograd")


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("h1_bar", "h̄₁"),
        ("z_bar", "z̄"),
        ("w11", "w₁₁"),
        ("u2", "u₂"),
        ("b_z", "b_z"),
        ("E", "E"),
        ("", ""),
        ("W_h1", "W_h1"),
    ],
)
def test_names_are_set_as_on_paper(name, paper):
    assert pretty(name) == paper
    assert "".join(texts(draw(Value(3.0, label=name)).svg)) == paper.replace("_", "") + "3"
