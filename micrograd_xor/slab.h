/* Where compiled nodes live: `node_take` and `node_give`.
 *
 * Nodes lie in slabs in the order in which they were recorded, so that a sweep reads memory in order. A list of free
 * nodes would hand them out in the order of their freeing, and a few training steps would shuffle it: 2.5 times slower.
 */
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#if defined(Py_GIL_DISABLED) || PY_VERSION_HEX >= 0x030F0000 /* whose object headers we have not seen */
#define PER_THREAD _Thread_local
#define node_take() PyObject_GC_New(Node, node_type)
#define node_give(n) PyObject_GC_Del(n)
#else

#define PER_THREAD
#define HEADER 16       /* what the collector keeps before an object: two pointers */
#define STRIDE (HEADER + sizeof(Node))
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
        s->end = (char *)(s + 1) + (SLAB - sizeof(Slab)) / STRIDE * STRIDE;
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

static inline Node *node_take(void) {
    Slab *s = slabs.next;
    if (s == &slabs && !(s = arena_new())) return (Node *)PyErr_NoMemory();
    Node *n = s->free;
    if (n) {
        s->free = n->_a;
    } else {
        n = (Node *)(s->fresh + HEADER);
        s->fresh += STRIDE;
        memset((char *)n - HEADER, 0, HEADER);
    }
    if (!s->used++) slab_fill(s);
    if (!s->free && s->fresh == s->end) slab_unlink(s);
    Py_SET_TYPE((PyObject *)n, node_type);
    Py_SET_REFCNT((PyObject *)n, 1);
    return n;
}

static inline void node_give(Node *n) {
    Slab *s = CONTAINING(SLAB, n);
    if (!s->free && s->fresh == s->end) slab_link(s);
    n->_a = s->free;
    s->free = n;
    if (--s->used == 0) slab_empty(s);
}
#endif
