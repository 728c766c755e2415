"""micrograd_xor: a tiny scalar autograd engine that can be read in one sitting.

Write equations with `Value`; read every partial derivative as a number (`backward`), as a graph (`gradient`),
as a picture (`draw`).
"""

import importlib.util as _importing
import os as _os
import sys as _sys
from pathlib import Path as _Path

if _os.environ.get("MICROGRAD_XOR_INTERPRETED"):  # the compiled file lies beside the source: name the source
    _spec = _importing.spec_from_file_location("micrograd_xor.value", _Path(__file__).with_name("value.py"))
    assert _spec is not None and _spec.loader is not None
    _sys.modules["micrograd_xor.value"] = _value = _importing.module_from_spec(_spec)
    _spec.loader.exec_module(_value)

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
from micrograd_xor.value import Value, compiled, topological_order

__version__ = "0.1.0"
