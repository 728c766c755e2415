# What only the compiled engine can say.
cdef extern from "node.h":
    ctypedef struct Node:
        Node *_a
        Node *_b
        double _grad, _da, _db
        int _uses
        unsigned short _row
        unsigned char _wide, _custom
    Node *NULL
    object node_new(unsigned short row, double data, object a, object b, double da, double db)
    void node_widen(object node, tuple args, bytes partials)
    Py_ssize_t node_width(Node *node)
    Node *node_operand(Node *node, Py_ssize_t i) noexcept
    double node_partial(Node *node, Py_ssize_t i) noexcept
    bint is_plain(tuple args, Py_ssize_t i)
    double number_at(tuple args, Py_ssize_t i)
    double *doubles_in(bytes partials)
    dict node_attributes(object node, bint make)
    int node_install(object type) except -1
    void node_on_add(void *of_nodes)
    void node_on_subtract(void *of_nodes)
    void node_on_multiply(void *of_nodes)
    void node_push(Node *node) noexcept
    Node *node_pop() noexcept
    void node_ahead(Node *node) noexcept
    int node_check() except -1

ctypedef Node *Borrowed

cdef extern from "Python.h":
    bytes new_bytes "PyBytes_FromStringAndSize"(void *, Py_ssize_t)

cdef extern from "math.h":
    double c_exp "exp"(double) noexcept
    double c_pow "pow"(double, double) noexcept
