# See abi.h, which explains each part.
from libc.stdint cimport int32_t, int64_t

cdef extern from "abi.h" nogil:
    ctypedef struct Args:
        void** p
        const int64_t* n
        const double* f
        char* scratch
        int64_t scratch_bytes
    ctypedef struct Fault:
        int64_t where, got, low, high
        int32_t code, pad
    ctypedef struct Ctl:
        int32_t stop
        int32_t reason
        int64_t deadline
        int64_t next_poll
        int (*poll)(Ctl*) noexcept nogil
        Fault* faults
        int32_t faulted
        void* owner
    int64_t cyn_now() noexcept
    bint cyn_stop(Ctl* ctl, int tid) noexcept
    void cyn_fault(Ctl* ctl, int tid, int32_t code, int64_t where, int64_t got, int64_t low, int64_t high) noexcept
    void cyn_share(int64_t n, int tid, int nt, int64_t* lo, int64_t* hi) noexcept

ctypedef int (*Kernel)(const Args*, Ctl*, int, int) noexcept nogil
