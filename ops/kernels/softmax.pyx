# isa: base avx2 avx512
"""Softmax along an axis. A row of -Inf alone, or with a NaN or +Inf, is all NaN.

{f32,f64}_softmax, {f32,f64}_log_softmax    p = x, y (may be x); n = outer, axis, inner
"""
from libc.stdint cimport int64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

cdef extern from "softmax_ukr.h" nogil:
    void softmax_row_f32(const float* x, float* y, int64_t n) noexcept
    void softmax_row_f64(const double* x, double* y, int64_t n) noexcept
    void log_softmax_row_f32(const float* x, float* y, int64_t n) noexcept
    void log_softmax_row_f64(const double* x, double* y, int64_t n) noexcept
    void softmax_columns_f32(const float* x, float* y, int64_t rows, int64_t stride, int64_t w) noexcept
    void softmax_columns_f64(const double* x, double* y, int64_t rows, int64_t stride, int64_t w) noexcept
    void log_softmax_columns_f32(const float* x, float* y, int64_t rows, int64_t stride, int64_t w) noexcept
    void log_softmax_columns_f64(const double* x, double* y, int64_t rows, int64_t stride, int64_t w) noexcept

ctypedef fused real:
    float
    double

cdef enum:
    COLUMNS = 64  # as many as the local arrays of softmax_ukr.h hold
    POLL = 1 << 18


cdef inline void _row(const real* x, real* y, int64_t n, bint log) noexcept nogil:
    if real is float:
        if log:
            log_softmax_row_f32(x, y, n)
        else:
            softmax_row_f32(x, y, n)
    else:
        if log:
            log_softmax_row_f64(x, y, n)
        else:
            softmax_row_f64(x, y, n)


cdef inline void _columns(const real* x, real* y, int64_t n, int64_t stride, int64_t w, bint log) noexcept nogil:
    if real is float:
        if log:
            log_softmax_columns_f32(x, y, n, stride, w)
        else:
            softmax_columns_f32(x, y, n, stride, w)
    else:
        if log:
            log_softmax_columns_f64(x, y, n, stride, w)
        else:
            softmax_columns_f64(x, y, n, stride, w)


cdef int _softmax(const real* x, real* y, const Args* a, Ctl* ctl, int tid, int nt, bint log) noexcept nogil:
    cdef int64_t axis = a.n[1], inner = a.n[2], blocks = (inner + COLUMNS - 1) // COLUMNS
    cdef int64_t lo, hi, u, at, work = 0
    cyn_share(a.n[0] * blocks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        if inner == 1:
            _row(x + u * axis, y + u * axis, axis, log)
        else:
            at = u // blocks * axis * inner + u % blocks * COLUMNS
            _columns(x + at, y + at, axis, inner, min(COLUMNS, inner - u % blocks * COLUMNS), log)
        work += axis * min(COLUMNS, inner)
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int f32_softmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _softmax(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt, False)


cdef int f64_softmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _softmax(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt, False)


cdef int f32_log_softmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _softmax(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt, True)


cdef int f64_log_softmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _softmax(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt, True)


KERNELS = {
    "f32_softmax": <size_t> &f32_softmax,
    "f64_softmax": <size_t> &f64_softmax,
    "f32_log_softmax": <size_t> &f32_log_softmax,
    "f64_log_softmax": <size_t> &f64_log_softmax,
}
