"""`Value`: a number that remembers how it was computed, and the reverse sweep over that memory.

The engine in one file. Recording keeps, for each operation, its operands and its local partials;
`backward` visits the recorded nodes once, each after every node that used it, and hands each operand
its share: adjoint × local partial. Nothing recurses, so a chain may be as long as memory allows.

A node has at most two operands in its own fields; a constant operand is no node: its number stays in
the field that would hold its partial. A wide node, of more operands, keeps a tuple in one field and the partials
in the other.

This file is plain Python. Where a C compiler was present at installation Cython has compiled it, unchanged;
`compiled` says which one runs. Both give the same bits and the same error texts.
"""

from __future__ import annotations

import sys
import threading
from array import array
from math import inf
from numbers import Real

try:
    import cython
except ImportError:
    from micrograd_xor import _cython as cython

from micrograd_xor import ops, table

compiled: bool = cython.compiled

ADD = cython.declare(cython.ushort, ops.add.index)
SUB = cython.declare(cython.ushort, ops.sub.index)
MUL = cython.declare(cython.ushort, ops.mul.index)
DIV = cython.declare(cython.ushort, ops.div.index)
NEG = cython.declare(cython.ushort, ops.neg.index)
POW = cython.declare(cython.ushort, ops.pow.index)
EXP = cython.declare(cython.ushort, ops.exp.index)
RELU = cython.declare(cython.ushort, ops.relu.index)
TOTAL = cython.declare(cython.ushort, ops.summation.index)
DOT = cython.declare(cython.ushort, ops.inner_product.index)
OWN = cython.declare(cython.ushort, table.OWN)

# A compiled sweep holds the interpreter's lock, where there is one, from its first node to its last.
ATOMIC = cython.declare(cython.bint, cython.compiled and getattr(sys, "_is_gil_enabled", lambda: True)())
_one_sweep_at_a_time = cython.declare(object, threading.RLock())


@cython.final
@cython.cclass
class Value:
    """A number that remembers how it was computed.

    `data` is the number and `grad` the adjoint ∂root/∂self, both float64. A leaf's `grad` adds up over
    sweeps until it is zeroed; a computed node's is the last sweep's. Equality and hash are identity.
    `Value(data, children, op, label)` and `Value(data, children, local_grads)` make a node of your own
    operation, as micrograd's and microgpt's constructors do. TypeError where data is not a real number.

    >>> x = Value(3.0, label="x")
    >>> y = x * x + 1
    >>> y.backward()
    >>> y.data, x.grad
    (10.0, 6.0)
    """

    __slots__ = ("__dict__", "_a", "_b", "_custom", "_da", "_data", "_db", "_grad", "_row", "_uses", "_wide")
    _a: Borrowed  # node.h knows these fields by their place, and holds what they point to
    _b: Borrowed
    _own: cython.p_void  # the instance's dict, as Python keeps it
    _data: cython.double
    _grad: cython.double
    _da: cython.double
    _db: cython.double
    _uses: cython.int
    _row: cython.ushort
    _wide: cython.uchar
    _custom: cython.uchar

    def __init__(self, data, _children=(), _op="", label="", *, children=(), local_grads=()):
        self._data = _constant(data, "Value's data")
        if not cython.compiled:
            self._a = self._b = NULL
            self._grad = self._da = self._db = 0.0
            self._uses = self._row = self._wide = self._custom = 0
        if _children or children:
            operands = tuple(_children or children)
            name, local_grads = (_op, local_grads) if isinstance(_op, str) else ("", _op)
            _widen(self, operands, _local_grads(operands, local_grads))
            self._row = OWN
            if name:
                _attributes(self, True)["_op"] = name
        if label:
            self.label = label

    @property
    def data(self):
        """The number, float64. Assigning it does not recompute what was recorded from it."""
        return self._data

    @data.setter
    def data(self, data):
        self._data = _constant(data, "Value's data")

    @property
    def grad(self):
        """The adjoint, float64: the derivative of the last sweep's root by this node, or a leaf's running sum."""
        return self._grad

    @grad.setter
    def grad(self, grad):
        self._grad = _constant(grad, "Value's grad")

    @property
    def label(self):
        """The name used in pictures, derivations and error messages; empty where there is none."""
        own = _attributes(self, False)
        return own.get("label", "") if own else ""

    @label.setter
    def label(self, label):
        if not isinstance(label, str):
            raise TypeError(f"Value's label must be a str, got {label!r}. Name it as you would on paper.")
        _attributes(self, True)["label"] = label

    @property
    def op(self):
        """The row of the table that computed this node; None for a leaf or for an operation of the user's own."""
        return table.ROWS[self._row]

    @property
    def args(self):
        """The operands in order, with multiplicity: Values, and floats for constants."""
        if self._wide:
            return cython.cast(object, self._a)
        row = table.ROWS[self._row]
        if row is None:
            return ()
        a = self._da if self._a is NULL else cython.cast(object, self._a)
        if row.arity == 1:
            return (a,)
        return (a, self._db if self._b is NULL else cython.cast(object, self._b))

    @property
    def partials(self):
        """The local partial by each of `args`, float64, fixed when the node was recorded; 0 for a constant."""
        if self._wide:
            pairs = zip(cython.cast(object, self._a), array("d", cython.cast(object, self._b)), strict=True)
            return tuple([d if isinstance(x, Value) else 0.0 for x, d in pairs])
        row = table.ROWS[self._row]
        if row is None:
            return ()
        da = 0.0 if self._a is NULL else self._da
        if row.arity == 1:
            return (da,)
        return (da, 0.0 if self._b is NULL else self._db)

    def backward(self):
        """Set `grad` of every node this one was computed from to its adjoint; leaves add it to theirs.

        >>> a = Value(2.0)
        >>> (a + a).backward()
        >>> a.grad
        2.0
        """
        if ATOMIC:
            _backward(self)
        else:
            with _one_sweep_at_a_time:
                _backward(self)

    def zero_grad(self):
        """Set `grad` of this node and of every node it was computed from to 0."""
        for node in topological_order(self):
            node.grad = 0.0

    def __add__(self, other):
        if isinstance(other, Value):
            return _sum(self, other)
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            return _node(ADD, self._data + c, self, None, 1.0, c)
        return _mixed(ops.add, self, other)

    def __radd__(self, other):
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            return _node(ADD, c + self._data, None, self, c, 1.0)
        return _mixed(ops.add, other, self)

    def __sub__(self, other):
        if isinstance(other, Value):
            return _difference(self, other)
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            return _node(SUB, self._data - c, self, None, 1.0, c)
        return _mixed(ops.sub, self, other)

    def __rsub__(self, other):
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            return _node(SUB, c - self._data, None, self, c, -1.0)
        return _mixed(ops.sub, other, self)

    def __mul__(self, other):
        if isinstance(other, Value):
            return _product(self, other)
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            return _node(MUL, self._data * c, self, None, c, c)
        return _mixed(ops.mul, self, other)

    def __rmul__(self, other):
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            return _node(MUL, c * self._data, None, self, c, c)
        return _mixed(ops.mul, other, self)

    def __truediv__(self, other):
        if isinstance(other, Value):
            x: Value = other
            if x._data != 0.0:
                q: cython.double = self._data / x._data
                return _node(DIV, q, self, x, 1.0 / x._data, -q / x._data)
        elif isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            if c != 0.0:
                return _node(DIV, self._data / c, self, None, 1.0 / c, c)
        return _mixed(ops.div, self, other)

    def __rtruediv__(self, other):
        if isinstance(other, (int, float)) and self._data != 0.0:
            c: cython.double = _constant(other)
            q: cython.double = c / self._data
            return _node(DIV, q, None, self, c, -q / self._data)
        return _mixed(ops.div, other, self)

    def __pow__(self, other):
        if isinstance(other, (int, float)):
            c: cython.double = _constant(other)
            if self._data > 0.0 or (c >= 1.0 and c % 1.0 == 0.0):
                p: cython.double = _power(self._data, c)
                d: cython.double = c * _power(self._data, c - 1.0)
                if -inf < p < inf and -inf < d < inf:
                    return _node(POW, p, self, None, d, c)
        return _mixed(ops.pow, self, other)

    def __rpow__(self, other):
        return _mixed(ops.pow, other, self)

    def __neg__(self):
        return _node(NEG, -self._data, self, None, -1.0, 0.0)

    def __pos__(self):
        return self

    def __abs__(self):
        return ops.abs(self)

    def exp(self):
        """e to this power; OverflowError above 709.78."""
        if cython.compiled:
            e: cython.double = c_exp(self._data)
            if e < inf:
                return _node(EXP, e, self, None, e, 0.0)
        return _unary(ops.exp, self)

    def log(self):
        """The natural logarithm; ValueError at 0 and below."""
        return _unary(ops.log, self)

    def tanh(self):
        """The hyperbolic tangent."""
        return _unary(ops.tanh, self)

    def sigmoid(self):
        """The logistic function 1 / (1 + exp(-self))."""
        return _unary(ops.sigmoid, self)

    def relu(self):
        """The positive part; its slope at 0 is 0."""
        if self._data > 0.0:
            return _node(RELU, self._data, self, None, 1.0, 0.0)
        return _node(RELU, self._data * 0.0 if self._data != self._data else 0.0, self, None, 0.0, 0.0)

    def __op__(self, row, operands):
        """Record `row` applied to Values and numbers: one node with its value and local partials."""
        return _record(row, operands)

    def __bool__(self):
        raise _undecided(f"bool({self!r})")

    def __lt__(self, other):
        raise _undecided(f"{self!r} < {other!r}")

    def __le__(self, other):
        raise _undecided(f"{self!r} <= {other!r}")

    def __gt__(self, other):
        raise _undecided(f"{self!r} > {other!r}")

    def __ge__(self, other):
        raise _undecided(f"{self!r} >= {other!r}")

    def __hash__(self):
        return object.__hash__(self)

    def __repr__(self):
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self._data!r}, grad={self._grad!r}{label})"

    # --- the surface that micrograd's and microgpt's scripts read and write ---------------------

    @property
    def _op(self):
        row, own = table.ROWS[self._row], _attributes(self, False)
        return row.symbol if row else own.get("_op", "") if own else ""

    @property
    def _children(self):
        return tuple([x for x in self.args if isinstance(x, Value)])

    @property
    def _prev(self):
        return set(self._children)

    @property
    def _local_grads(self):
        return tuple([d for x, d in zip(self.args, self.partials, strict=True) if isinstance(x, Value)])

    @property
    def _backward(self):
        own = _attributes(self, False)
        return own["_backward"] if own and "_backward" in own else self._hand_down

    @_backward.setter
    def _backward(self, function):
        _attributes(self, True)["_backward"] = function
        self._custom = 1

    def _hand_down(self):
        for x, d in zip(self.args, self.partials, strict=False):
            if isinstance(x, Value):
                x.grad += self._grad * d

    def __reduce__(self):
        from micrograd_xor import state

        own = dict(_attributes(self, False) or {})
        own.pop("_op", None)  # the constructor's, to which it is given back
        return state.reduce(self, own)


Operand = Value | float

if cython.compiled:
    node_install(Value)
    node_on_add(cython.cast(cython.p_void, _sum))
    node_on_subtract(cython.cast(cython.p_void, _difference))
    node_on_multiply(cython.cast(cython.p_void, _product))
else:  # what node.h is to the compiled engine
    del Value.__hash__  # a plain class has it from object, and faster
    _stack: list = []
    globals().update(NULL=None, Borrowed=Value, node_push=lambda node: node is None or _stack.append(node))
    globals().update(node_pop=lambda: _stack.pop() if _stack else None, node_check=lambda: None)


@cython.cfunc
def _attributes(node: Value, make: cython.bint) -> dict:
    """The node's own attributes; None where it has none and none are to be made."""
    return node_attributes(node, make) if cython.compiled else node.__dict__


@cython.cfunc
@cython.inline
def _node(
    row: cython.ushort, data: cython.double, a: object, b: object, da: cython.double, db: cython.double
) -> object:
    if cython.compiled:
        return node_new(row, data, a, b, da, db)
    out = Value.__new__(Value)
    out._row, out._data, out._a, out._b, out._da, out._db = row, data, a, b, da, db
    out._grad, out._uses, out._wide, out._custom = 0.0, 0, 0, 0
    return out


@cython.cfunc
def _widen(node: Value, args: tuple, partials: object):
    if cython.compiled:
        node_widen(node, args, partials)
    else:
        node._wide, node._a, node._b = 1, args, partials


@cython.cfunc
def _doubles(numbers: object) -> object:
    """Numbers as a wide node keeps them."""
    doubles = array("d", numbers)
    return doubles.tobytes() if cython.compiled else doubles


@cython.cfunc
def _sum(x: Value, y: Value) -> object:
    return _node(ADD, x._data + y._data, x, y, 1.0, 1.0)


@cython.cfunc
def _difference(x: Value, y: Value) -> object:
    return _node(SUB, x._data - y._data, x, y, 1.0, -1.0)


@cython.cfunc
def _product(x: Value, y: Value) -> object:
    return _node(MUL, x._data * y._data, x, y, y._data, x._data)


@cython.cfunc
@cython.inline
def _constant(x: object, thing: object = "An operand") -> cython.double:
    """A real number as a float, in the quick way where there is one; an error in our own words where it is none."""
    if type(x) is float:
        return x
    if type(x) is int:
        try:
            return float(x)
        except OverflowError:
            pass
    return table.number(x, thing)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _power(x: cython.double, y: cython.double) -> cython.double:
    """x ** y, infinite where it overflows, as C has it, and not an error, as Python has it."""
    if y == 1.0:
        return x
    if cython.compiled:
        return c_pow(x, y)
    try:
        return x**y
    except OverflowError:
        return inf


@cython.cfunc
def _mixed(row: object, x: object, y: object) -> object:
    """An operator where one side is any number; NotImplemented where it is foreign."""
    if isinstance(x, (Value, float, int, Real)) and isinstance(y, (Value, float, int, Real)):
        return _record(row, (x, y))
    return NotImplemented


@cython.cfunc
def _unary(row: object, x: Value) -> Value:
    n = x._data
    try:
        data = row.value(n)
        return _node(row.index, data, x, None, row.partial(0, (n,), data), 0.0)
    except (ValueError, ArithmeticError) as error:
        raise row.refusal(error, (x,)) from None


@cython.cfunc
def _record(row: object, operands: tuple) -> Value:
    """Any row on any operands: its value, and its partial by each operand that is a Value."""
    if row.arity is not None:
        row.check_arity(operands)
    args: tuple = operands
    if not _all_plain(operands):
        args = tuple([x if isinstance(x, Value) else table.number(x) for x in operands])
    if cython.compiled and row is ops.inner_product and len(args) % 2 == 0:
        return _record_dot(args)
    if cython.compiled and row is ops.summation:
        return _record_total(args)
    numbers = _numbers(args)
    try:
        data = row.value(*numbers)
        partials = _partials(row, args, numbers, data)
    except (ValueError, ArithmeticError) as error:
        raise row.refusal(error, operands) from None
    return _wired(row, data, args, partials)


@cython.cfunc
def _all_plain(operands: tuple) -> cython.bint:
    if not cython.compiled:
        return {Value, float}.issuperset(map(type, operands))
    i: cython.Py_ssize_t = 0
    while i < len(operands) and is_plain(operands, i):
        i += 1
    return i == len(operands)


@cython.cfunc
def _numbers(args: tuple) -> list:
    if cython.compiled:
        return [number_at(args, i) for i in range(len(args))]
    return [x._data if isinstance(x, Value) else x for x in args]


@cython.cfunc
def _record_total(args: tuple) -> Value:
    """The row `total` in one pass."""
    partials: bytes = new_bytes(NULL, 8 * len(args))
    data: cython.double = 0.0
    i: cython.Py_ssize_t
    for i in range(len(args)):
        data += number_at(args, i)
        doubles_in(partials)[i] = 1.0
    return _wide(TOTAL, data, args, partials)


@cython.cfunc
def _record_dot(args: tuple) -> Value:
    """The row `dot` in one pass: the partial by a factor is the other factor."""
    half: cython.Py_ssize_t = len(args) // 2
    partials: bytes = new_bytes(NULL, 16 * half)
    data: cython.double = 0.0
    i: cython.Py_ssize_t
    for i in range(half):
        x: cython.double = number_at(args, i)
        y: cython.double = number_at(args, half + i)
        data += x * y
        doubles_in(partials)[i] = y
        doubles_in(partials)[half + i] = x
    return _wide(DOT, data, args, partials)


@cython.cfunc
def _partials(row: object, args: tuple, numbers: list, data: object) -> object:
    if row is ops.summation:
        return [1.0] * len(args)
    if row is ops.inner_product:
        half = len(args) // 2
        return numbers[half:] + numbers[:half]
    operands = tuple(numbers)
    return [row.partial(i, operands, data) if isinstance(x, Value) else 0.0 for i, x in enumerate(args)]


@cython.cfunc
def _wired(row: object, data: object, args: tuple, partials: object) -> Value:
    """A node of a row on its operands, with beside each its local partial or, for a constant, its number."""
    if row.arity != 1 and row.arity != 2:
        return _wide(row.index, data, args, _doubles(partials))
    nodes = [x if isinstance(x, Value) else None for x in args]
    fields = [d if isinstance(x, Value) else x for x, d in zip(args, partials, strict=True)]
    if row.arity == 1:
        return _node(row.index, data, nodes[0], None, fields[0], 0.0)
    return _node(row.index, data, nodes[0], nodes[1], fields[0], fields[1])


@cython.cfunc
def _wide(row: cython.ushort, data: cython.double, args: tuple, partials: object) -> Value:
    out: Value = _node(row, data, None, None, 0.0, 0.0)
    _widen(out, args, partials)
    return out


def restored(row, data, grad, args, partials):
    """A node as `state.reduce` took it apart; its number and partials are taken as they were, not recomputed."""
    own = isinstance(row, str)
    out: Value = Value(data, args, row, local_grads=partials) if own or not args else _wired(row, data, args, partials)
    out._grad = grad
    return out


def _undecided(question):
    return TypeError(f"A condition must be asked of a number, got {question}. Ask .data, or use where or maximum.")


def _local_grads(operands, local_grads):
    for x in operands:
        if not isinstance(x, Value):
            raise TypeError(f"Value's children must be Values, got {x!r}. Wrap a constant in Value first.")
    if local_grads and len(local_grads) != len(operands):
        raise ValueError(
            f"Value's local_grads must be one a child, got {len(local_grads)} for {len(operands)}. Match them."
        )
    return _doubles([table.number(d, "A local grad") for d in local_grads] or [0.0] * len(operands))


def topological_order(*roots):
    """Every node that the roots were computed from, and the roots: operands before results, each once.

    >>> x = Value(2.0, label="x")
    >>> [node.data for node in topological_order(x * x + x)]
    [2.0, 4.0, 6.0]
    """
    order, seen, stack = [], set(), list(reversed(roots))
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            stack += [x for x in reversed(node.args) if isinstance(x, Value) and x not in seen]
    return order


@cython.cfunc
def _backward(root: Value):
    try:
        if _count_uses(cython.cast(Borrowed, root)):
            _sweep_in_order(root)
        else:
            _sweep(cython.cast(Borrowed, root))
        node_check()
    except BaseException:  # an interrupt must not leave half-counted uses to the next sweep
        while node_pop() is not NULL:
            pass
        _forget_uses(topological_order(root))
        raise


@cython.cfunc
@cython.exceptval(check=False)
def _count_uses(root: Borrowed) -> cython.bint:
    """Count in each computed node how often the graph below root uses it; tell whether any has its own `_backward`."""
    custom: cython.bint = False
    node: Borrowed = root
    while node is not NULL:
        if cython.compiled:
            node_ahead(node)
        custom |= node._custom
        if node._row:
            node._grad = 0.0
        following = _count_wide(node) if node._wide else _count(node._b, _count(node._a, NULL))
        node = node_pop() if following is NULL else following
    return custom


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _count(x: Borrowed, following: Borrowed) -> Borrowed:
    """Count a use of x. At the first x is to follow, and what was to is stacked; so a chain never touches the stack."""
    if x is NULL or not x._row:
        return following
    x._uses += 1
    if x._uses > 1:
        return following
    node_push(following)
    return x


@cython.cfunc
@cython.exceptval(check=False)
def _sweep(root: Borrowed) -> cython.void:
    """Each node hands its operands their shares of its adjoint, once all its own users have handed it theirs."""
    root._grad += 1.0
    node: Borrowed = root
    while node is not NULL:
        if cython.compiled:
            node_ahead(node)
        if node._wide:
            following = _hand_wide(node)
        else:
            following = _hand(node._b, node._grad * node._db, _hand(node._a, node._grad * node._da, NULL))
        node = node_pop() if following is NULL else following


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _hand(x: Borrowed, share: cython.double, following: Borrowed) -> Borrowed:
    """Add a share to the adjoint of x. With the last one x is to follow, and what was to is stacked."""
    if x is NULL:
        return following
    x._grad += share
    if not x._row:
        return following
    x._uses -= 1
    if x._uses:
        return following
    node_push(following)
    return x


@cython.cfunc
@cython.exceptval(check=False)
def _count_wide(node: Borrowed) -> Borrowed:
    following: Borrowed = NULL
    i: cython.Py_ssize_t
    if cython.compiled:
        for i in range(node_width(node)):
            following = _count(node_operand(node, i), following)
    else:
        for x in node._a:
            if isinstance(x, Value) and x._row:
                if x._uses:  # spare the call
                    x._uses += 1
                else:
                    following = _count(x, following)
    return following


@cython.cfunc
@cython.exceptval(check=False)
def _hand_wide(node: Borrowed) -> Borrowed:
    following: Borrowed = NULL
    i: cython.Py_ssize_t
    if cython.compiled:
        for i in range(node_width(node)):
            following = _hand(node_operand(node, i), node._grad * node_partial(node, i), following)
    else:
        grad = node._grad
        for x, d in zip(node._a, node._b, strict=True):
            if isinstance(x, Value):
                if x._uses == 1:
                    following = _hand(x, grad * d, following)
                else:  # spare the call
                    x._grad += grad * d
                    if x._row:
                        x._uses -= 1
    return following


@cython.cfunc
def _sweep_in_order(root: Value):
    """The same where a node brings a `_backward` of its own, which may do anything, another sweep included."""
    order = topological_order(root)
    _forget_uses(order)
    root._grad += 1.0
    for node in reversed(order):
        node._backward()


@cython.cfunc
def _forget_uses(nodes: list):
    node: Value
    for node in nodes:
        node._uses = 0
