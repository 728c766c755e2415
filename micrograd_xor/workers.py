"""Calls of machine code shared out among threads, by workers that look for the next call before they sleep.

To wake a sleeping thread takes 30 to 90 µs, and often it wakes on the processor of the thread that called. So a
worker that has done its share goes on watching, in machine code and without the interpreter's lock, for about as
long as the call took; calls that follow one another find it awake. OpenMP's workers do the same.
"""

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import SimpleNamespace
from typing import Any

import llvmlite.binding as llvm

Call = Callable[[], None]

_LOOKS = 10_000  # of a caller at what a worker still does, before other threads get a turn
_MOST_LOOKS = 1_000_000  # of a worker for its next job: some 40 ms
_X86 = platform.machine() in ("x86_64", "AMD64")
_PAUSE = "call void @llvm.x86.sse2.pause()" if _X86 else ""

# A slot is three words: the function of the job, or null where there is none; its argument; whether a worker watches.
_CODE = f"""
{_PAUSE.replace("call", "declare")}

; leave a job; tell whether a worker must be called to the slot
define i32 @leave(ptr %slot, ptr %function, ptr %argument) {{
  %at = getelementptr i64, ptr %slot, i64 1
  store ptr %argument, ptr %at
  store atomic ptr %function, ptr %slot seq_cst, align 8
  %watched = getelementptr i64, ptr %slot, i64 2
  %pair = cmpxchg ptr %watched, i64 0, i64 1 seq_cst seq_cst
  %alone = extractvalue {{ i64, i1 }} %pair, 1
  %result = zext i1 %alone to i32
  ret i32 %result
}}

; do the jobs that are left, until none comes for so many looks
define void @work(ptr %slot, i64 %looks) {{
entry:
  %at = getelementptr i64, ptr %slot, i64 1
  %watched = getelementptr i64, ptr %slot, i64 2
  br label %look
look:
  %left = phi i64 [ %looks, %entry ], [ %looks, %do ], [ %less, %rest ], [ %looks, %late ]
  %job = load atomic ptr, ptr %slot seq_cst, align 8
  %none = icmp eq ptr %job, null
  br i1 %none, label %rest, label %do
do:
  %argument = load ptr, ptr %at
  call void %job(ptr %argument)
  store atomic ptr null, ptr %slot seq_cst, align 8
  br label %look
rest:
  {_PAUSE}
  %less = sub i64 %left, 1
  %more = icmp sgt i64 %less, 0
  br i1 %more, label %look, label %leave
leave:
  store atomic i64 0, ptr %watched seq_cst, align 8
  %last = load atomic ptr, ptr %slot seq_cst, align 8
  %empty = icmp eq ptr %last, null
  br i1 %empty, label %end, label %late
late: ; a job came in between; whoever sets the word serves it
  %pair = cmpxchg ptr %watched, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %mine, label %look, label %end
end:
  ret void
}}

; wait for so many looks; tell whether the job is done
define i32 @wait(ptr %slot, i64 %looks) {{
entry:
  br label %look
look:
  %left = phi i64 [ %looks, %entry ], [ %less, %rest ]
  %job = load atomic ptr, ptr %slot seq_cst, align 8
  %done = icmp eq ptr %job, null
  br i1 %done, label %end, label %rest
rest:
  {_PAUSE}
  %less = sub i64 %left, 1
  %more = icmp sgt i64 %less, 0
  br i1 %more, label %look, label %end
end:
  %result = zext i1 %done to i32
  ret i32 %result
}}
"""


class Worker:
    """A slot for the jobs of one other thread. The thread is the pool's; it comes when it is called to the slot."""

    def __init__(self) -> None:
        self._memory = ctypes.create_string_buffer(256)  # of which the slot is a cache line of its own
        self._slot = -(-ctypes.addressof(self._memory) // 128) * 128

    def start(self, call: Any, looks: int) -> None:
        """Have a call (as `Machine.bind` makes them) done by the other thread, or here where there is none."""
        function, argument = ctypes.cast(call.func, ctypes.c_void_p), call.args[0]
        if _machine().leave(self._slot, function, argument):
            try:
                _crew().pool.submit(_machine().work, self._slot, looks)
            except RuntimeError:  # the system gives no more threads, or the interpreter ends
                _machine().work(self._slot, 1)

    def wait(self) -> None:
        """Return when the call is done."""
        while not _machine().wait(self._slot, _LOOKS):
            time.sleep(0)


class Crew:
    """The process's workers; who shares out a call hires those that are free."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(thread_name_prefix="micrograd_xor")
        self._free: list[Worker] = []
        self._size, self._lock = 0, threading.Lock()

    def hire(self, count: int) -> list[Worker]:
        """Up to so many workers that nobody else has."""
        with self._lock:
            new = max(0, count - self._size)
            self._free += [Worker() for _ in range(new)]
            self._size += new
            hired, self._free = self._free[:count], self._free[count:]
            return hired

    def dismiss(self, workers: list[Worker]) -> None:
        """Others may hire them."""
        with self._lock:
            self._free += workers


def run(calls: Sequence[Call], looks: int) -> None:
    """Do the calls, the first in this thread, and return when all are done.

    A worker that has done its call looks so often for another one, each look some 40 ns.
    """
    workers = _crew().hire(len(calls) - 1)
    try:
        for worker, call in zip(workers, calls[1:], strict=False):
            worker.start(call, min(looks, _MOST_LOOKS))
        for call in (calls[0], *calls[1 + len(workers) :]):
            call()
    finally:
        for worker in workers:
            worker.wait()
        _crew().dismiss(workers)


@cache
def _crew() -> Crew:
    return Crew()


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_crew.cache_clear)


@cache
def _machine() -> SimpleNamespace:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_CODE, llvm.create_context()), target)
    engine.finalize_object()
    word, looks = ctypes.c_void_p, ctypes.c_int64
    types = {
        "leave": ctypes.CFUNCTYPE(ctypes.c_int32, word, word, word),
        "work": ctypes.CFUNCTYPE(None, word, looks),
        "wait": ctypes.CFUNCTYPE(ctypes.c_int32, word, looks),
    }
    functions = {name: kind(engine.get_function_address(name)) for name, kind in types.items()}
    return SimpleNamespace(engine=engine, **functions)
