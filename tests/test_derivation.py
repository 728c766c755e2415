"""The paper's section 2 as a document: general rows for any network, the matrices against numpy, five formats."""

import ast
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser
from paper import HIDDEN

from micrograd_xor.notation import LATEX, TEXT
from micrograd_xor.xor import derivation, families
from micrograd_xor.xor.closed_form import CLOSED_FORMS
from micrograd_xor.xor.compact_form import Weights, forward, gradient

GENERAL = """
∂E/∂z = (z - r) / (z (1 - z))
∂z/∂z̄ = z (1 - z)
∂z̄/∂u_j = h_j
∂z̄/∂b_z = 1
∂z̄/∂h_j = u_j
∂h_j/∂h̄_j = h_j (1 - h_j)
∂h̄_j/∂w_jk = x_k
∂h̄_j/∂b_j = 1
∂E/∂z̄ = z - r
∂E/∂u_j = (z - r) h_j
∂E/∂b_z = (z - r)
∂E/∂w_jk = (z - r) u_j h_j (1 - h_j) x_k
∂E/∂b_j = (z - r) u_j h_j (1 - h_j)
""".strip().splitlines()
MATRICES = """
∂E/∂U = (z - r) hᵀ
∂E/∂b_z = (z - r)
∂E/∂W = (z - r) ((1 - h) ⊙ h ⊙ Uᵀ) xᵀ
∂E/∂b_h = (z - r) ((1 - h) ⊙ h ⊙ Uᵀ)
""".strip().splitlines()


def general(hidden):
    return families.families(families.rows(families.network(hidden)))


def matrices(hidden):
    return [families.matrix_form(family) for family in general(hidden)[-4:]]


def equations(found, notation=TEXT):
    return [" = ".join(x.sides(notation)) for x in found]


def pretty(plain):
    """The paper's plain names as they are typeset."""
    return re.sub(r"[a-zE]\w*", lambda name: TEXT.symbol(name[0]), plain)


# --- the rows -----------------------------------------------------------------------------------


def test_the_rows_are_the_paper_s():
    written = {row.equation() for row in families.rows(families.network(2))}
    paper = {f"∂{pretty(row.of)}/∂{pretty(row.by)} = {pretty(row.text)}" for row in CLOSED_FORMS.values()}
    assert len(paper) == 25
    assert written == paper


@pytest.mark.parametrize("hidden", [1, 2, 3, 12])
def test_one_general_row_for_each_family(hidden):
    found = general(hidden)
    assert equations(found) == GENERAL
    sizes = {"u": hidden, "w": 2 * hidden, "b": hidden}
    for family in found[-4:]:
        assert len(family.rows) == sizes.get(family.heading.by[0].split("_")[0], 1) or family.heading.by == ("b_z",)
    assert sum(len(family.rows) for family in found) == 10 * hidden + 5


def test_rows_that_have_no_general_one_are_refused():
    rows = {(row.heading.of, *row.heading.by): row for row in families.rows(families.network(2))}
    wrong = replace(rows["E", "u1"], formula=rows["E", "b1"].formula)
    with pytest.raises(ValueError, match="must differ in their indices only"):
        families.families([wrong, rows["E", "u2"]])


# --- the matrices -------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [1, 2, 5])
def test_the_matrices_are_the_paper_s(hidden):
    assert equations(matrices(hidden)) == MATRICES


def test_the_matrices_in_latex():
    assert equations(matrices(2), LATEX)[2] == (
        r"\frac{\partial E}{\partial W} = (z - r) ((1 - h) \odot h \odot U^\top) x^\top"
    )


FORMS = {hidden: matrices(hidden) for hidden in range(1, 6)}


@given(HIDDEN, st.integers(0, 1000), st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 1))
@settings(max_examples=40)
def test_the_matrices_have_the_numbers_of_the_compact_form(hidden, seed, x1, x2, r):
    weights = Weights.random(hidden, seed)
    x = np.array([x1, x2])
    state = forward(weights, x[None])
    values = {"z": state.z[0], "r": r, "h": state.h[0], "U": weights.U, "x": x}
    expected = gradient(weights, x[None], [r])
    for name, form in zip(("U", "b_z", "W", "b_h"), FORMS[hidden], strict=True):
        found = form.evaluate(values)
        assert np.shape(found) == np.shape(getattr(expected, name))
        np.testing.assert_allclose(found, getattr(expected, name), rtol=1e-12, atol=1e-14)


# --- the document -------------------------------------------------------------------------------


def test_the_text():
    lines = derivation.document().splitlines()
    assert "E  = -r log(z) - (1 - r) log(1 - z)" in lines
    assert "z̄  = u₁ h₁ + u₂ h₂ + b_z" in lines
    assert "h̄₂ = w₂₁ x₁ + w₂₂ x₂ + b₂" in lines
    first = lines.index("∂E/∂w₁₁ = ∂E/∂z · ∂z/∂z̄ · ∂z̄/∂h₁ · ∂h₁/∂h̄₁ · ∂h̄₁/∂w₁₁")
    assert lines[first + 1 : first + 3] == [
        "        = (z - r) / (z (1 - z)) · z (1 - z) · u₁ · h₁ (1 - h₁) · x₁",
        "        = (z - r) u₁ h₁ (1 - h₁) x₁",
    ]
    squeezed = [re.sub(" +=", " =", line) for line in lines]
    assert squeezed[-4:] == MATRICES
    assert set(GENERAL) <= set(squeezed)


@pytest.mark.parametrize("format", ["latex", "markdown", "tex"])
def test_latex_can_be_set(format):
    document = derivation.document(2, format)
    assert document.count("{") == document.count("}")
    assert document.count(r"\begin") == document.count(r"\end")
    rows = [line.removesuffix(r" \\") for line in document.splitlines() if "&=" in line]
    assert len(rows) == sum(len(row) - 1 for part in derivation.sections(2, LATEX) for row in part.equations)
    parser = MathTextParser("path")
    for side in {side.strip() for row in rows for side in row.split("&=")} - {""}:
        parser.parse(f"${side}$")


def test_tex_is_a_whole_file():
    document = derivation.document(2, "tex")
    assert document.startswith(r"\documentclass{article}")
    assert document.endswith("\\end{document}\n")
    assert document.isascii()


def test_markdown_has_balanced_dollars():
    document = derivation.document(2, "markdown")
    assert document.splitlines().count("$$") == 10
    assert document.startswith("## The equations\n")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.text = [], ""

    def handle_starttag(self, _tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_html_needs_no_network_and_no_script():
    document = derivation.document(2, "html")
    tags = Tags()
    tags.feed(document)
    assert tags.addresses == []
    assert "<script" not in document
    assert "In matrices" in tags.text
    for math in re.findall("<math.*?</math>", document, re.DOTALL):
        assert ElementTree.fromstring(math).tag == "math"
    assert document.count("<math") == 5


def test_a_fragment_leaves_the_longest_sections_out():
    assert derivation.fragment(2).count("<h3>") == 5
    large = derivation.fragment(12)
    assert "Every local partial" not in large
    assert "In matrices" in large


@pytest.mark.parametrize("hidden", [0, -1, 1.5, "2"])
def test_a_number_of_units_that_is_none(hidden):
    with pytest.raises(ValueError, match="hidden must be a whole number of at least 1, got"):
        derivation.document(hidden)


def test_a_format_that_is_none():
    with pytest.raises(ValueError, match="format must be one of text, latex, markdown, html, tex, got 'pdf'"):
        derivation.document(2, "pdf")


def test_the_notebook_runs():
    notebook = json.loads((Path(__file__).parents[1] / "examples" / "derive.ipynb").read_text(encoding="utf-8"))
    codes = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    names, shown = {}, []
    for source in codes:
        *body, last = ast.parse(source).body
        exec(compile(ast.Module(body, []), "derive.ipynb", "exec"), names)
        shown.append(eval(compile(ast.Expression(last.value), "derive.ipynb", "eval"), names))
    assert r"\frac{\partial E}{\partial w_{11}} = (z - r) u_1 h_1 (1 - h_1) x_1" in shown[0]._repr_latex_()
    assert str(shown[2]).startswith("E ← z ← z̄ ← h₁ ← h̄₁ ← w₁₁")
    assert shown[5][0] == -0.5
