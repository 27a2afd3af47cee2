"""Runs the native stretches of a plan: binds pointers, then loops over kernel calls without the GIL.

`Code` is the immutable part (what to call, with which sizes), shared by all runs of a plan. `Workspace` is one run's
memory and pointers; a plan keeps a pool of them. One OpenMP region per stretch, opened here and nowhere else.
"""

import threading
import time

import numpy as np

from cynfer.ops.errors import KernelError, RunCancelledError, RunTimeoutError
from cynfer.ops.faults import explain

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

from cynfer.ops.kernels.abi cimport Args, Ctl, Fault, Kernel, cyn_now

cdef extern from "omp.h" nogil:
    int omp_get_num_threads()

cdef extern from "barrier.h" nogil:
    ctypedef struct Barrier:
        int32_t waiting, phase, go, sleepers
    int cyn_barrier(Barrier* b, int nt, const int32_t* stop, const int32_t* faulted) noexcept
    int cyn_watch_fork() noexcept

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
    void PyErr_Clear()
    int PyObject_GetBuffer(object, Py_buffer*, int)  # no "except": a failure is an answer here
    void PyBuffer_Release(Py_buffer*)
    int PyBUF_SIMPLE

cyn_watch_fork()

# Work (in elementary steps) below which a second thread costs more than it brings.
cdef double SERIAL = 20000.0


cdef class Budget:
    """Threads that all concurrent runs of the process share; a run takes what is free, at least one."""

    cdef readonly int total
    cdef int taken
    cdef object lock

    def __init__(self, int total):
        self.total, self.taken, self.lock = total, 0, threading.Lock()

    cdef int take(self, int wanted):
        with self.lock:
            if self.taken:  # alone, a run may have more threads than cores
                wanted = max(1, min(wanted, self.total - self.taken))
            self.taken += wanted
        return wanted

    cdef void give(self, int n):
        with self.lock:
            self.taken -= n


cdef Budget _budget = None
cdef object empty = np.empty


def set_budget(int total) -> None:
    """Sets how many threads the concurrent runs of this process may use together."""
    global _budget
    _budget = Budget(max(1, total))


def renew_budget() -> None:
    """For a forked child: none of its parent's runs, nor a lock that one of them holds, is in it."""
    if _budget is not None:
        set_budget(_budget.total)


cdef class Code:
    """The kernel calls of a plan segment.

    calls: (address, operand slots, sizes, scalars, work) each; slot -1 is an absent operand.
    fixed: {slot: offset in the arena}; constant: {slot: array}; the other slots are bound for each run.
    """

    cdef readonly int count, slots
    cdef readonly int64_t arena_bytes, scratch_bytes
    cdef int total
    cdef Kernel* functions
    cdef int* first          # first operand of each call, and one past the last
    cdef int* slot           # slot of each operand
    cdef double* work
    cdef int64_t** n
    cdef double** f
    cdef object _keep, arena, constant, readers

    def __cinit__(self, list calls, dict arena, dict constant, int64_t arena_bytes, int64_t scratch_bytes):
        cdef int i, k
        cdef uintptr_t address
        cdef int64_t[::1] ns
        cdef double[::1] fs
        self.count = len(calls)
        self.total = sum(len(c[1]) for c in calls)
        self.arena, self.constant, self._keep = arena, constant, []
        self.arena_bytes, self.scratch_bytes = arena_bytes, scratch_bytes
        self.functions = <Kernel*> calloc(self.count + 1, sizeof(Kernel))
        self.first = <int*> calloc(self.count + 1, sizeof(int))
        self.slot = <int*> calloc(self.total + 1, sizeof(int))
        self.work = <double*> calloc(self.count + 1, sizeof(double))
        self.n = <int64_t**> calloc(self.count + 1, sizeof(void*))
        self.f = <double**> calloc(self.count + 1, sizeof(void*))
        if not (self.functions and self.first and self.slot and self.work and self.n and self.f):
            raise MemoryError
        k = 0
        readers = {}
        for i, (code, slots, n, f, work) in enumerate(calls):
            address = code
            self.functions[i] = <Kernel> address
            self.first[i] = k
            for s in slots:
                self.slot[k] = s
                readers.setdefault(s, []).append(k)
                k += 1
            self.work[i] = work
            ns = np.array(n if len(n) else (0,), dtype=np.int64)
            fs = np.array(f if len(f) else (0.0,), dtype=np.float64)
            self._keep.append((ns, fs))
            self.n[i] = &ns[0]
            self.f[i] = &fs[0]
        self.first[self.count] = k
        self.readers = {s: np.array(ks, dtype=np.intc) for s, ks in readers.items()}

    def __dealloc__(self):
        free(self.functions)
        free(self.first)
        free(self.slot)
        free(self.work)
        free(self.n)
        free(self.f)


cdef int _poll(Ctl* ctl) noexcept nogil:
    with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            (<Workspace> ctl.owner).error = error
            return 1
    return 0


cdef class Workspace:
    """Memory and pointers of one run at a time. threads: how many it may use."""

    cdef Code code
    cdef readonly int threads
    cdef object error, run_of
    cdef void** pointers
    cdef Args* args
    cdef Ctl ctl
    cdef Barrier barrier
    cdef char* memory
    cdef size_t mapped
    cdef list held

    def __cinit__(self, Code code, int threads):
        cdef int i, k
        cdef int64_t per_thread = code.scratch_bytes
        cdef uintptr_t address
        self.code, self.threads, self.held = code, threads, []
        self.pointers = <void**> calloc(code.total + 1, sizeof(void*))
        self.args = <Args*> calloc(code.count + 1, sizeof(Args))
        self.ctl.faults = <Fault*> calloc(threads, sizeof(Fault))
        self.mapped = code.arena_bytes + threads * per_thread + 4096
        self.memory = <char*> mmap(NULL, self.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if self.memory == <char*> MAP_FAILED:
            self.memory = NULL
        if not (self.pointers and self.args and self.ctl.faults and self.memory):
            raise MemoryError(f"a workspace of {self.mapped} bytes")
        self.ctl.owner = <void*> self
        self.ctl.poll = _poll
        for i in range(code.count):
            self.args[i].p = self.pointers + code.first[i]
            self.args[i].n = code.n[i]
            self.args[i].f = code.f[i]
            self.args[i].scratch = self.memory + code.arena_bytes
            self.args[i].scratch_bytes = per_thread
        for k in range(code.total):
            s = code.slot[k]
            if s in code.arena:
                self.pointers[k] = self.memory + <int64_t> code.arena[s]
            elif s in code.constant:
                address = code.constant[s].ctypes.data
                self.pointers[k] = <void*> address

    def __dealloc__(self):
        free(self.pointers)
        free(self.args)
        free(self.ctl.faults)
        if self.memory != NULL:
            munmap(self.memory, self.mapped)

    def begin(self, object deadline, object owner) -> None:
        """Starts the run of `owner`; deadline: seconds of time.monotonic, or None."""
        self.run_of = owner
        memset(self.ctl.faults, 0, self.threads * sizeof(Fault))  # a stopped run leaves what it met
        self.ctl.stop = self.ctl.reason = self.ctl.faulted = 0
        self.ctl.deadline = 0 if deadline is None else max(1, <int64_t> (<double> deadline * 1e9))
        self.ctl.next_poll = cyn_now() + 20000000
        self.error = None

    def cancel(self, object owner) -> None:
        """Makes the run of `owner` end soon with RunCancelledError; any thread may call it, even too late: the
        workspace may serve another run by then."""
        if self.run_of is owner:
            self.ctl.reason = 3
            self.ctl.stop = 1

    def check(self) -> None:
        """Raises if the run was cancelled or its time is over: between steps that are not native."""
        if self.ctl.stop or (self.ctl.deadline and cyn_now() > self.ctl.deadline):
            if not self.ctl.stop:
                self.ctl.reason = 2
            self.fail()

    cpdef bind(self, int slot, array):
        """Lets every operand in `slot` point to the array's memory; the array is kept alive until `end`."""
        cdef int[::1] readers
        cdef int k
        cdef uintptr_t data
        cdef Py_buffer buffer
        found = self.code.readers.get(slot)
        if found is None:
            return
        readers = found
        if PyObject_GetBuffer(array, &buffer, PyBUF_SIMPLE) == 0:
            data = <uintptr_t> buffer.buf
            PyBuffer_Release(&buffer)
        else:  # types that the buffer protocol has no letter for
            PyErr_Clear()
            data = array.ctypes.data
        for k in readers:
            self.pointers[k] = <void*> data
        self.held.append(array)

    def view(self, int64_t offset, shape, dtype):
        """An array over arena memory, valid as long as this workspace's run keeps the value."""
        cdef int64_t nbytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        cdef char[::1] memory = <char[:nbytes]> (self.memory + offset)
        flat = np.frombuffer(memory, dtype=np.uint8, count=nbytes)
        if 0 in shape:
            return np.empty(shape, dtype)
        return flat.view(dtype).reshape(shape)

    def end(self) -> None:
        """Lets go of the arrays of this run."""
        self.held.clear()
        self.run_of = None

    def direct(self, feeds, list slots, list made, int stop) -> tuple:
        """A whole run that is one stretch: binds feeds to slots (-1: not read) and a new array to each (slot, shape,
        dtype) of `made`; returns what `run` does, and the new arrays."""
        cdef int i, slot
        cdef list results = []
        for i in range(len(slots)):
            slot = slots[i]
            if slot >= 0:
                self.bind(slot, feeds[i])
        for slot, shape, dtype in made:
            array = empty(shape, dtype)
            self.bind(slot, array)
            results.append(array)
        return self.run(0, stop), results

    cpdef int run(self, int start, int stop) except? -2:
        """Runs calls start to stop; returns -1, or the index of the call that reported a fault."""
        cdef int threads = 1, i, at
        cdef bint large = False
        for i in range(start, stop):
            large = large or self.code.work[i] >= SERIAL
        if large and self.threads > 1:
            threads = _budget.take(self.threads) if _budget is not None else self.threads
        try:
            at = _stretch(self, start, stop, threads)
        finally:
            if large and self.threads > 1 and _budget is not None:
                _budget.give(threads)
        if self.ctl.stop:
            self.fail()
        return at if self.ctl.faulted else -1

    cdef fail(self):
        error, self.error = self.error, None
        if error is not None:
            raise error
        if self.ctl.reason == 2:
            raise RunTimeoutError("the run did not end within its timeout")
        raise RunCancelledError("the run was cancelled")

    def fault(self) -> str:
        """What the kernels of the failed call reported, the first position first."""
        worst = None
        cdef int i
        cdef Fault f
        for i in range(self.threads):
            f = self.ctl.faults[i]
            if f.code and (worst is None or f.where < worst[1]):
                worst = (f.code, f.where, f.got, f.low, f.high)
            self.ctl.faults[i].code = 0
        return explain(*worst)


cdef int _stretch(Workspace w, int start, int stop, int threads):
    """Returns the call at which the stretch ended (stop if it went through)."""
    cdef int i, tid, nt, active, following, at = stop
    cdef Code code = w.code
    cdef Ctl* ctl = &w.ctl
    cdef Args* args = w.args
    cdef Barrier* barrier = &w.barrier
    cdef Kernel* functions = code.functions
    cdef double* work = code.work
    memset(barrier, 0, sizeof(Barrier))
    if threads == 1:
        with nogil:
            for i in range(start, stop):
                functions[i](args + i, ctl, 0, 1)
                if ctl.stop or ctl.faulted:
                    at = i
                    break
        return at
    with nogil, parallel(num_threads=threads):
        _region(functions, args, ctl, barrier, work, start, stop, threadid(), omp_get_num_threads(), &at)
    return at


cdef void _region(Kernel* functions, Args* args, Ctl* ctl, Barrier* barrier, double* work, int start, int stop,
                  int tid, int nt, int* at) noexcept nogil:
    """One thread's way through a stretch. Calls with little work run in thread 0 while the others wait."""
    cdef int i
    cdef bint alone, failed = False
    cdef Args own
    for i in range(start, stop):
        alone = work[i] < SERIAL
        own = args[i]
        own.scratch += tid * own.scratch_bytes
        own.scratch_bytes = 0
        if not alone:
            functions[i](&own, ctl, tid, nt)
        elif tid == 0 and not failed:
            functions[i](&own, ctl, 0, 1)
        if tid == 0 and not failed and (ctl.stop or ctl.faulted):
            failed = True
            at[0] = i
        if alone and i + 1 < stop and work[i + 1] < SERIAL:
            continue  # thread 0 goes on by itself
        if not cyn_barrier(barrier, nt, &ctl.stop, &ctl.faulted):
            if tid == 0 and not failed:
                at[0] = i
            return
