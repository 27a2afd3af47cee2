"""The machine a plan is made for: instruction set, precision and the kernels that follow from them.

A Machine is passed, never global: several can live in one process, so that tests run every build side by side.
"""

import importlib
import pkgutil

import numpy as np

from cynfer.ops import cpu
from cynfer.ops.errors import InputError, KernelError
from cynfer.ops.faults import explain
from cynfer.ops.isa import ISAS

from libc.stdint cimport int64_t, int32_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from cynfer.ops.kernels.abi cimport Args, Ctl, Fault, Kernel

PRECISIONS = ("highest", "high", "medium")


def runnable() -> list:
    """The instruction sets that this machine can run, weakest first."""
    have = cpu.features()
    result = []
    for isa, (_, needs) in ISAS.items():
        if not have.issuperset(needs):
            break
        result.append(isa)
    return result or ["base"]


def _load(isas) -> tuple:
    """({kernel name: (address, instruction set of the build)}, {source: that build as a module}).

    Of each source the strongest build is imported, and no other.
    """
    from cynfer.ops import kernels

    best = {}
    for module in pkgutil.iter_modules(kernels.__path__):
        source, _, isa = module.name[1:].rpartition("_")
        if isa in isas and (source not in best or isas.index(isa) > isas.index(best[source])):
            best[source] = isa
    found, modules = {}, {}
    for source, isa in sorted(best.items()):
        modules[source] = importlib.import_module(f"cynfer.ops.kernels._{source}_{isa}")
        for kernel, address in modules[source].KERNELS.items():
            found[kernel] = (address, isa)
    return found, modules


_loaded = {}


class Machine:
    """Kernels and choices for one instruction set and one precision.

    isa: the strongest instruction set to use, or None for the strongest this machine has.
    precision: "highest", "high" or "medium" float32 products; so far all three are computed as "highest".

    Raises InputError for a name that is not known or that this machine cannot run.
    """

    def __init__(self, isa=None, precision="highest"):
        have = runnable()
        if isa is not None and isa not in have:
            raise InputError(f"isa={isa!r}: this machine runs {', '.join(have)}")
        if precision not in PRECISIONS:
            raise InputError(f"precision={precision!r}: choose from {', '.join(PRECISIONS)}")
        self.isa = isa or have[-1]
        self.precision = precision
        if self.isa not in _loaded:
            _loaded[self.isa] = _load(have[: have.index(self.isa) + 1])
        self._kernels, self._modules = _loaded[self.isa]

    def __reduce__(self):
        return Machine, (self.isa, self.precision)

    def __contains__(self, str kernel) -> bool:
        return kernel in self._kernels

    def address(self, str kernel) -> int:
        """Where the kernel's code lies; raises KeyError with its name where no build has it."""
        return self._kernels[kernel][0]

    def module(self, str source):
        """The strongest build of a kernel source, for what it tells about its kernels (sizes of packed weights, …)."""
        return self._modules[source]

    def build(self, str kernel) -> str:
        """The instruction set that the kernel in use was built for."""
        return self._kernels[kernel][1]

    def kernels(self) -> dict:
        """{kernel name: instruction set of the build in use}, sorted by name."""
        return {name: isa for name, (_, isa) in sorted(self._kernels.items())}

    def call(self, str kernel, operands, n=(), f=(), *, int64_t scratch=0, int threads=1):
        """Runs one kernel now, in this thread: the shares of `threads` threads one after the other.

        operands: arrays (C-contiguous, of the type the kernel wants) or None. scratch: private bytes of each thread.
        Raises KernelError if the kernel reports a fault.
        """
        cdef int64_t[::1] ns = np.ascontiguousarray(n if len(n) else (0,), dtype=np.int64)
        cdef double[::1] fs = np.ascontiguousarray(f if len(f) else (0.0,), dtype=np.float64)
        cdef Kernel code = <Kernel> <uintptr_t> self.address(kernel)
        cdef uintptr_t[::1] pointers = np.zeros(max(1, len(operands)), dtype=np.uintp)
        cdef int i, result = 0
        cdef int64_t per_thread = (scratch + 63) // 64 * 64
        room = np.zeros(threads * per_thread + 64, dtype=np.uint8)
        cdef uintptr_t base = room.ctypes.data
        for i, array in enumerate(operands):
            if array is not None:
                if not array.flags.c_contiguous:
                    raise InputError(f"operand {i} of {kernel} is not C-contiguous")
                pointers[i] = array.ctypes.data
        cdef Args args
        cdef Ctl ctl
        cdef Fault* faults = <Fault*> calloc(threads, sizeof(Fault))
        if faults == NULL:
            raise MemoryError
        memset(&ctl, 0, sizeof(Ctl))
        ctl.faults = faults
        args.p = <void**> &pointers[0]
        args.n = &ns[0]
        args.f = &fs[0]
        args.scratch = <char*> ((base + 63) // 64 * 64)
        args.scratch_bytes = 0
        with nogil:
            for i in range(threads):
                result |= code(&args, &ctl, i, threads)
                args.scratch += per_thread
        worst = None
        for i in range(threads):
            if faults[i].code and (worst is None or faults[i].where < worst[1]):
                worst = (faults[i].code, faults[i].where, faults[i].got, faults[i].low, faults[i].high)
        free(faults)
        if worst is not None:
            raise KernelError(explain(*worst))
        if result:
            raise KernelError(f"kernel {kernel} returned status {result}")
