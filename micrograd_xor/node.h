/* The node of the compiled engine: what a `Value` is in C.
 *
 * A recorded graph has no cycles, so its nodes stay out of the garbage collector's lists: walking
 * them at every collection would cost more than recording them. The type remains a collectable one, for
 * the rare node that can close a cycle (node_track). Freeing a chain of any length never recurses.
 */
#include <Python.h>
#include <stddef.h>

typedef struct Node { /* what value.py declares as the fields of Value, in the same order */
    PyObject_HEAD
    struct Node *_a, *_b; /* operands, or NULL; of a wide node the tuple of its operands, and their partials */
    PyObject *_own;       /* the instance's dict, or NULL */
    double _data, _grad, _da, _db;
    int _uses;
    unsigned short _row;
    unsigned char _wide, _custom;
} Node;

static PyTypeObject *node_type;

#include "slab.h"

/* A computed node is given all it has when it is made. An operand None is a constant's, and NULL from here on. */
static inline PyObject *node_new(unsigned short row, double data, PyObject *a, PyObject *b, double da, double db) {
    Node *n = node_take();
    if (!n) return NULL;
    n->_a = a == Py_None ? NULL : (Node *)Py_NewRef(a);
    n->_b = b == Py_None ? NULL : (Node *)Py_NewRef(b);
    n->_own = NULL;
    n->_data = data;
    n->_grad = 0.0;
    n->_da = da;
    n->_db = db;
    n->_uses = 0;
    n->_row = row;
    n->_wide = n->_custom = 0;
    return (PyObject *)n;
}

/* The operands of a wide node, and as bytes their partials; like the node, they stay out of the collector's lists. */
static inline void node_widen(PyObject *node, PyObject *args, PyObject *partials) {
    Node *n = (Node *)node;
    n->_wide = 1;
    Py_XSETREF(n->_a, (Node *)Py_NewRef(args));
    Py_XSETREF(n->_b, (Node *)Py_NewRef(partials));
    PyObject_GC_UnTrack(args);
}

static inline Py_ssize_t node_width(Node *n) { return PyTuple_GET_SIZE(n->_a); }
static inline double *doubles_in(PyObject *bytes) { return (double *)PyBytes_AS_STRING(bytes); }
static inline double node_partial(Node *n, Py_ssize_t i) { return doubles_in((PyObject *)n->_b)[i]; }

/* Of a tuple of operands: whether one is a node or a float, and its number. */
static inline int is_plain(PyObject *args, Py_ssize_t i) {
    PyObject *x = PyTuple_GET_ITEM(args, i);
    return Py_TYPE(x) == node_type || PyFloat_CheckExact(x);
}

static inline double number_at(PyObject *args, Py_ssize_t i) {
    PyObject *x = PyTuple_GET_ITEM(args, i);
    return Py_TYPE(x) == node_type ? ((Node *)x)->_data : PyFloat_AS_DOUBLE(x);
}

/* NULL for a constant */
static inline Node *node_operand(Node *n, Py_ssize_t i) {
    PyObject *x = PyTuple_GET_ITEM(n->_a, i);
    return Py_TYPE(x) == node_type ? (Node *)x : NULL;
}

/* The nodes that a sweep comes back to. */
static PER_THREAD Node **node_stack;
static PER_THREAD size_t node_height, node_room;
static PER_THREAD int node_short; /* of memory: node_check tells, once the walk has ended */

static inline void node_push(Node *n) {
    if (!n) return;
    if (node_height == node_room) {
        size_t room = node_room ? 2 * node_room : 1024;
        Node **stack = PyMem_Realloc(node_stack, room * sizeof *stack);
        if (!stack) {
            node_short = 1;
            return;
        }
        node_stack = stack;
        node_room = room;
    }
    node_stack[node_height++] = n;
}

/* After a walk: its stack is empty. A large one is given back. */
static int node_check(void) {
    if (node_room > 65536) {
        PyMem_Free(node_stack);
        node_stack = NULL;
        node_room = 0;
    }
    if (!node_short) return 0;
    node_short = 0;
    PyErr_NoMemory();
    return -1;
}

/* A walk goes from the latest node to the first, and nodes lie in that order: the sixteenth from here is wanted soon. */
static inline void node_ahead(Node *n) {
#if defined(STRIDE) && defined(__GNUC__)
    __builtin_prefetch((char *)n - 16 * STRIDE, 1);
#else
    (void)n;
#endif
}

static inline Node *node_pop(void) { return node_height ? node_stack[--node_height] : NULL; }

/* What `Value(...)` starts from: like any allocation, but not yet in the collector's lists. */
static PyObject *node_alloc(PyTypeObject *Py_UNUSED(type), Py_ssize_t Py_UNUSED(items)) {
    return node_new(0, 0.0, Py_None, Py_None, 0.0, 0.0);
}

static vectorcallfunc node_constructor;

/* `Value(0.5)`, without asking what the other seven arguments are. */
static PyObject *node_call(PyObject *type, PyObject *const *args, size_t flags, PyObject *names) {
    if (PyVectorcall_NARGS(flags) == 1 && !names && PyFloat_CheckExact(args[0]))
        return node_new(0, PyFloat_AS_DOUBLE(args[0]), Py_None, Py_None, 0.0, 0.0);
    return node_constructor(type, args, flags, names);
}

static PER_THREAD Node *node_dying; /* a list, linked through the type */
static PER_THREAD int node_freeing;

static inline void node_die(Node *n) {
    if (n->_own) PyObject_GC_UnTrack(n);
    n->ob_base.ob_type = (PyTypeObject *)node_dying;
    node_dying = n;
}

/* Py_XDECREF without the way round by node_dealloc */
static inline void node_drop(Node *n) {
#ifdef Py_GIL_DISABLED
    Py_XDECREF(n);
#else
    if (!n) return;
    Py_SET_REFCNT((PyObject *)n, Py_REFCNT(n) - 1);
    if (Py_REFCNT(n) == 0) node_die(n);
#endif
}

static inline void node_free(Node *n) {
    Node *a = n->_a, *b = n->_b;
    PyObject *own = n->_own;
    int wide = n->_wide;
    n->ob_base.ob_type = node_type;
    node_give(n);
    if (wide) {
        Py_DECREF(a);
        Py_DECREF(b);
    } else {
        node_drop(a);
        node_drop(b);
    }
    Py_XDECREF(own);
}

/* An operand that goes with its last user only joins the list, whatever the depth. */
static void node_dealloc(PyObject *self) {
    Node *n = (Node *)self;
    node_die(n);
    if (node_freeing) return;
    node_freeing = 1;
    while ((n = node_dying)) {
        node_dying = (Node *)n->ob_base.ob_type;
        node_free(n);
    }
    node_freeing = 0;
}

static int node_traverse(PyObject *self, visitproc visit, void *arg) {
    Node *n = (Node *)self;
    Py_VISIT(n->_a);
    Py_VISIT(n->_b);
    Py_VISIT(n->_own);
    return 0;
}

/* Cycles run through a node's own attributes only. The dict itself stays: it tells that the node is tracked. */
static int node_clear(PyObject *self) {
    PyObject *own = ((Node *)self)->_own;
    if (own) PyDict_Clear(own);
    return 0;
}

/* Through its own attributes a node may close a cycle: from the first on, the collector must see it. */
static void node_track(Node *n) {
    if (PyObject_GC_IsTracked((PyObject *)n)) return;
    PyObject_GC_Track(n);
    if (n->_wide && !PyObject_GC_IsTracked((PyObject *)n->_a)) PyObject_GC_Track(n->_a);
}

static PyObject *node_attributes(PyObject *self, int make) {
    Node *n = (Node *)self;
    if (!n->_own) {
        if (!make) Py_RETURN_NONE;
        if (!(n->_own = PyDict_New())) return NULL;
        node_track(n);
    }
    return Py_NewRef(n->_own);
}

static PyObject *node_dict(PyObject *self, void *Py_UNUSED(closure)) { return node_attributes(self, 1); }

static PyObject *name_data, *name_grad;

/* `data` and `grad` without a search through the type, for scripts that step their parameters in Python. */
static int node_setattro(PyObject *self, PyObject *name, PyObject *value) {
    Node *n = (Node *)self;
    if (value && PyFloat_CheckExact(value) && (name == name_data || name == name_grad)) {
        *(name == name_data ? &n->_data : &n->_grad) = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    int result = PyObject_GenericSetAttr(self, name, value);
    if (n->_own) node_track(n);
    return result;
}

/* Of two nodes, the operators that most nodes come from go without Cython's search for who is left and who is right. */
#define OPERATOR(slot)                                                     \
    static binaryfunc slot##_of_nodes, slot##_of_any;                      \
    static PyObject *node_##slot(PyObject *x, PyObject *y) {               \
        int nodes = Py_TYPE(x) == node_type && Py_TYPE(y) == node_type;    \
        return nodes ? slot##_of_nodes(x, y) : slot##_of_any(x, y);        \
    }                                                                      \
    static void node_on_##slot(void *of_nodes) {                           \
        slot##_of_nodes = (binaryfunc)of_nodes;                            \
        slot##_of_any = node_type->tp_as_number->nb_##slot;                \
        node_type->tp_as_number->nb_##slot = node_##slot;                  \
    }

OPERATOR(add)
OPERATOR(subtract)
OPERATOR(multiply)

static int node_install(PyObject *type) {
    static PyGetSetDef dict = {"__dict__", node_dict, NULL, NULL, NULL};
    PyTypeObject *t = node_type = (PyTypeObject *)type;
    if (t->tp_basicsize != sizeof(Node)) {
        PyErr_SetString(PyExc_SystemError, "Value's fields must lie as node.h says, got another size. Rebuild.");
        return -1;
    }
    t->tp_flags |= Py_TPFLAGS_HAVE_GC;
    t->tp_alloc = node_alloc;
    t->tp_dealloc = node_dealloc;
    t->tp_traverse = node_traverse;
    t->tp_clear = node_clear;
    t->tp_setattro = node_setattro;
    t->tp_dictoffset = offsetof(Node, _own);
    if ((node_constructor = t->tp_vectorcall)) t->tp_vectorcall = node_call;
    name_data = PyUnicode_InternFromString("data");
    name_grad = PyUnicode_InternFromString("grad");
    PyObject *descriptor = PyDescr_NewGetSet(t, &dict);
    int failed = !name_data || !name_grad || !descriptor || PyDict_SetItemString(t->tp_dict, "__dict__", descriptor);
    Py_XDECREF(descriptor);
    PyType_Modified(t);
    return failed ? -1 : 0;
}
