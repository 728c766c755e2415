# What only the compiled engine can say: nodes stay out of the garbage collector's lists.
cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *)
    void PyObject_GC_Track(void *)
    bint PyObject_GC_IsTracked(object)
    int PyObject_GenericSetAttr(object, object, object) except -1

cdef extern from "math.h":
    double c_pow "pow"(double, double)
