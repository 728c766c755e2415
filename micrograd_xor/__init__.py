"""micrograd_xor: a tiny scalar autograd engine that reads in one sitting and runs at the speed of the machine.

Write equations with `Value`; read every partial derivative as a number (`backward`), as a graph (`gradient`), as a
picture (`draw`), as the closed form a textbook prints (`derive`), and as compiled code (`compile`).
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if os.environ.get("MICROGRAD_XOR_INTERPRETED"):  # the compiled file lies beside the source and would win
    from importlib.machinery import ModuleSpec, SourceFileLoader

    _loader = SourceFileLoader("micrograd_xor.value", os.path.join(os.path.dirname(__file__), "value.py"))
    value = sys.modules[_loader.name] = ModuleType(_loader.name)
    value.__spec__ = ModuleSpec(_loader.name, _loader, origin=_loader.path)
    _loader.exec_module(value)

from micrograd_xor.gradient import derivative, gradient, hessian, hvp, jacobian, jvp, partials
from micrograd_xor.ops import (
    abs,
    arccos,
    arcsin,
    arctan,
    binary_cross_entropy,
    cos,
    cosh,
    dot,
    erf,
    exp,
    expm1,
    gaussian,
    log,
    log1p,
    log_sigmoid,
    maximum,
    minimum,
    pow,
    relu,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    step,
    tan,
    tanh,
    total,
    where,
)
from micrograd_xor.table import Op
from micrograd_xor.value import Value, compiled, topological_order

if TYPE_CHECKING:
    from micrograd_xor.compiler import compile as compile
    from micrograd_xor.derive import derive as derive
    from micrograd_xor.derive import derive_all as derive_all
    from micrograd_xor.derive import explain as explain
    from micrograd_xor.draw import draw as draw

__version__ = "0.1.0"

# Imported when first asked for, and left out of `import *`: they need more than the standard library.
_LATER = {
    "compile": "compiler",
    "derive": "derive",
    "derive_all": "derive",
    "draw": "draw",
    "explain": "derive",
}

__all__ = [
    "Op",
    "Value",
    "abs",
    "arccos",
    "arcsin",
    "arctan",
    "binary_cross_entropy",
    "compiled",
    "cos",
    "cosh",
    "derivative",
    "dot",
    "erf",
    "exp",
    "expm1",
    "gaussian",
    "gradient",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "log",
    "log1p",
    "log_sigmoid",
    "maximum",
    "minimum",
    "partials",
    "pow",
    "relu",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "step",
    "tan",
    "tanh",
    "topological_order",
    "total",
    "where",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"micrograd_xor has no attribute {name!r}.")
    try:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} must have {error.name} installed, got none. Run: pip install 'micrograd-xor[study]'."
        ) from error


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        """Importing the submodule `draw` must not hide the function `draw`."""
        super().__setattr__(name, getattr(value, name) if _LATER.get(name) == name else value)


sys.modules[__name__].__class__ = _Package
