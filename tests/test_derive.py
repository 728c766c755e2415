"""Closed forms: the paper's section 2 regenerated to the letter, and any other graph's derivatives to their numbers."""

import ast
import inspect
import random
import sys
from xml.etree import ElementTree

import pytest
import sympy
from exact import FUNCTIONS, mp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paper import leaves, partial, well_conditioned

from micrograd_xor import chain, equations, ops, symbolic, typeset
from micrograd_xor.derive import derive, derive_all, explain
from micrograd_xor.gradient import gradient
from micrograd_xor.notation import LATEX, MATHML, TEXT
from micrograd_xor.table import TABLE
from micrograd_xor.testing import graphs
from micrograd_xor.value import Value, topological_order
from micrograd_xor.xor.open_form import open_form, parameter_names

ROWS = r"""
    E z       | (z - r) / (z (1 - z))     | \frac{z - r}{z (1 - z)}           | (z - r) / (z * (1 - z))
    z z_bar   | z (1 - z)                 | z (1 - z)                         | z * (1 - z)
    E z_bar   | z - r                     | z - r                             | z - r
    z_bar u1  | h₁                        | h_1                               | h1
    z_bar u2  | h₂                        | h_2                               | h2
    z_bar b_z | 1                         | 1                                 | 1
    z_bar h1  | u₁                        | u_1                               | u1
    z_bar h2  | u₂                        | u_2                               | u2
    h1 h1_bar | h₁ (1 - h₁)               | h_1 (1 - h_1)                     | h1 * (1 - h1)
    h2 h2_bar | h₂ (1 - h₂)               | h_2 (1 - h_2)                     | h2 * (1 - h2)
    h1_bar w11 | x₁                       | x_1                               | x1
    h1_bar w12 | x₂                       | x_2                               | x2
    h2_bar w21 | x₁                       | x_1                               | x1
    h2_bar w22 | x₂                       | x_2                               | x2
    h1_bar b1 | 1                         | 1                                 | 1
    h2_bar b2 | 1                         | 1                                 | 1
    E u1      | (z - r) h₁                | (z - r) h_1                       | (z - r) * h1
    E u2      | (z - r) h₂                | (z - r) h_2                       | (z - r) * h2
    E b_z     | (z - r)                   | (z - r)                           | z - r
    E w11     | (z - r) u₁ h₁ (1 - h₁) x₁ | (z - r) u_1 h_1 (1 - h_1) x_1     | (z - r) * u1 * h1 * (1 - h1) * x1
    E w12     | (z - r) u₁ h₁ (1 - h₁) x₂ | (z - r) u_1 h_1 (1 - h_1) x_2     | (z - r) * u1 * h1 * (1 - h1) * x2
    E b1      | (z - r) u₁ h₁ (1 - h₁)    | (z - r) u_1 h_1 (1 - h_1)         | (z - r) * u1 * h1 * (1 - h1)
    E w21     | (z - r) u₂ h₂ (1 - h₂) x₁ | (z - r) u_2 h_2 (1 - h_2) x_1     | (z - r) * u2 * h2 * (1 - h2) * x1
    E w22     | (z - r) u₂ h₂ (1 - h₂) x₂ | (z - r) u_2 h_2 (1 - h_2) x_2     | (z - r) * u2 * h2 * (1 - h2) * x2
    E b2      | (z - r) u₂ h₂ (1 - h₂)    | (z - r) u_2 h_2 (1 - h_2)         | (z - r) * u2 * h2 * (1 - h2)
"""
CELLS = [[cell.strip() for cell in line.split("|")] for line in ROWS.strip().splitlines()]
PAPER = {tuple(row.split()): forms for row, *forms in CELLS}
START = dict(zip(parameter_names(2), [0.3, 0.4, 0.1, 0.5, -0.6, 0.7, 0.8, -0.9, 0.11], strict=True))
NETWORK = open_form(START, 1.0, 0.5, 0.25)
EVERY = derive_all(NETWORK.E)
EVERY = {**EVERY.total, **EVERY.local}
MODULES = [chain, equations, sys.modules["micrograd_xor.derive"], symbolic]


def labelled(node, label):
    node.label = label
    return node


def leaf(label, x=0.5):
    return Value(x, label=label)


def swept(output):
    """Each node with its adjoint by `backward`, and the sum that it would be if nothing cancelled."""
    output.backward()
    order = topological_order(output)
    size = dict.fromkeys(order, 0.0) | {output: 1.0}
    for node in reversed(order):
        for x, d in zip(node._children, node._local_grads, strict=True):
            size[x] += size[node] * abs(d)
    return {x: (x.grad, size[x]) for x in order}


def close(x, expected, size):
    return abs(x - expected) <= 1e-9 * max(abs(expected), 1e-3 * size)


# --- the paper ----------------------------------------------------------------------------------


def test_the_paper_has_25_rows():
    assert len(PAPER) == 25


@pytest.mark.parametrize("row", PAPER, ids="/".join)
def test_a_row_of_the_paper_comes_out_to_the_letter(row):
    text, latex, expression = PAPER[row]
    for derivation in (EVERY[row], derive(NETWORK[row[0]], NETWORK[row[1]])):
        assert derivation.text == text
        assert derivation.latex == latex
        names = {str(s): s for s in derivation.expression.free_symbols}
        assert sympy.expand(derivation.expression - sympy.sympify(expression, locals=names)) == 0
        assert derivation.where == {}


@given(leaves(hidden=st.just(2)))
@settings(max_examples=30)
def test_the_rows_have_the_numbers_of_any_network(drawn):
    hidden, numbers = drawn
    assume(well_conditioned(numbers, hidden))
    weights = {name: numbers[name] for name in parameter_names(2)}
    form = open_form(weights, numbers["x1"], numbers["x2"], numbers["r"])
    for (of, by), (*_, expression) in PAPER.items():
        truth = float(partial(of, by, numbers, hidden))
        assert EVERY[of, by](**form.numbers()) == pytest.approx(truth, rel=1e-9, abs=1e-300), expression


def test_labels_are_set_as_on_paper():
    assert TEXT.derivative("E", [TEXT.symbol("h1_bar")]) == "∂E/∂h̄₁"
    assert EVERY["z_bar", "h1"].heading.write(LATEX) == r"\frac{\partial \bar{z}}{\partial h_1}"
    names = [LATEX.symbol(name) for name in ("z_bar", "w11", "b_z", "h1_bar")]
    assert names == [r"\bar{z}", "w_{11}", "b_z", r"\bar{h}_1"]


def test_the_steps_of_a_row():
    [path] = derive(NETWORK.E, NETWORK["w11"]).steps
    assert path.nodes == ("E", "z", "z_bar", "h1", "h1_bar", "w11")
    assert [p.rule.text for p in path.partials] == ["(1 - r) / (1 - z) - r / z", "z σ(-z̄)", "u₁", "h₁ σ(-h̄₁)", "x₁"]
    assert path.sides(TEXT) == [
        "∂E/∂z · ∂z/∂z̄ · ∂z̄/∂h₁ · ∂h₁/∂h̄₁ · ∂h̄₁/∂w₁₁",
        "(z - r) / (z (1 - z)) · z (1 - z) · u₁ · h₁ (1 - h₁) · x₁",
        "(z - r) u₁ h₁ (1 - h₁) x₁",
    ]


def test_paths_sum_to_the_gradient():
    form = open_form(START, 1.0, 0.5, 0.25)
    form.E.backward()
    x1 = derive(form.E, form["x1"])
    assert len(x1.steps) == 2
    assert sum(path.value for path in x1.steps) == pytest.approx(form["x1"].grad, rel=1e-12)
    assert x1.text == "(z - r) (u₁ h₁ (1 - h₁) w₁₁ + u₂ h₂ (1 - h₂) w₂₁)"


def test_expand_goes_down_to_the_leaves():
    form = open_form({"u1": 0.3, "b_z": 0.1, "w11": 0.5, "w12": -0.6, "b1": 0.7}, 1.0, 0.5, 0.25)
    derivation = derive(form.E, form["u1"], expand=True)
    h = "σ(w₁₁ x₁ + w₁₂ x₂ + b₁)"
    assert derivation.text == f"(σ(u₁ {h} + b_z) - r) {h}"
    assert {s.name for s in derivation.expression.free_symbols} == {*form.parameters, *form.inputs}
    moved = {**{name: x.data for name, x in (form.parameters | form.inputs).items()}, "w11": -1.0, "r": 0.75}
    other = open_form({name: moved[name] for name in form.parameters}, 1.0, 0.5, 0.75)
    other.E.backward()
    assert derivation(w11=-1.0, r=0.75) == pytest.approx(other["u1"].grad, rel=1e-12)


def test_a_stable_loss_has_the_same_closed_form():
    form = open_form(START, 1.0, 0.5, 0.25, stable=True)
    assert derive(form.E, form["w11"]).text == "(σ(z̄) - r) u₁ h₁ (1 - h₁) x₁"


# --- second derivatives -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ("b_z", "b_z", "z (1 - z)"),
        ("u1", "b_z", "z (1 - z) h₁"),
        ("w11", "w21", "z (1 - z) u₁ h₁ (1 - h₁) x₁² u₂ h₂ (1 - h₂)"),
        ("w11", "w12", "((z - r) (1 - 2 h₁) + z (1 - z) u₁ h₁ (1 - h₁)) u₁ h₁ (1 - h₁) x₁ x₂"),
    ],
)
def test_second_derivatives(a, b, text):
    second = derive(NETWORK.E, NETWORK[a], NETWORK[b])
    assert second.text == text
    assert second.heading.write(TEXT) == f"∂²E/∂{TEXT.symbol(a)}∂{TEXT.symbol(b)}"
    [slope] = gradient(gradient(NETWORK.E, [NETWORK[a]])[0], [NETWORK[b]])
    assert second.value == pytest.approx(slope.data, rel=1e-12)
    assert derive(gradient(NETWORK.E, [NETWORK[a]])[0], NETWORK[b]).value == pytest.approx(slope.data, rel=1e-12)


def test_the_gradient_as_a_graph_derives():
    [slope] = gradient(NETWORK.E, [NETWORK["u1"]])
    assert derive(slope, NETWORK["b_z"]).text == "z (1 - z) h₁"


def test_a_third_derivative():
    x = leaf("x", 2.0)
    assert derive(x**5, x, x, x).text == "60 x²"


# --- any graph ----------------------------------------------------------------------------------


@given(graphs(size=10), st.sets(st.integers(0, 9)), st.booleans())
@settings(max_examples=60)
def test_any_derivative_has_the_number_of_the_reverse_sweep(graph, named, expand):
    computed = [node for node in topological_order(graph.output) if node.op]
    for i in named & set(range(len(computed))):
        computed[i].label = f"v{i}"
    adjoints = swept(graph.output)
    for x in {*graph.inputs, *computed} & adjoints.keys():
        derivation = derive(graph.output, x, expand=expand)
        assert close(derivation.value, *adjoints[x]), derivation
        assert close(sum(path.value for path in derivation.steps), *adjoints[x]), derivation
        assert ElementTree.fromstring(f"<math>{derivation.equation(MATHML)}</math>").tag == "math"


@pytest.mark.parametrize("row", [row for row in TABLE.values() if row.arity], ids=lambda row: row.name)
def test_each_row_derives(row):
    at = [0.3, 0.4, 0.7][: row.arity]
    xs = [leaf(f"x{i}", x) for i, x in enumerate(at, 1)]
    y = labelled(row(*xs), "y")
    for i, x in enumerate(xs):
        orders = tuple(int(j == i) for j in range(len(at)))
        truth = float(mp.diff(FUNCTIONS[row.name], tuple(map(mp.mpf, at)), orders, h=mp.mpf(10) ** -100))
        for expand in (False, True):
            assert derive(y, x, expand=expand).value == pytest.approx(truth, rel=1e-12, abs=1e-80)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (lambda x: x.exp(), "exp(x)"),
        (lambda x: x.tanh(), "1 - tanh(x)²"),
        (lambda x: ops.softplus(x), "σ(x)"),
        (lambda x: ops.log_sigmoid(x), "1 - σ(x)"),
        (lambda x: ops.sqrt(x), "1 / (2 √x)"),
        (lambda x: ops.arcsin(x), "1 / √(1 - x²)"),
        (lambda x: ops.gaussian(x), "-2 x exp(-x²)"),
        (lambda x: (x - 1) ** 2, "2 x - 2"),
        (lambda x: 3 * x**2 + 2 * x + 1, "2 + 6 x"),
        (lambda x: x / (1 + x), "1 / (1 + x)²"),
        (lambda x: 0.1 * x, "1 / 10"),
        (lambda x: 0.123456 * x, "0.123456"),
        (lambda x: 1e-30 * x**2, "2e-30 x"),
        (lambda x: 2.0**x, "log(2) · 2^x"),
        (lambda x: ops.maximum(x, 0.25), "1 / 2 + sign(x - 1 / 4) / 2"),
        (lambda x: ops.total([x, x * x, 2.0]), "1 + 2 x"),
        (lambda x: ops.dot([x, 2.0], [x, x]), "2 + 2 x"),
    ],
)
def test_the_textbook_s_form(record, text):
    x = leaf("x")
    assert derive(record(x), x).text == text


def test_what_a_node_has_computed_is_called_by_its_name():
    x = leaf("x")
    y = labelled(ops.exp(x), "y")
    assert derive(y * ops.exp(x), x).text == "2 y²"


def test_a_difference_is_written_with_a_plus_in_front():
    x, y, z, r = leaf("x"), leaf("y"), leaf("z"), leaf("r")
    assert derive(0.5 * (r - z) ** 2 * x, z).text == "(z - r) x"
    assert derive(x**2 + 2 * x * y - 2 * x, x).text == "2 (x + y - 1)"


def test_a_rule_is_shown_without_its_arithmetic():
    x = leaf("x")
    [path] = derive(x**3, x).steps
    assert path.partials[0].rule.text == "3 x²"


@pytest.mark.parametrize("seed", range(2))
def test_a_graph_of_300_nodes_stops_at_names_of_its_own(seed):
    rng = random.Random(seed)
    x = leaf("x", 0.7)
    pool = [x, x * 2.0, ops.sin(x)]
    while len(topological_order(*pool)) < 300:
        a, b = rng.sample(pool, 2)
        pool.append(rng.choice([a * b, ops.tanh(a) + b, ops.sigmoid(a) - b * 0.5, ops.sin(a * b)]))
        pool = [*pool[-8:], pool[rng.randrange(3)]]
    output = ops.total(pool)
    derivation = derive(output, x)
    assert close(derivation.value, *swept(output)[x])
    assert next(iter(derivation.where)).startswith("t")
    assert sum(typeset.length(formula.expression) for formula in derivation.where.values()) < 20_000


def test_a_shared_long_formula_is_named_and_used():
    x, t1 = leaf("x", 0.3), leaf("t1", 2.0)
    shared = x
    for _ in range(7):
        shared = ops.sin(shared * t1)
    derivation = derive(ops.exp(shared) * shared, x)
    assert list(derivation.where) == ["t2"]  # t1 is taken
    assert derivation.where["t2"].text.startswith("sin(sin(")
    assert str(derivation).splitlines()[1].startswith("    where t₂ = sin(")
    assert derivation(x=0.2) == pytest.approx(_slope_of_shared(0.2), rel=1e-9)


def _slope_of_shared(at):
    x, shared = (v := leaf("x", at)), v
    for _ in range(7):
        shared = ops.sin(shared * 2.0)
    (ops.exp(shared) * shared).backward()
    return x.grad


def test_a_deep_chain_does_not_recurse():
    x = y = leaf("x", 0.3)
    for _ in range(400):
        y = ops.sin(y * 1.01) + 0.1
    derivation = derive(y, x)
    assert close(derivation.value, *swept(y)[x])
    assert "where" in str(derivation)


def test_adjoints_shared_by_many_paths_are_named():
    """Each adjoint is used twice: written out, the derivative would have 2⁸⁰ terms."""
    x = leaf("x", 0.3)
    a, b = x, x + 1.0
    for i in range(80):
        a, b = b, labelled(0.5 * a * b + 0.3, f"y{i}")
    derivation = derive(b, x)
    assert close(derivation.value, *swept(b)[x])
    assert len(str(derivation)) < 20_000
    with pytest.raises(ValueError, match=f"The steps must be at most {chain.PATHS} paths, got "):
        derivation.steps


def test_derive_all_of_any_graph():
    x = leaf("x", 2.0)
    y = labelled(x * x, "y")
    table = derive_all(y * x)
    assert str(table).splitlines() == ["∂y/∂x = 2 x", "∂f/∂x = y", "∂f/∂y = x", "∂f/∂x = y + 2 x²"]
    assert table._repr_latex_().startswith(r"$$\begin{aligned} \frac{\partial y}{\partial x} &= 2 x \\ \frac")
    assert table.local["f", "x"].text == "y"
    assert table.total["f", "x"].value == 12.0
    assert [*table.local] == [("y", "x"), ("f", "x"), ("f", "y")]


# --- explain ------------------------------------------------------------------------------------


def test_explain_is_what_one_does_by_hand():
    w, x = leaf("w", 2.0), leaf("x", 3.0)
    p = labelled(w * x, "p_bar")
    y = labelled(ops.exp(0.0 * p) * p + w, "y")
    explanation = explain(y, w)
    assert str(explanation).splitlines() == [
        "y ← w",
        "    ∂y/∂w = 1 = 1",
        "y ← p̄ ← w",
        "    ∂y/∂p̄ = 1 = 1",
        "    ∂p̄/∂w = x = 3",
        "    product = x = 3",
        "∂y/∂w = 1 + 3 = 4",
    ]
    y.backward()
    assert explanation.value == w.grad
    assert repr(explanation) == str(explanation)


@given(graphs(size=8))
@settings(max_examples=20)
def test_what_is_explained_sums_to_the_gradient(graph):
    adjoints = swept(graph.output)
    for x in graph.inputs:
        if x in adjoints:
            assert close(explain(graph.output, x).value, *adjoints[x])


# --- what a derivation offers -------------------------------------------------------------------


def test_a_derivation_in_a_notebook():
    assert EVERY["E", "w11"]._repr_latex_() == (
        r"$\displaystyle \frac{\partial E}{\partial w_{11}} = (z - r) u_1 h_1 (1 - h_1) x_1$"
    )


def test_a_derivation_is_a_function():
    derivation = EVERY["E", "z_bar"]
    assert derivation() == derivation.value == NETWORK.z.data - 0.25
    assert derivation(z=0.5, r=1.0) == -0.5
    assert derivation(**NETWORK.numbers()) == derivation.value
    with pytest.raises(TypeError, match="argument must be a node of its graph, got q"):
        derivation(q=1.0)
    with pytest.raises(TypeError, match="z must be a real number"):
        derivation(z="0.5")


def test_where_it_is_not_defined_it_says_so():
    with pytest.raises(
        ZeroDivisionError, match=r"^∂E/∂z must be evaluated where it is defined: pow's .* got pow\(0\.0, -1\.0\)"
    ):
        EVERY["E", "z"](z=0.0)


def test_the_expression_is_in_sympy_s_own_functions():
    x = leaf("x")
    assert derive(ops.sin(x.exp()), x).expression == sympy.cos(sympy.exp(sympy.Symbol("x"))) * sympy.exp(
        sympy.Symbol("x")
    )
    assert derive(ops.softplus(x), x).expression.func.__name__ == "sigmoid"


def test_a_closed_form_records_again():
    recorded = derive(NETWORK.E, NETWORK["w11"]).record()
    assert recorded.data == pytest.approx(EVERY["E", "w11"].value, rel=1e-15)
    assert NETWORK.z in topological_order(recorded)
    assert derive(2.0 * leaf("x") + 1.0, NETWORK.z).record().data == 0.0


# --- bad input ----------------------------------------------------------------------------------


def test_nodes_that_are_not_connected_have_derivative_0():
    a, b = leaf("a"), leaf("b")
    derivation = derive(a * 2.0, b)
    assert (derivation.expression, derivation.text, derivation.value, derivation.steps) == (0, "0", 0.0, [])
    assert str(derivation) == "∂f/∂b = 0, for nothing leads there from b"
    assert derive(a, labelled(a * 2.0, "c")).text == "0"
    assert str(derive(a, a)) == "∂a/∂a = 1"
    assert str(explain(a * 2.0, b)) == "∂f/∂b = 0"


def test_two_nodes_of_one_label():
    with pytest.raises(ValueError, match="A label must name one node of the graph, got 'h' on 2"):
        derive(leaf("h") * leaf("h"), leaf("x"))


@pytest.mark.parametrize(
    ("label", "text", "latex"),
    [
        ("50% of $a_b & c", "· 50% of $a_b & c", r"\text{50\% of \$a\_b \& c}"),
        ("\\input{x}", "\\input{x}", r"\text{\textbackslash{}input\{x\}}"),
        ("a^2~b#", "a^2~b#", r"\text{a\textasciicircum{}2\textasciitilde{}b\#}"),
        ("<b>", "<b>", r"\text{<b>}"),
        ("θ2", "θ₂", r"\theta_2"),
        ("z̄", "z̄", r"\bar{z}"),
        ("h̄₁", "h̄₁", r"\bar{h}_1"),
        ("loss", "loss", r"\mathrm{loss}"),
        ("w1_2", "w_1,2", "w_{1,2}"),
        ("lambda", "lambda", r"\mathrm{lambda}"),
        ("E", "E", "E"),
    ],
)
def test_any_label_is_a_name(label, text, latex):
    x = leaf(label, 3.0)
    derivation = derive(x * x, x)
    assert derivation.text.removeprefix("2 ") == text
    assert derivation.latex.removeprefix("2 ") == latex
    assert derivation(**{label: 5.0}) == 10.0
    assert ElementTree.fromstring(f"<math>{derivation.formula.mathml}</math>") is not None


def test_nodes_without_a_label_get_a_name():
    x, y = Value(2.0), Value(3.0)
    assert str(derive(x * y, x)) == "∂f/∂t₁ = t₂"
    assert str(derive(labelled(x * y, "f") * 2.0, x)) == "∂t₁/∂t₂ = 2 t₃"
    assert derive(x * y, x)(t2=5.0) == 5.0


def test_what_is_no_value():
    with pytest.raises(TypeError, match=r"derive must be given Values, got 2\.0"):
        derive(leaf("x"), 2.0)
    with pytest.raises(TypeError, match="derive_all must be given Values, got 'E'"):
        derive_all("E")


def test_an_operation_of_the_user_s_own():
    x = leaf("x", 2.0)
    own = Value(8.0, (x,), "cube", "own")
    with pytest.raises(TypeError, match="must be a row of the table, got 'cube'"):
        derive(own * 2.0, x)
    assert derive(own * x, own).text == "x"
    assert derive(ops.exp(own) * own, own).value == pytest.approx(9 * 2980.9579870417283)


def test_a_graph_too_large():
    x = y = leaf("x")
    for _ in range(equations.NODES):
        y = y + x
    with pytest.raises(ValueError, match=f"must have at most {equations.NODES} nodes, got {equations.NODES + 1}"):
        derive(y, x)


def test_a_formula_too_large_to_expand():
    x = y = leaf("x", 0.3)
    for i in range(200):
        y = labelled(ops.sigmoid(y), f"h{i}")
    with pytest.raises(ValueError, match="A formula in the leaves must have at most"):
        derive(y * x, x, expand=True)


# --- what is not in the code --------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_row_and_no_network_is_named(module):
    """`pow` is: its own value refuses what is no float."""
    source = inspect.getsource(module)
    nodes = list(ast.walk(ast.parse(source)))
    words = {getattr(node, "id", None) or getattr(node, "attr", None) for node in nodes}
    words |= {node.value for node in nodes if isinstance(node, ast.Constant)}
    ordinary = {row.name for row in list(TABLE.values())[:6]} | {"where", "total", "abs"}
    assert words.isdisjoint(TABLE.keys() - ordinary)
    assert "cross" not in source.lower()
    assert " xor" not in source.lower().replace("micrograd_xor", "")
