# What only the compiled engine can say.
from cpython.array cimport array as doubles, clone

cdef extern from "Python.h":
    void PyObject_GC_Track(void *)
    int PyObject_GenericSetAttr(object, object, object) except -1

cdef extern from "node.h":
    object node_new(object type, object row, object a, object b)
    void node_install(object type)

cdef extern from "math.h":
    double c_pow "pow"(double, double)
