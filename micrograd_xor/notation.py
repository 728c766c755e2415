"""The notations a formula can be written in: Unicode text, LaTeX and MathML, with names set as on paper."""

import re
import unicodedata
from html import escape
from typing import NamedTuple

SUM, QUOTIENT, PRODUCT, POWER, ATOM = range(5)  # how tightly what was written holds together
_MACRON = "\u0304"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Name(NamedTuple):
    """The parts of a node's name: h1_bar is base h, subscript 1, with a bar."""

    base: str
    subscript: str = ""
    bar: bool = False


def parse_name(name: str) -> Name:
    """The base, subscript and bar of a label; one that is no identifier stays whole.

    >>> parse_name("h1_bar"), parse_name("b_z")
    (Name(base='h', subscript='1', bar=True), Name(base='b', subscript='z', bar=False))
    """
    plain = unicodedata.normalize("NFKD", name)
    stem = plain.removesuffix("_bar").replace(_MACRON, "")
    match = re.fullmatch(r"([^\W\d_]+)_?(\w*)", stem)
    if not match:
        return Name(name)
    base, subscript = match.groups()
    return Name(base, subscript.strip("_").replace("_", ","), stem != plain)


class Notation:
    """How symbols, numbers and operations are written; this one is Unicode, as one types it in a sentence."""

    gap, dot, odot, plus, minus, comma = " ", " · ", " ⊙ ", " + ", " - ", ", "
    leading_minus = "-"
    quotient, above, below, radicand = QUOTIENT, PRODUCT, POWER, ATOM  # what a fraction is, and what its parts must be

    def symbol(self, name: str) -> str:
        """A node's name."""
        base, subscript, bar = parse_name(name)
        lowered = subscript.translate(_SUBSCRIPTS) if subscript.isdecimal() else f"_{subscript}"
        return base + _MACRON * bar + (lowered if subscript else "")

    def number(self, digits: str, exponent: str) -> str:
        """A positive number: its digits, and its power of ten where it has one."""
        return f"{digits}e{exponent}" if exponent else digits

    def group(self, x: str) -> str:
        """Parentheses."""
        return f"({x})"

    def product(self, factors: list[str]) -> str:
        """Factors side by side; a dot where two numbers would run together."""
        first, *rest = factors
        return first + "".join((self.dot if re.match(r"(<[^>]*>)*\d", x) else self.gap) + x for x in rest)

    def sum(self, terms: list[tuple[bool, str]]) -> str:
        """Terms, each with whether it is subtracted."""
        (negative, first), *rest = terms
        signed = "".join((self.minus if less else self.plus) + term for less, term in rest)
        return (self.leading_minus if negative else "") + first + signed

    def chain(self, factors: list[str]) -> str:
        """Factors that are not multiplied out yet."""
        return self.dot.join(factors)

    def hadamard(self, factors: list[str]) -> str:
        """Vectors multiplied element by element."""
        return self.group(self.odot.join(factors)) if len(factors) > 1 else factors[0]

    def transpose(self, x: str) -> str:
        """A row written as a column, or a column as a row."""
        return f"{x}ᵀ"

    def fraction(self, above: str, below: str) -> str:
        """What is above over what is below."""
        return f"{above} / {below}"

    def power(self, base: str, exponent: str) -> str:
        """A base to an exponent."""
        if exponent.isdecimal():
            return base + exponent.translate(_SUPERSCRIPTS)
        return f"{base}^{exponent if exponent.isalnum() else self.group(exponent)}"

    def root(self, x: str) -> str:
        """A square root."""
        return f"√{x}"

    def call(self, symbol: str, args: list[str]) -> str:
        """A function's symbol applied to operands."""
        return f"{symbol}{self.group(self.comma.join(args))}"

    def derivative(self, of: str, by: list[str]) -> str:
        """The name of a partial derivative; by two operands, of a second one."""
        order = str(len(by)).translate(_SUPERSCRIPTS) if len(by) > 1 else ""
        return f"∂{order}{of}/" + "".join(f"∂{x}" for x in by)

    def equation(self, *sides: str) -> str:
        """Sides that are equal."""
        return " = ".join(sides)


class Latex(Notation):
    """LaTeX's mathematics, for all of its dialects: amsmath, MathJax, KaTeX."""

    dot, odot = r" \cdot ", r" \odot "
    quotient, above, below, radicand = ATOM, SUM, SUM, SUM

    def symbol(self, name: str) -> str:
        """A node's name."""
        base, subscript, bar = parse_name(name)
        base = _latex_word(base)
        return (rf"\bar{{{base}}}" if bar else base) + (f"_{_braced(subscript)}" if subscript else "")

    def number(self, digits: str, exponent: str) -> str:
        """A positive number."""
        return rf"{digits} \times 10^{_braced(exponent)}" if exponent else digits

    def group(self, x: str) -> str:
        """Parentheses, as tall as what is inside."""
        return rf"\left({x}\right)" if r"\frac" in x else f"({x})"

    def transpose(self, x: str) -> str:
        """A row written as a column, or a column as a row."""
        return rf"{x}^\top"

    def fraction(self, above: str, below: str) -> str:
        """What is above over what is below."""
        return rf"\frac{{{above}}}{{{below}}}"

    def power(self, base: str, exponent: str) -> str:
        """A base to an exponent."""
        return f"{base}^{_braced(exponent)}"

    def root(self, x: str) -> str:
        """A square root."""
        return rf"\sqrt{{{x}}}"

    def call(self, symbol: str, args: list[str]) -> str:
        """A function's symbol applied to operands."""
        return super().call(" ".join(map(_latex_function, symbol.split())), args)

    def derivative(self, of: str, by: list[str]) -> str:
        """The name of a partial derivative."""
        order = f"^{len(by)}" if len(by) > 1 else ""
        return self.fraction(rf"\partial{order} {of}", r" \, ".join(rf"\partial {x}" for x in by))


class MathML(Notation):
    """Presentation MathML, which a browser sets without any script."""

    gap, dot, odot, plus, minus, comma = (
        '<mspace width="0.17em"/>',
        *(f"<mo>{sign}</mo>" for sign in "·⊙+−"),
        '<mo separator="true">,</mo>',
    )
    leading_minus = '<mo form="prefix">−</mo>'
    quotient, above, below, radicand = ATOM, SUM, SUM, SUM

    def symbol(self, name: str) -> str:
        """A node's name."""
        base, subscript, bar = parse_name(name)
        mark = f"<mi>{escape(base)}</mi>"
        if bar:
            mark = f'<mover>{mark}<mo stretchy="false">¯</mo></mover>'  # as an accent it would touch the letter
        tag = "mn" if subscript.isdecimal() else "mi"
        return f"<msub>{mark}<{tag}>{subscript}</{tag}></msub>" if subscript else mark

    def number(self, digits: str, exponent: str) -> str:
        """A positive number."""
        ten = f"<mo>×</mo>{self.power('<mn>10</mn>', f'<mn>{exponent}</mn>')}" if exponent else ""
        return f"<mrow><mn>{digits}</mn>{ten}</mrow>" if ten else f"<mn>{digits}</mn>"

    def group(self, x: str) -> str:
        """Parentheses."""
        return f'<mrow><mo form="prefix">(</mo>{x}<mo form="postfix">)</mo></mrow>'

    def sum(self, terms: list[tuple[bool, str]]) -> str:
        """Terms, each with whether it is subtracted."""
        return f"<mrow>{super().sum(terms)}</mrow>"

    def transpose(self, x: str) -> str:
        """A row written as a column, or a column as a row."""
        return self.power(x, '<mo form="postfix">⊤</mo>')

    def fraction(self, above: str, below: str) -> str:
        """What is above over what is below."""
        return f"<mfrac><mrow>{above}</mrow><mrow>{below}</mrow></mfrac>"

    def power(self, base: str, exponent: str) -> str:
        """A base to an exponent."""
        return f"<msup><mrow>{base}</mrow><mrow>{exponent}</mrow></msup>"

    def root(self, x: str) -> str:
        """A square root."""
        return f"<msqrt>{x}</msqrt>"

    def call(self, symbol: str, args: list[str]) -> str:
        """A function's symbol applied to operands."""
        return f"<mrow>{super().call(f'<mi>{escape(symbol)}</mi>', args)}</mrow>"

    def derivative(self, of: str, by: list[str]) -> str:
        """The name of a partial derivative."""
        order = f"<msup><mo>∂</mo><mn>{len(by)}</mn></msup>" if len(by) > 1 else "<mo>∂</mo>"
        return self.fraction(f"{order}{of}", "".join(f"<mo>∂</mo>{x}" for x in by))

    def equation(self, *sides: str) -> str:
        """Sides that are equal."""
        return "<mo>=</mo>".join(sides)


TEXT, LATEX, MATHML = Notation(), Latex(), MathML()

_LATEX_ACTIVE = str.maketrans(
    {
        **{c: f"\\{c}" for c in "#$%&_{}"},
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
    }
)
_LATEX_FUNCTIONS = re.compile("exp|log|(arc)?(sin|cos|tan)|(sin|cos|tan)h|max|min")


def _braced(x: str) -> str:
    return x if len(x) == 1 else f"{{{x}}}"


def _latex_word(word: str) -> str:
    if len(word) == 1 and (greek := re.fullmatch("GREEK SMALL LETTER ([A-Z]+)", unicodedata.name(word, ""))):
        return "\\" + greek[1].lower().replace("lamda", "lambda")
    if word.isascii() and word.isalpha():
        return word if len(word) == 1 else rf"\mathrm{{{word}}}"
    return rf"\text{{{word.translate(_LATEX_ACTIVE)}}}"


def _latex_function(word: str) -> str:
    if _LATEX_FUNCTIONS.fullmatch(word):
        return f"\\{word}"
    return rf"\operatorname{{{word}}}" if word.isascii() else _latex_word(word)
