# isa: base avx2 avx512
"""Positions of extremes and running sums along the middle axis of [outer][axis][inner].

{f32,f64,i8,u8,i16,u16,i32,u32,i64,u64}_argmax, _argmin    p = x, y (int64 [outer][inner]); n = outer, axis, inner,
    last (1: the last of equals). The first NaN wins. axis is at least 1.
{f32,f64,i32,i64,u32,u64}_cumsum    p = x, y; n = outer, axis, inner, exclusive, reverse. Integers wrap; float32 is
    summed in float64.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.element cimport value

ctypedef fused summand:
    float
    double
    int32_t
    uint32_t
    int64_t
    uint64_t

cdef enum:
    COLUMNS = 64
    POLL = 1 << 18


cdef inline bint _better(value v, value m, bint least, bint last) noexcept nogil:
    """Whether v, which stands behind m, takes its place. A NaN keeps its place against anything."""
    if least:
        return (v < m) | (last & (v == m)) | ((v != v) & (m == m))
    return (v > m) | (last & (v == m)) | ((v != v) & (m == m))


cdef inline int64_t _row(const value* x, int64_t n, bint least, bint last) noexcept nogil:
    cdef int64_t i, at = 0
    cdef value m = x[0]
    for i in range(1, n):
        if _better(x[i], m, least, last):
            m = x[i]
            at = i
    return at


cdef inline void _columns(const value* x, int64_t n, int64_t stride, int64_t w, bint least, bint last,
                          int64_t* at) noexcept nogil:
    cdef value[COLUMNS] m
    cdef int64_t i, j
    cdef value v
    for j in range(w):
        m[j] = x[j]
        at[j] = 0
    for i in range(1, n):
        for j in range(w):
            v = x[i * stride + j]
            if _better(v, m[j], least, last):
                m[j] = v
                at[j] = i


cdef int _arg(const value* x, const Args* a, Ctl* ctl, int tid, int nt, bint least) noexcept nogil:
    cdef int64_t axis = a.n[1], inner = a.n[2], blocks = (inner + COLUMNS - 1) // COLUMNS
    cdef int64_t* y = <int64_t*> a.p[1]
    cdef int64_t lo, hi, u, outer, column, work = 0
    cdef bint last = a.n[3] != 0
    if axis < 1:
        return 1
    cyn_share(a.n[0] * blocks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        outer = u // blocks
        column = u % blocks * COLUMNS
        if inner == 1:
            y[outer] = _row(x + outer * axis, axis, least, last)
        else:
            _columns(x + outer * axis * inner + column, axis, inner, min(COLUMNS, inner - column), least, last,
                     y + outer * inner + column)
        work += axis * min(COLUMNS, inner)
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _cumsum(const summand* x, summand* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t axis = a.n[1], inner = a.n[2], blocks = (inner + COLUMNS - 1) // COLUMNS
    cdef int64_t lo, hi, u, i, j, w, at, step, work = 0
    cdef bint exclusive = a.n[3] != 0, reverse = a.n[4] != 0
    cdef double[COLUMNS] total
    cdef uint64_t[COLUMNS] count
    cdef summand v
    cyn_share(a.n[0] * blocks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        w = min(COLUMNS, inner - u % blocks * COLUMNS)
        at = u // blocks * axis * inner + u % blocks * COLUMNS + ((axis - 1) * inner if reverse else 0)
        step = -inner if reverse else inner
        for j in range(w):
            total[j] = 0
            count[j] = 0
        for i in range(axis):
            for j in range(w):
                v = x[at + j]
                if summand is float or summand is double:
                    if exclusive:
                        y[at + j] = <summand> total[j]
                    total[j] += v
                    if not exclusive:
                        y[at + j] = <summand> total[j]
                else:
                    if exclusive:
                        y[at + j] = <summand> count[j]
                    count[j] += <uint64_t> v
                    if not exclusive:
                        y[at + j] = <summand> count[j]
            at += step
        work += axis * w
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int f32_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const float*> a.p[0], a, ctl, tid, nt, False)


cdef int f64_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const double*> a.p[0], a, ctl, tid, nt, False)


cdef int i8_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int8_t*> a.p[0], a, ctl, tid, nt, False)


cdef int u8_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint8_t*> a.p[0], a, ctl, tid, nt, False)


cdef int i16_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int16_t*> a.p[0], a, ctl, tid, nt, False)


cdef int u16_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint16_t*> a.p[0], a, ctl, tid, nt, False)


cdef int i32_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int32_t*> a.p[0], a, ctl, tid, nt, False)


cdef int u32_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint32_t*> a.p[0], a, ctl, tid, nt, False)


cdef int i64_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int64_t*> a.p[0], a, ctl, tid, nt, False)


cdef int u64_argmax(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint64_t*> a.p[0], a, ctl, tid, nt, False)


cdef int f32_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const float*> a.p[0], a, ctl, tid, nt, True)


cdef int f64_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const double*> a.p[0], a, ctl, tid, nt, True)


cdef int i8_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int8_t*> a.p[0], a, ctl, tid, nt, True)


cdef int u8_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint8_t*> a.p[0], a, ctl, tid, nt, True)


cdef int i16_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int16_t*> a.p[0], a, ctl, tid, nt, True)


cdef int u16_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint16_t*> a.p[0], a, ctl, tid, nt, True)


cdef int i32_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int32_t*> a.p[0], a, ctl, tid, nt, True)


cdef int u32_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint32_t*> a.p[0], a, ctl, tid, nt, True)


cdef int i64_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const int64_t*> a.p[0], a, ctl, tid, nt, True)


cdef int u64_argmin(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _arg(<const uint64_t*> a.p[0], a, ctl, tid, nt, True)


cdef int f32_cumsum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _cumsum(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt)


cdef int f64_cumsum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _cumsum(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt)


cdef int i32_cumsum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _cumsum(<const int32_t*> a.p[0], <int32_t*> a.p[1], a, ctl, tid, nt)


cdef int u32_cumsum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _cumsum(<const uint32_t*> a.p[0], <uint32_t*> a.p[1], a, ctl, tid, nt)


cdef int i64_cumsum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _cumsum(<const int64_t*> a.p[0], <int64_t*> a.p[1], a, ctl, tid, nt)


cdef int u64_cumsum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _cumsum(<const uint64_t*> a.p[0], <uint64_t*> a.p[1], a, ctl, tid, nt)


KERNELS = {
    "f32_argmax": <size_t> &f32_argmax,
    "f64_argmax": <size_t> &f64_argmax,
    "i8_argmax": <size_t> &i8_argmax,
    "u8_argmax": <size_t> &u8_argmax,
    "i16_argmax": <size_t> &i16_argmax,
    "u16_argmax": <size_t> &u16_argmax,
    "i32_argmax": <size_t> &i32_argmax,
    "u32_argmax": <size_t> &u32_argmax,
    "i64_argmax": <size_t> &i64_argmax,
    "u64_argmax": <size_t> &u64_argmax,
    "f32_argmin": <size_t> &f32_argmin,
    "f64_argmin": <size_t> &f64_argmin,
    "i8_argmin": <size_t> &i8_argmin,
    "u8_argmin": <size_t> &u8_argmin,
    "i16_argmin": <size_t> &i16_argmin,
    "u16_argmin": <size_t> &u16_argmin,
    "i32_argmin": <size_t> &i32_argmin,
    "u32_argmin": <size_t> &u32_argmin,
    "i64_argmin": <size_t> &i64_argmin,
    "u64_argmin": <size_t> &u64_argmin,
    "f32_cumsum": <size_t> &f32_cumsum,
    "f64_cumsum": <size_t> &f64_cumsum,
    "i32_cumsum": <size_t> &i32_cumsum,
    "u32_cumsum": <size_t> &u32_cumsum,
    "i64_cumsum": <size_t> &i64_cumsum,
    "u64_cumsum": <size_t> &u64_cumsum,
}
