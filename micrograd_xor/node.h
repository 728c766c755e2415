/* Where compiled nodes live.
 *
 * A recorded graph has no cycles, so its nodes stay out of the garbage collector's lists: walking
 * them at every collection would cost more than recording them. The type remains a collectable one, for
 * the rare node that can close a cycle (value.py, _attributes). Freeing a chain of any length never recurses.
 */
#include <Python.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

typedef struct { /* the head of Cython's struct: value.py declares these five fields first, in this order */
    PyObject_HEAD
    PyObject *a, *b, *row, *wide, *own;
} Node;

#if defined(Py_GIL_DISABLED) || PY_VERSION_HEX >= 0x030F0000 /* whose object headers we have not seen */
#define PER_THREAD _Thread_local
#define node_take(type) PyObject_GC_New(Node, type)
#define node_give(n) PyObject_GC_Del(n)
#else

/* Nodes lie in slabs in the order in which they were recorded, so that a sweep reads memory in order. A list of free
 * nodes would hand them out in the order of their freeing, and a few training steps would shuffle it: 2.5 times slower. */
#define PER_THREAD
#define HEADER 16         /* what the collector keeps before an object: two pointers */
#define SLAB 32768      /* bytes, and the alignment that finds a node's slab */
#define ARENA (2 << 20) /* bytes, and the alignment that finds a slab's arena: one huge page */
#define MOST_EMPTY 8    /* arenas kept for the next graph: 16 MB */

typedef struct Slab {
    struct Slab *next, *prev; /* the slabs with room, in a ring */
    Node *free;
    char *fresh, *end; /* no node has been here yet */
    int used;
    int busy; /* of an arena's first slab: how many of its slabs hold nodes */
} Slab;

static Slab slabs = {&slabs, &slabs, NULL, NULL, NULL, 0, 0};
static int arenas_empty;
static size_t node_stride;

#define CONTAINING(size, p) ((Slab *)((uintptr_t)(p) & ~(uintptr_t)((size) - 1)))

static void slab_link(Slab *s) {
    s->next = slabs.next;
    s->prev = &slabs;
    s->next->prev = slabs.next = s;
}

static void slab_unlink(Slab *s) {
    s->prev->next = s->next;
    s->next->prev = s->prev;
}

static void slab_clear(Slab *s) {
    s->free = NULL;
    s->fresh = (char *)(s + 1);
}

static Slab *arena_new(void) {
    char *arena = NULL;
#ifdef _WIN32
    arena = _aligned_malloc(ARENA, ARENA);
#else
    if (posix_memalign((void **)&arena, ARENA, ARENA)) arena = NULL;
#endif
    if (!arena) return NULL;
#ifdef MADV_HUGEPAGE /* of small pages, a large graph would pay a walk of the page table for each */
    madvise(arena, ARENA, MADV_HUGEPAGE);
#endif
    for (char *at = arena + ARENA - SLAB; at >= arena; at -= SLAB) {
        Slab *s = (Slab *)at;
        s->used = s->busy = 0;
        s->end = (char *)(s + 1) + (SLAB - sizeof(Slab)) / node_stride * node_stride;
        slab_clear(s);
        slab_link(s);
    }
    arenas_empty++;
    return (Slab *)arena;
}

static void arena_delete(Slab *arena) {
    for (char *s = (char *)arena; s < (char *)arena + ARENA; s += SLAB) slab_unlink((Slab *)s);
    arenas_empty--;
#ifdef _WIN32
    _aligned_free(arena);
#else
    free(arena);
#endif
}

static void slab_fill(Slab *s) {
    if (!CONTAINING(ARENA, s)->busy++) arenas_empty--;
}

static void slab_empty(Slab *s) {
    slab_clear(s);
    Slab *arena = CONTAINING(ARENA, s);
    if (--arena->busy == 0 && ++arenas_empty > MOST_EMPTY) arena_delete(arena);
}

static inline Node *node_take(PyTypeObject *type) {
    Slab *s = slabs.next;
    if (s == &slabs && !(s = arena_new())) return (Node *)PyErr_NoMemory();
    Node *n = s->free;
    if (n) {
        s->free = (Node *)n->a;
    } else {
        n = (Node *)(s->fresh + HEADER);
        s->fresh += node_stride;
        memset((char *)n - HEADER, 0, HEADER);
    }
    if (!s->used++) slab_fill(s);
    if (!s->free && s->fresh == s->end) slab_unlink(s);
    Py_SET_TYPE((PyObject *)n, type);
    Py_SET_REFCNT((PyObject *)n, 1);
    return n;
}

static inline void node_give(Node *n) {
    Slab *s = CONTAINING(SLAB, n);
    if (!s->free && s->fresh == s->end) slab_link(s);
    n->a = (PyObject *)s->free;
    s->free = n;
    if (--s->used == 0) slab_empty(s);
}
#endif

static PER_THREAD Node *node_pending;
static PER_THREAD int node_draining;

static inline PyObject *node_new(PyObject *type, PyObject *row, PyObject *a, PyObject *b) {
    Node *n = node_take((PyTypeObject *)type);
    if (!n) return NULL;
    n->a = Py_NewRef(a);
    n->b = Py_NewRef(b);
    n->row = Py_NewRef(row);
    n->wide = Py_NewRef(Py_None);
    n->own = NULL;
    return (PyObject *)n;
}

/* What `Value(...)` starts from: like any allocation, but not yet in the collector's lists. */
static PyObject *node_alloc(PyTypeObject *type, Py_ssize_t Py_UNUSED(items)) {
    Node *n = node_take(type);
    if (n) memset(&n->a, 0, type->tp_basicsize - offsetof(Node, a));
    return (PyObject *)n;
}

static inline void node_release(Node *n) {
    PyObject *a = n->a, *b = n->b, *row = n->row, *wide = n->wide, *own = n->own;
    node_give(n);
    Py_XDECREF(a);
    Py_XDECREF(b);
    Py_XDECREF(row);
    Py_XDECREF(wide);
    Py_XDECREF(own);
}

/* An operand freed while its user is being freed only joins the list of the pending ones. */
static void node_dealloc(PyObject *self) {
    Node *n = (Node *)self;
    if (n->own) PyObject_GC_UnTrack(self);
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

static int node_traverse(PyObject *self, visitproc visit, void *arg) {
    Node *n = (Node *)self;
    Py_VISIT(n->a);
    Py_VISIT(n->b);
    Py_VISIT(n->row);
    Py_VISIT(n->wide);
    Py_VISIT(n->own);
    return 0;
}

/* Cycles run through a node's own attributes only. The dict itself stays: it tells that the node is tracked. */
static int node_clear(PyObject *self) {
    PyObject *own = ((Node *)self)->own;
    if (own) PyDict_Clear(own);
    return 0;
}

/* Through its own attributes a node may close a cycle: from the first on, the collector must see it. */
static PyObject *node_attributes(PyObject *self, int make) {
    Node *n = (Node *)self;
    if (!n->own) {
        if (!make) Py_RETURN_NONE;
        if (!(n->own = PyDict_New())) return NULL;
        PyObject_GC_Track(self);
    }
    return Py_NewRef(n->own);
}

static PyObject *node_dict(PyObject *self, void *Py_UNUSED(closure)) { return node_attributes(self, 1); }

static int node_setattro(PyObject *self, PyObject *name, PyObject *value) {
    int had = ((Node *)self)->own != NULL;
    int result = PyObject_GenericSetAttr(self, name, value);
    if (!had && ((Node *)self)->own && !PyObject_GC_IsTracked(self)) PyObject_GC_Track(self);
    return result;
}

static int node_install(PyObject *type) {
    static PyGetSetDef dict = {"__dict__", node_dict, NULL, NULL, NULL};
    PyTypeObject *t = (PyTypeObject *)type;
#ifdef HEADER
    node_stride = HEADER + t->tp_basicsize;
#endif
    t->tp_alloc = node_alloc;
    t->tp_dealloc = node_dealloc;
    t->tp_traverse = node_traverse;
    t->tp_clear = node_clear;
    t->tp_setattro = node_setattro;
    t->tp_dictoffset = offsetof(Node, own);
    PyObject *descriptor = PyDescr_NewGetSet(t, &dict);
    int failed = !descriptor || PyDict_SetItemString(t->tp_dict, "__dict__", descriptor);
    Py_XDECREF(descriptor);
    PyType_Modified(t);
    return failed ? -1 : 0;
}
