"""`compile`: a recorded graph as a `Program` that runs over columns of data at the speed of the machine.

What a backend is. The module `emit_<name>` has `Kernel(tape, parameters)`: the tape's first `parameters` inputs are the
parameters, its other inputs the data columns, one number a row; it may be called with any tape that follows that order.
A kernel has two methods. They get float64 C-contiguous arrays of matching shapes, checked here, and follow IEEE 754:

    bind(theta, columns, outs, reduce) -> Callable[[], None]
        theta (K, P); columns a tuple of arrays (n,), n >= 1. Each call fills `outs` with the tape's outputs, which are
        split among them in order by their last axis: shape (K, n, width) where reduce is None; with "sum" or "mean",
        (K, width): the outputs' sum or mean over the rows. A call reads theta and the columns anew, so that a loop may
        change them in place; it allocates nothing that outlives it and may run in several threads at once if
        `outs` are different arrays.

    train(update, theta, state, columns, losses, reduce, first) -> None
        losses.shape[1] training steps in place, for tapes whose outputs are (value, *gradient by the P parameters).
        Each step writes the loss before it to losses[k, s] (losses: (K, steps), any row stride) and then replaces
        theta[k, p] and state[:, k, p] (state: (S, K, P)) by the outputs of the tape `update`, whose inputs are
        (parameter, gradient, *state, t) for one parameter, t = first + s, and whose outputs are (parameter, *state).

Both are called with the GIL held and should release it while they work. Kernels own their machine code and free it.
"""
