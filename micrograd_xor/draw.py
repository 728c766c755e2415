"""Pictures of recorded graphs: which boxes, circles and edges a graph has, as DOT.

A value is a box with its label, its data and, once a sweep has run, its adjoint; an operation is a round
node with its row's symbol. Each operand is an edge, so `a + a` has two.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Literal, get_args

from micrograd_xor import notation
from micrograd_xor.drawing import INK, Drawing
from micrograd_xor.value import Value, topological_order

__all__ = ["Constants", "Drawing", "draw", "pretty"]

Constants = Literal["fold", "share", "hide"]

_FONT = {"fontname": "Helvetica", "fontsize": "11", "fontcolor": INK["ink"], "color": INK["line"]}
_GRAPH = _FONT | {
    "class": "micrograd",
    "bgcolor": INK["paper"],
    "rankdir": "LR",
    "pad": "0.2",
    "nodesep": "0.12",
    "ranksep": "0.28",
}
_NODE = _FONT | {"style": "rounded,filled", "margin": "0.06,0.05", "width": "0.3", "height": "0.3"}
_EDGE = _FONT | {"fontsize": "9", "fontcolor": INK["partial"], "arrowsize": "0.55"}
_FRAME = {"style": "rounded,filled", "color": INK["border"], "fillcolor": INK["layer"]}

_SYMBOLS = {"*": "×", "-": "−", "/": "÷", "neg": "−", "**": "^"}
_COMMUTATIVE = {"+", "*", "max", "min", "Σ"}  # the others show their operands in order, the first on top
_STRETCH = 8  # operations in a row after which an operand is mentioned again, for far edges cost time and tell little
_LETTER = re.compile(r"^([^\W_]\u0304?)_([\w,]+)$")
_LONGEST = 32  # characters of a label; its tooltip has more


def draw(
    *roots: Value,
    partials: bool = False,
    constants: Constants = "fold",
    intermediates: bool = True,
    clusters: Mapping[str, Iterable[Value]] | None = None,
    limit: int = 5000,
) -> Drawing:
    """Draw the graph that the roots were computed from, left to right.

    `partials` writes the local partial on each edge. `constants` says what becomes of numbers such as the 2 in
    `x * 2`: "fold" writes them into the operation, "share" gives each number one node, "hide" leaves them out.
    Without `intermediates`, a computed value that has no label gets no box: its operation leads on to the next.
    `clusters` frames groups of nodes, as the layers of a network, under a title each; unlabelled nodes that serve
    one group alone join it. Adjoints are shown once some `grad` in the graph is not zero.

    TypeError where a root or a member is no Value; ValueError for more than `limit` nodes, for an unknown `constants`,
    and for a cluster's node that is in no graph or in two clusters.

    >>> x = Value(3.0, label="x")
    >>> draw(x * x).dot.count("v0 -> o1")
    2
    """
    if constants not in get_args(Constants):
        raise ValueError(f"constants must be one of {get_args(Constants)}, got {constants!r}. Choose one of them.")
    order = _order(roots, limit)
    sheet = _Sheet(order, roots, partials, constants, intermediates)
    for node in order:
        sheet.draw(node)
    for title, members in _members(order, clusters or {}).items():
        sheet.frame(title, members)
    return Drawing(sheet.graph.source)


def pretty(name: str) -> str:
    """A letter's name as on paper, in Unicode: with its bar and subscript. A word stays as it is.

    >>> pretty("h1_bar"), pretty("w11"), pretty("b_z"), pretty("learning_rate")
    ('h̄₁', 'w₁₁', 'b_z', 'learning_rate')
    """
    return notation.TEXT.symbol(name) if len(notation.parse_name(name).base) == 1 else name


def _order(roots: tuple[Value, ...], limit: int) -> list[Value]:
    for root in roots:
        _check_value(root, "draw's root")
    if not roots:
        raise ValueError("draw must be given at least one Value, got none. Pass the result of a computation.")
    order = topological_order(*roots)
    if len(order) > limit:
        raise ValueError(
            f"A drawing must have at most {limit} nodes, got {len(order)}. "
            "Draw a part of the graph (any node can be the root), or raise limit."
        )
    return order


def _check_value(x: object, thing: str) -> None:
    if not isinstance(x, Value):
        raise TypeError(f"{thing} must be a Value, got {x!r}. Record the computation with Values.")


def _members(order: list[Value], clusters: Mapping[str, Iterable[Value]]) -> dict[str, list[Value]]:
    """The nodes of each cluster: those it names, and the unlabelled ones that serve it alone."""
    home = _homes(clusters)
    for node in home.keys() - set(order):
        raise ValueError(f"A cluster's node must be in the drawn graph, got {node!r}. Leave it out.")
    served: dict[Value, set[str | None]] = {node: set() for node in order}
    for node in reversed(order):
        if node.args and not node.label and len(served[node]) == 1:
            home.setdefault(node, *served[node])
        for x in node._children:
            served[x].add(home.get(node))
    return {title: [node for node in order if home.get(node) == title] for title in clusters}


def _homes(clusters: Mapping[str, Iterable[Value]]) -> dict[Value, str | None]:
    home: dict[Value, str | None] = {}
    for title, members in clusters.items():
        for node in members:
            _check_value(node, "A cluster's node")
            if home.setdefault(node, title) != title:
                raise ValueError(
                    f"A node must be in one cluster, got {home[node]!r} and {title!r} for {node!r}. Drop one."
                )
    return home


class _Sheet:
    """The DOT graph while it is drawn: node i of the order is the box v{i}, and its operation the circle o{i}."""

    def __init__(
        self, order: list[Value], roots: tuple[Value, ...], partials: bool, constants: Constants, intermediates: bool
    ) -> None:
        from graphviz import Digraph  # takes 80 ms, so only those who draw wait for it

        self.graph = Digraph(graph_attr=_GRAPH | _bounds(len(order)), node_attr=_NODE, edge_attr=_EDGE)
        self.index = {node: i for i, node in enumerate(order)}
        self.boxed = {node for node in order if intermediates or node.label or not node.args or node in roots}
        self.roots, self.partials, self.constants = set(roots), partials, constants
        self.swept = any(node.grad for node in order)
        self.stretch = _stretches(order)
        self.frames = 0

    def draw(self, node: Value) -> None:
        if node in self.boxed:
            self.draw_value(node)
        if node.args:
            self.draw_operation(node)
            self.draw_operands(node)

    def draw_value(self, node: Value) -> None:
        name = _markup(node.label)
        rows = [f"<B>{name}</B>"] * bool(name) + [_number(node.data)]
        if self.swept:
            rows.append(f'<FONT COLOR="{INK["adjoint"]}">∂ {_number(node.grad)}</FONT>')
        self.graph.node(
            f"v{self.index[node]}",
            _table(rows),
            shape="box",
            fillcolor=INK["value" if node.args else "leaf"],
            penwidth="2" if node in self.roots else None,
            tooltip=self.facts(node),
        )

    def facts(self, node: Value, *more: str) -> str:
        adjoint = f"adjoint {node.grad!r}" if self.swept else ""
        return _tooltip(*more, node.label, f"data {node.data!r}", adjoint)

    def draw_operation(self, node: Value) -> None:
        symbol = _symbol(node, self.constants == "fold")
        operation = f"o{self.index[node]}"
        self.graph.node(
            operation,
            f"<{_escaped(symbol)}>",
            shape="circle" if len(symbol) < 3 else "ellipse",
            fillcolor=INK["operation"],
            ordering="in" if node._op not in _COMMUTATIVE else None,
            tooltip=self.facts(node, node.op.name if node.op else node._op),
        )
        if node in self.boxed:
            self.graph.edge(operation, self.exit(node), arrowhead="none", weight="8")

    def exit(self, node: Value) -> str:
        """What the edges to the users of a node start from."""
        return f"v{self.index[node]}" if node in self.boxed else f"o{self.index[node]}"

    def source(self, x: Value, node: Value) -> str:
        """What the edge from x to the operation of a node starts from: x, or its mention where x is far to the left."""
        stretch = self.stretch[node]
        if stretch < self.stretch[x] + 2:
            return self.exit(x)
        mention = f"m{self.index[x]}_{stretch}"
        text = f"<{_markup(x.label) or _number(x.data)}>"
        fill = INK["value" if x.args else "leaf"]
        self.graph.node(
            mention, text, shape="box", style="rounded,filled,dashed", fillcolor=fill, tooltip=self.facts(x)
        )
        return mention

    def draw_operands(self, node: Value) -> None:
        operation = f"o{self.index[node]}"
        for x, partial in zip(node.args, node.partials, strict=True):
            if isinstance(x, Value):
                self.graph.edge(self.source(x, node), operation, **self.told(node, partial))
            elif self.constants == "share":
                self.graph.node(f"c{x!r}", _number(x), shape="plaintext", style="")
                self.graph.edge(f"c{x!r}", operation)

    def told(self, node: Value, partial: float) -> dict[str, str]:
        """The attributes of an edge that tell its local partial."""
        if not node.op and not any(node.partials):  # a `_backward` of the user's own keeps its partials to itself
            return {}
        label = {"label": _number(partial)} if self.partials else {}
        return label | {"tooltip": f"local partial {partial!r}"}

    def frame(self, title: str, members: list[Value]) -> None:
        with self.graph.subgraph(name=f"cluster_{self.frames}") as frame:
            frame.attr(label=f"<{_markup(title) or ' '}>", **_FRAME)
            for node in members:
                frame.node(self.exit(node))
                if node.args:
                    frame.node(f"o{self.index[node]}")
        self.frames += 1


def _bounds(size: int) -> dict[str, str]:
    """How hard the layout is tried: without a bound that of 1,000 nodes takes minutes, and at times does not end."""
    effort = (300 / size) ** 3
    return {
        "nslimit": str(min(4.0, effort)),
        "mclimit": str(min(1.0, effort)),
        "splines": "line" if size > 500 else "true",
    }


def _stretches(order: list[Value]) -> dict[Value, int]:
    """The stretch of the picture in which each node stands: just left of its first user; the roots' is 0."""
    place = dict.fromkeys(order, 0)
    for node in reversed(order):
        place |= {x: min(place[x], place[node] - 1) for x in node._children}
    return {node: i // _STRETCH for node, i in place.items()}


def _symbol(node: Value, fold: bool) -> str:
    """The row's symbol, with its constants where they are folded in: "1 −", "× 2", "where(_, 1, _)"."""
    symbol = _SYMBOLS.get(node._op) or _printable(node._op) or "ƒ"
    operands = ["" if isinstance(x, Value) else _number(x) for x in node.args]
    if not fold or not any(operands):
        return symbol
    if len(operands) == 2:
        return f"{operands[0]} {symbol} {operands[1]}".strip()
    return _printable(f"{symbol}({', '.join(x or '_' for x in operands)})")


def _table(rows: list[str]) -> str:
    cells = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>>'


def _number(x: float) -> str:
    return f"{x + 0.0:.4g}".replace("-", "−")  # and no −0


def _markup(name: str) -> str:
    """A name in Graphviz's markup: pretty, and with a real subscript where Unicode has none to offer."""
    text = _escaped(pretty(_printable(name)))
    return _LETTER.sub(r'\1<SUB><FONT POINT-SIZE="8">\2</FONT></SUB>', text)


def _tooltip(*lines: str) -> str:
    return "\n".join(_escaped(_printable(line, 200), readings=2) for line in lines if line)


def _escaped(text: str, readings: int = 1) -> str:
    """The text for DOT, where & and < are HTML's, and each reading by the renderer halves the backslashes."""
    return escape(text).replace("\\", 2**readings * "\\")


def _printable(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, short, and without what a file must not hold or an eye cannot see."""
    line = " ".join(text[: 4 * longest].split())
    visible = "".join(c if c.isprintable() else "\ufffd" for c in line)
    return visible if len(visible) <= longest else visible[: longest - 1] + "…"
