"""Tape -> one C99 file without dependencies: a formula and its gradients for any machine with a C compiler.

The file compiles with -std=c99 -Wall -Wextra -Werror and gives the same numbers as the tape, in double or in float.
"""

import math
import re
import struct
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from micrograd_xor.tape import Tape

PRECISIONS = {"double": "", "float": "f"}  # and what ends the names of the type's literals and functions

_OPERATORS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "maximum": "({0} > {1} || isnan({0})) ? {0} : {1}",
    "minimum": "({0} < {1} || isnan({0})) ? {0} : {1}",
    "step": "{0} > 0 ? 1 : 0",
    "where": "{0} != 0 ? {1} : {2}",
}
_FUNCTIONS = {name: name for name in ("exp", "expm1", "log", "log1p", "sqrt", "pow", "sin", "cos", "tan", "erf")}
_FUNCTIONS |= {name: name for name in ("sinh", "cosh", "tanh")}
_FUNCTIONS |= {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "abs": "fabs"}

_FILE = """\
/* Written by micrograd_xor from a recorded graph. C99; link with -lm.

   {name} computes one row; {name}_sum and {name}_mean the sum and the mean over rows, at least one
   for the mean, where columns[j][i] is number j of row i. Arrays must not overlap `out`.

{arrays} */

#include <math.h>
#include <stddef.h>

void {name}(const {real} *theta, const {real} *row, {real} *out);
void {name}_sum(const {real} *theta, const {real} *const *columns, size_t rows, {real} *out);
void {name}_mean(const {real} *theta, const {real} *const *columns, size_t rows, {real} *out);

void {name}(const {real} *theta, const {real} *row, {real} *out)
{{
    {body}
}}

void {name}_sum(const {real} *theta, const {real} *const *columns, size_t rows, {real} *out)
{{
    {real} row[{room}], one[{outputs}];
    (void)columns;
    for (size_t j = 0; j < {outputs}; j++) out[j] = 0;
    for (size_t i = 0; i < rows; i++) {{
        {fill}
        {name}(theta, row, one);
        for (size_t j = 0; j < {outputs}; j++) out[j] += one[j];
    }}
}}

void {name}_mean(const {real} *theta, const {real} *const *columns, size_t rows, {real} *out)
{{
    {name}_sum(theta, columns, rows, out);
    for (size_t j = 0; j < {outputs}; j++) out[j] /= ({real})rows;
}}
"""


def source(
    tape: Tape, parameters: int, name: str = "program", precision: str = "double", outputs: Sequence[str] = ()
) -> str:
    """The C99 file of a tape whose first `parameters` inputs are `theta` and whose other inputs are a `row`.

    `outputs` names the tape's outputs in the comment. ValueError where the name is no C identifier, the precision is
    neither "double" nor "float", or the tape has no outputs.

    >>> from micrograd_xor import Value
    >>> w, x = Value(1.0, label="w"), Value(2.0, label="x")
    >>> print(source(Tape.of([w * x], [w, x]), parameters=1))  # doctest: +ELLIPSIS
    /* Written by micrograd_xor ...
       theta[1]: w
       row[1]: x
       out[1]: out_0 */
    ...
        const double r2 = theta[0] * row[0];
        out[0] = r2;
    ...
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name must be a C identifier, got {name!r}. Use letters, digits and _.")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be 'double' or 'float', got {precision!r}. Choose one of them.")
    if not tape.outputs:
        raise ValueError("A tape must have an output to be written in C, got none. Record one.")
    tape = tape.simplified().lowered(_OPERATORS | _FUNCTIONS)
    data = len(tape.inputs) - parameters
    names = outputs or [f"out_{i}" for i in range(len(tape.outputs))]
    arrays = {"theta": tape.inputs[:parameters], "row": tape.inputs[parameters:], "out": names}
    return _FILE.format(
        name=name,
        real=precision,
        arrays="\n".join([_comment(array, labels) for array, labels in arrays.items()]),
        body="\n    ".join(_statements(tape, parameters, precision)),
        room=max(data, 1),
        outputs=len(tape.outputs),
        fill=f"for (size_t j = 0; j < {data}; j++) row[j] = columns[j][i];" if data else "row[0] = 0;",
    )


def _statements(tape: Tape, parameters: int, precision: str) -> Iterator[str]:
    inputs = range(len(tape.inputs))
    texts = [f"theta[{i}]" if i < parameters else f"row[{i - parameters}]" for i in inputs]
    texts += [_literal(c, precision) for c in tape.constants]
    yield "(void)theta, (void)row;"
    for register, step in tape.numbered():
        expression = _spelling(step.op.name, precision).format(*[texts[i] for i in step.args])
        yield f"const {precision} r{register} = {expression};"
        texts.append(f"r{register}")
    yield from [f"out[{j}] = {texts[i]};" for j, i in enumerate(tape.outputs)]


def _spelling(row: str, precision: str) -> str:
    if row in _OPERATORS:
        return _OPERATORS[row]
    places = "{0}, {1}" if row == "pow" else "{0}"
    return f"{_FUNCTIONS[row]}{PRECISIONS[precision]}({places})"


def _literal(constant: float, precision: str) -> str:
    if precision == "float":
        constant = _single(constant)
    if math.isnan(constant):
        return "NAN"
    text = "INFINITY" if math.isinf(constant) else f"{math.fabs(constant)!r}{PRECISIONS[precision]}"
    return f"(-{text})" if math.copysign(1.0, constant) < 0.0 else text


def _single(constant: float) -> float:
    """The nearest float32; a compiler refuses a literal beyond it."""
    try:
        return float(struct.unpack("f", struct.pack("f", constant))[0])
    except OverflowError:
        return math.copysign(math.inf, constant)


def _comment(array: str, labels: Iterable[str]) -> str:
    """One array's contents; what could end a C comment, or continue a line, is spelled as _."""
    labels = [re.sub(r"[*/\\?]", "_", label) if label.isprintable() else "_" for label in labels]
    return textwrap.fill(
        f"{array}[{len(labels)}]: {', '.join(labels)}", 100, initial_indent="   ", subsequent_indent="   "
    )
