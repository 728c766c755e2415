/* Where compiled nodes live.
 *
 * A recorded graph has no cycles, so its nodes stay out of the garbage collector's lists: walking
 * them at every collection would cost more than recording them. The type remains a collectable one, for
 * the rare node that can close a cycle (value.py, _attributes). Freed nodes wait in a short list
 * for the next operation, and freeing a chain of any length never recurses.
 */
#include <Python.h>
#include <stddef.h>
#include <string.h>

typedef struct { /* the head of Cython's struct: value.py declares these five fields first, in this order */
    PyObject_HEAD
    PyObject *a, *b, *row, *wide, *own;
} Node;

#ifdef Py_GIL_DISABLED
#define PER_THREAD _Thread_local
#define MOST_FREE 0
#else
#define PER_THREAD
#define MOST_FREE 131072 /* a step of a small transformer: 14 MB */
#endif

static PER_THREAD Node *node_free, *node_pending;
static PER_THREAD int node_free_count, node_draining;

static inline PyObject *node_new(PyObject *type, PyObject *row, PyObject *a, PyObject *b) {
    Node *n = node_free;
    if (n) {
        node_free = (Node *)n->a;
        node_free_count--;
        Py_SET_REFCNT((PyObject *)n, 1);
    } else if (!(n = PyObject_GC_New(Node, (PyTypeObject *)type))) {
        return NULL;
    }
    n->a = Py_NewRef(a);
    n->b = Py_NewRef(b);
    n->row = Py_NewRef(row);
    n->wide = Py_NewRef(Py_None);
    n->own = Py_NewRef(Py_None);
    return (PyObject *)n;
}

static inline void node_release(Node *n) {
    PyObject *a = n->a, *b = n->b, *row = n->row, *wide = n->wide, *own = n->own;
    if (node_free_count < MOST_FREE) {
        n->a = (PyObject *)node_free;
        node_free = n;
        node_free_count++;
    } else {
        PyObject_GC_Del(n);
    }
    Py_XDECREF(a);
    Py_XDECREF(b);
    Py_XDECREF(row);
    Py_XDECREF(wide);
    Py_XDECREF(own);
}

/* An operand freed while its user is being freed only joins the list of the pending ones. */
static void node_dealloc(PyObject *self) {
    Node *n = (Node *)self;
    if (n->own && n->own != Py_None) PyObject_GC_UnTrack(self);
    if (node_draining) {
        n->ob_base.ob_type = (PyTypeObject *)node_pending;
        node_pending = n;
        return;
    }
    node_draining = 1;
    PyTypeObject *type = Py_TYPE(self);
    node_release(n);
    while ((n = node_pending)) {
        node_pending = (Node *)n->ob_base.ob_type;
        n->ob_base.ob_type = type;
        node_release(n);
    }
    node_draining = 0;
}

/* Cycles run through a node's own attributes only. The dict itself stays: it tells that the node is tracked. */
static int node_clear(PyObject *self) {
    PyObject *own = ((Node *)self)->own;
    if (own && own != Py_None) PyDict_Clear(own);
    return 0;
}

/* What `Value(...)` starts from: like any allocation, but not yet in the collector's lists. */
static PyObject *node_alloc(PyTypeObject *type, Py_ssize_t Py_UNUSED(items)) {
    Node *n = PyObject_GC_New(Node, type);
    if (n) memset(&n->a, 0, type->tp_basicsize - offsetof(Node, a));
    return (PyObject *)n;
}

static void node_install(PyObject *type) {
    ((PyTypeObject *)type)->tp_alloc = node_alloc;
    ((PyTypeObject *)type)->tp_clear = node_clear;
    ((PyTypeObject *)type)->tp_dealloc = node_dealloc;
}
