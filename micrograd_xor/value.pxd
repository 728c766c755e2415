# What only the compiled engine can say.
from cpython.array cimport array as doubles, clone
from cpython.float cimport PyFloat_AS_DOUBLE

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *)

cdef extern from "node.h":
    object node_new(object type, object row, object a, object b)
    dict node_attributes(object node, bint make)
    int node_install(object type) except -1

cdef extern from "math.h":
    double c_exp "exp"(double) noexcept
    double c_pow "pow"(double, double) noexcept
