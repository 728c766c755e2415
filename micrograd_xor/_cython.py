"""What `value.py` needs of the `cython` module where Cython is not installed: names that do nothing."""

from typing import Any

compiled = False
double = int = bint = void = p_void = Py_ssize_t = uchar = ushort = object


def _same(x: Any) -> Any:
    return x


cclass = final = cfunc = inline = _same


def exceptval(**_: Any) -> Any:
    return _same


def declare(_: Any, value: Any) -> Any:
    return value


def cast(_: Any, value: Any) -> Any:
    return value
