"""micrograd_xor: a tiny scalar autograd engine that can be read in one sitting.

Write equations with `Value`; read every partial derivative as a number (`backward`), as a graph (`gradient`),
as a picture (`draw`).
"""

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
