# isa: base
"""Plain copies. copy_bytes: p = source, target; n = bytes."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

cdef enum:
    CHUNK = 65536


cdef int copy_bytes(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const char* x = <const char*> a.p[0]
    cdef char* y = <char*> a.p[1]
    cdef int64_t lo, hi, size = a.n[0]
    cyn_share((size + CHUNK - 1) // CHUNK, tid, nt, &lo, &hi)
    lo *= CHUNK
    hi = min(hi * CHUNK, size)
    if hi > lo:
        memcpy(y + lo, x + lo, hi - lo)
    return 0


KERNELS = {"copy_bytes": <size_t> &copy_bytes}
