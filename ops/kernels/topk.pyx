# isa: base
"""The k largest or smallest along the middle axis of [outer][axis][inner], sorted; equals keep their order.

{f32,f64,i8,u8,i16,u16,i32,u32,i64,u64}_topk    p = x, values [outer][k][inner], indices (int64, the same shape);
    n = outer, axis, inner, k, largest; scratch: 16 k bytes of each thread. k is at most axis. NaN counts as larger
    than everything.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.element cimport value

cdef enum:
    POLL = 1 << 15


cdef inline bint _before(value v, int64_t i, value w, int64_t j, bint largest) noexcept nogil:
    """Whether element i of value v comes before element j of value w."""
    if v == w or (v != v and w != w):
        return i < j
    if v != v:
        return largest
    if w != w:
        return not largest
    return v > w if largest else v < w


cdef inline void _sink(value* v, int64_t* at, int64_t size, int64_t i, bint largest) noexcept nogil:
    """Restores the heap below i; the last in order is on top."""
    cdef int64_t child, j = at[i]
    cdef value x = v[i]
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and _before(v[child], at[child], v[child + 1], at[child + 1], largest):
            child += 1
        if not _before(x, j, v[child], at[child], largest):
            break
        v[i] = v[child]
        at[i] = at[child]
        i = child
    v[i] = x
    at[i] = j


cdef void _select(const value* x, int64_t axis, int64_t inner, int64_t k, bint largest, value* v, int64_t* at,
                  value* values, int64_t* indices) noexcept nogil:
    cdef int64_t i
    for i in range(k):
        v[i] = x[i * inner]
        at[i] = i
    for i in range(k // 2 - 1, -1, -1):
        _sink(v, at, k, i, largest)
    for i in range(k, axis):
        if _before(x[i * inner], i, v[0], at[0], largest):
            v[0] = x[i * inner]
            at[0] = i
            _sink(v, at, k, 0, largest)
    for i in range(k - 1, -1, -1):
        values[i * inner] = v[0]
        indices[i * inner] = at[0]
        v[0] = v[i]
        at[0] = at[i]
        _sink(v, at, i, 0, largest)


cdef int _topk(const value* x, value* values, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t axis = a.n[1], inner = a.n[2], k = a.n[3], lo, hi, u, outer, j, work = 0
    cdef int64_t* at = <int64_t*> (a.scratch + tid * a.scratch_bytes)
    cdef int64_t* indices = <int64_t*> a.p[2]
    if k < 1 or axis < k:
        return 0 if k == 0 else 1
    cyn_share(a.n[0] * inner, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        outer = u // inner
        j = u % inner
        _select(x + outer * axis * inner + j, axis, inner, k, a.n[4] != 0, <value*> (at + k), at,
                values + outer * k * inner + j, indices + outer * k * inner + j)
        work += axis
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int f32_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt)


cdef int f64_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt)


cdef int i8_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const int8_t*> a.p[0], <int8_t*> a.p[1], a, ctl, tid, nt)


cdef int u8_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const uint8_t*> a.p[0], <uint8_t*> a.p[1], a, ctl, tid, nt)


cdef int i16_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const int16_t*> a.p[0], <int16_t*> a.p[1], a, ctl, tid, nt)


cdef int u16_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const uint16_t*> a.p[0], <uint16_t*> a.p[1], a, ctl, tid, nt)


cdef int i32_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const int32_t*> a.p[0], <int32_t*> a.p[1], a, ctl, tid, nt)


cdef int u32_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const uint32_t*> a.p[0], <uint32_t*> a.p[1], a, ctl, tid, nt)


cdef int i64_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const int64_t*> a.p[0], <int64_t*> a.p[1], a, ctl, tid, nt)


cdef int u64_topk(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _topk(<const uint64_t*> a.p[0], <uint64_t*> a.p[1], a, ctl, tid, nt)


KERNELS = {
    "f32_topk": <size_t> &f32_topk,
    "f64_topk": <size_t> &f64_topk,
    "i8_topk": <size_t> &i8_topk,
    "u8_topk": <size_t> &u8_topk,
    "i16_topk": <size_t> &i16_topk,
    "u16_topk": <size_t> &u16_topk,
    "i32_topk": <size_t> &i32_topk,
    "u32_topk": <size_t> &u32_topk,
    "i64_topk": <size_t> &i64_topk,
    "u64_topk": <size_t> &u64_topk,
}
