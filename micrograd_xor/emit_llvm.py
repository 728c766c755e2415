"""The LLVM backend: machine code for one loop over the rows of the table, or over the networks, in vector lanes.

A lane is a row (all lanes have the same parameters, and a sum ends by adding the lanes) or, where many networks are
given, a network (all lanes read the same row): whichever takes fewer rounds. Many rows are shared out among threads,
as many as `MICROGRAD_XOR_THREADS` says, by default one for each processor.

Elementwise code is strict IEEE 754; only the sum over the rows is re-associated. Its functions are our own
(`vector_math`), for the platforms' vector libraries are less exact.
"""

import ctypes
import os
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from micrograd_xor import workers
from micrograd_xor.tape import Tape
from micrograd_xor.vector_lanes import WORDS, Lanes, Networks, Rows
from micrograd_xor.vector_program import INSTRUCTIONS, Program

Array = NDArray[np.float64]
Call = Callable[[], None]

_LAYOUT = "".join(["d" if name == "scale" else "q" for name in WORDS])
_ALIGNMENT = 64  # bytes of the widest vector
_ROWS_OF_A_THREAD = 25_000  # for fewer the threads cost more than they save


class Machine:
    """The machine code of one module: a function of the words of a call. It is freed with this object."""

    def __init__(self, program: Program, text: str) -> None:
        self.frame = 0 if program.is_small else len(program.slots) * program.lanes
        target = _target_machine(2 if program.is_small else 0)
        module = llvm.parse_assembly(text, llvm.create_context())
        if program.is_small:
            _inline(module, target)
        code = llvm.ObjectFileRef.from_data(target.emit_object(module))  # the engine would verify the module twice more
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly("", llvm.create_context()), target)
        self._engine.add_object_file(code)
        self._engine.finalize_object()
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._engine.get_function_address("run"))

    def bind(self, words: Mapping[str, float | Array], arrays: Sequence[Array]) -> Callable[[], None]:
        """A call of the machine code on these words; it keeps their memory alive."""
        frame = np.empty(self.frame + _ALIGNMENT // 8)
        address = -(-_address(frame) // _ALIGNMENT) * _ALIGNMENT
        values = [words.get(name, 0) for name in WORDS] + list(arrays)
        numbers = [_address(x) if isinstance(x, np.ndarray) else x for x in values]
        numbers[WORDS.index("frame")] = address
        call = ctypes.create_string_buffer(struct.pack(f"{_LAYOUT}{len(arrays)}q", *numbers))
        bound = partial(self._function, ctypes.addressof(call))
        vars(bound)["memory"] = (self, call, frame, words, arrays)
        return bound


def _address(array: Array) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))  # as array.ctypes.data, in a fifth of the time
    except (TypeError, ValueError):  # it is read-only or empty
        address: int = array.__array_interface__["data"][0]
        return address


class Kernel:
    """A tape as machine code, compiled when first needed; see `compiler` for what it does."""

    def __init__(self, tape: Tape, parameters: int) -> None:
        self._tape, self._parameters = tape.lowered(INSTRUCTIONS), parameters
        self._machines: dict[tuple[Any, ...], Machine] = {}
        self._lock = threading.Lock()

    def bind(
        self, theta: Array, columns: Sequence[Array], outs: Sequence[Array], reduce: str | None
    ) -> Callable[[], None]:
        """A call that fills outs from theta and the columns."""
        rows = len(columns[0]) if columns else 1
        words = {"networks": len(theta), "scale": _scale(reduce, rows), "theta": theta}
        threads = _threads(rows)
        if reduce is None or threads == 1:
            return self._bind({**words, "rows": rows}, columns, outs, reduce is not None)
        return self._share(threads, words, columns, outs)

    def _bind(self, words: dict[str, Any], columns: Sequence[Array], outs: Sequence[Array], reduced: bool) -> Call:
        widths = tuple([out.shape[-1] for out in outs])
        machine = self._machine(words["networks"], words["rows"], "evaluation", widths, reduced)
        return machine.bind(words, [*columns, *outs])

    def _share(self, threads: int, words: dict[str, Any], columns: Sequence[Array], outs: Sequence[Array]) -> Call:
        """A call that sums a share of the rows in each of some threads."""
        rows = len(columns[0])
        shares = list(zip(*[np.array_split(column, threads) for column in columns], strict=True))
        sums = [np.empty((threads, *out.shape)) for out in outs]
        calls = [
            self._bind({**words, "rows": len(share[0])}, share, [total[i] for total in sums], True)
            for i, share in enumerate(shares)
        ]

        def call() -> None:
            workers.run(calls, rows)
            for total, out in zip(sums, outs, strict=True):
                np.sum(total, axis=0, out=out)

        return call

    def train(
        self,
        update: Tape,
        theta: Array,
        state: Array,
        columns: Sequence[Array],
        losses: Array,
        reduce: str,
        first: int,
    ) -> None:
        """One training step in place for each column of losses."""
        rows, steps = len(columns[0]) if columns else 1, losses.shape[1]
        stride = losses.strides[0] // losses.itemsize
        if steps:
            machine = self._machine(len(theta), rows, "training", update.lowered(INSTRUCTIONS))
            sizes = {"rows": rows, "networks": len(theta), "stride": stride, "steps": steps, "first": first}
            arrays = {"theta": theta, "state": state, "losses": losses}
            machine.bind({**sizes, **arrays, "scale": _scale(reduce, rows)}, columns)()

    def _machine(self, networks: int, rows: int, kind: str, *arguments: Any) -> Machine:
        lanes = _host()[2]
        rounds: dict[type[Lanes], int] = {Rows: networks * -(-rows // lanes), Networks: -(-networks // lanes) * rows}
        lane = min(rounds, key=lambda lane: rounds[lane])
        if kind == "training":
            lanes = _filled(lanes, rows if lane is Rows else networks)
        key = (lane, lanes, kind, *arguments)
        with self._lock:
            if key not in self._machines:
                program = Program(self._tape, self._parameters, lanes, lane(lanes))
                self._machines[key] = Machine(program, getattr(program, kind)(*arguments))
            return self._machines[key]


def _filled(lanes: int, count: int) -> int:
    """As many of the lanes as `count` fills: narrow vectors are quicker, and training waits for the end of a step."""
    return min(lanes, max(2, 1 << (count - 1).bit_length()))


def _scale(reduce: str | None, rows: int) -> float:
    return 1.0 / rows if reduce == "mean" else 1.0


@cache
def _host() -> tuple[str, str, int]:
    """This machine's processor, its features and its lanes of doubles."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    lanes = 8 if features.get("avx512dq") else 4 if features.get("avx2") else 2
    return llvm.get_host_cpu_name(), features.flatten(), lanes


def _target_machine(level: int) -> Any:
    cpu, features, _ = _host()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(cpu, features, level, jit=True)


def _inline(module: Any, target: Any) -> None:
    """Bring a program's parts into one function and its frame into registers."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.run(module, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options()))


def _threads(rows: int) -> int:
    """How many threads share these rows."""
    wanted = os.environ.get("MICROGRAD_XOR_THREADS", "")
    threads = int(wanted) if wanted.isdecimal() else os.cpu_count() or 1
    return max(1, min(threads, rows // _ROWS_OF_A_THREAD))
