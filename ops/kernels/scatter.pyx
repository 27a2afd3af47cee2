# isa: base avx2
"""Gathers and scatters by index tuples or element by element. Indices are int32 or int64 (index bytes 4 or 8), negative
ones count from the end; the fault of a bad one names its position among the indices.

gather_nd          p = x, indices, y; n = batches, tuple length, tuples of a batch, slice bytes, index bytes, then the
                   sizes of the axes that a tuple indexes
gather_elements    p = x, indices, y; n = item bytes, index bytes, axis, ndim (1 to 32), shape of x (ndim),
                   shape of indices and y (ndim)
T_scatter_nd       p = y (a copy of the data), indices, updates; n = reduction, tuple length, tuples, slice elements,
                   index bytes, then the sizes of the axes that a tuple indexes
T_scatter_elements p = y (a copy of the data), indices, updates; n = reduction, index bytes, axis, ndim (1 to 32),
                   shape of y (ndim), shape of indices and updates (ndim)
T is f32 f64 i8 u8 i16 u16 i32 u32 i64 u64 (another type of the same size for a scatter without reduction); reduction
is 0 none, 1 add, 2 multiply, 3 maximum, 4 minimum (NaN wins). Updates apply in the order of the indices: each thread
scans all indices and owns a part of the target. The caller has checked that shapes fit; values are checked here.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cynfer.ops.faults import INDEX_OUT_OF_RANGE as _INDEX_OUT_OF_RANGE
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_fault, cyn_share, cyn_stop
from cynfer.ops.kernels.element cimport value

cdef extern from "move_ukr.h" nogil:
    void copy_run(char* y, const char* x, int64_t bytes) noexcept

cdef int INDEX_OUT_OF_RANGE = _INDEX_OUT_OF_RANGE

cdef enum:
    DIMS = 32
    PIECE = 4096


cdef inline int64_t _index(const void* indices, bint wide, int64_t i, int64_t size, Ctl* ctl, int tid) noexcept nogil:
    """Index number i, counted from the front; -1 and a fault if it is out of range."""
    cdef int64_t index = (<const int64_t*> indices)[i] if wide else (<const int32_t*> indices)[i]
    if index < -size or index >= size:
        cyn_fault(ctl, tid, INDEX_OUT_OF_RANGE, i, index, -size, size - 1)
        return -1
    return index + size if index < 0 else index


cdef inline int64_t _tuple(const void* indices, bint wide, int64_t i, int64_t length, const int64_t* sizes, Ctl* ctl,
                           int tid) noexcept nogil:
    """The slice that tuple number i names, or -1."""
    cdef int64_t k, v, at = 0
    for k in range(length):
        v = _index(indices, wide, i * length + k, sizes[k], ctl, tid)
        if v < 0:
            return -1
        at = at * sizes[k] + v
    return at


cdef int gather_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t length = a.n[1], tuples = a.n[2], size = a.n[3], slices = 1, lo, hi, u, at, k
    cdef const char* x = <const char*> a.p[0]
    cdef char* y = <char*> a.p[2]
    for k in range(length):
        slices *= a.n[5 + k]
    cyn_share(a.n[0] * tuples, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        at = _tuple(a.p[1], a.n[4] == 8, u, length, a.n + 5, ctl, tid)
        if at >= 0:
            copy_run(y + u * size, x + (u // tuples * slices + at) * size, size)
        if u & 255 == 255 and cyn_stop(ctl, tid):
            return 0
    return 0


ctypedef struct Rows:
    # Rows of the index tensor, along its last axis, and where they begin in the data.
    int64_t rows
    int64_t size
    int64_t axis_size
    int64_t axis_stride
    int64_t last_stride     # 0 if the axis is the last one
    int64_t[DIMS] strides   # of the data; 0 for the axis


cdef inline void _rows(const int64_t* shape, const int64_t* index_shape, int64_t ndim, int64_t axis,
                       Rows* r) noexcept nogil:
    cdef int64_t i, stride = 1
    r.rows = 1
    for i in range(ndim - 1, -1, -1):
        r.strides[i] = 0 if i == axis else stride
        if i == axis:
            r.axis_stride = stride
        stride *= shape[i]
        if i < ndim - 1:
            r.rows *= index_shape[i]
    r.size = index_shape[ndim - 1]
    r.axis_size = shape[axis]
    r.last_stride = r.strides[ndim - 1]


cdef inline int64_t _row_start(const Rows* r, const int64_t* index_shape, int64_t ndim, int64_t row) noexcept nogil:
    cdef int64_t i, start = 0
    for i in range(ndim - 2, -1, -1):
        start += row % index_shape[i] * r.strides[i]
        row = row // index_shape[i]
    return start


cdef int gather_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t item = a.n[0], ndim = a.n[3], lo, hi, u, i, v, start, pieces, at
    cdef const int64_t* index_shape = a.n + 4 + ndim
    cdef const char* x = <const char*> a.p[0]
    cdef char* y = <char*> a.p[2]
    cdef Rows r
    if ndim < 1 or ndim > DIMS:
        return 1
    _rows(a.n + 4, index_shape, ndim, a.n[2], &r)
    pieces = (r.size + PIECE - 1) // PIECE
    cyn_share(r.rows * pieces, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        start = _row_start(&r, index_shape, ndim, u // pieces)
        at = u // pieces * r.size
        for i in range(u % pieces * PIECE, min(r.size, (u % pieces + 1) * PIECE)):
            v = _index(a.p[1], a.n[1] == 8, at + i, r.axis_size, ctl, tid)
            if v >= 0:
                copy_run(y + (at + i) * item, x + (start + i * r.last_stride + v * r.axis_stride) * item, item)
        if u & 15 == 15 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef inline void _update(value* y, value x, int64_t reduction) noexcept nogil:
    cdef value v = y[0]
    if reduction == 0:
        y[0] = x
    elif reduction == 3:
        y[0] = x if (x > v) | (x != x) else v
    elif reduction == 4:
        y[0] = x if (x < v) | (x != x) else v
    elif value is float or value is double:
        y[0] = v + x if reduction == 1 else v * x
    else:
        y[0] = <value> (<uint64_t> v + <uint64_t> x if reduction == 1 else <uint64_t> v * <uint64_t> x)


cdef int _scatter_nd(value* y, const value* updates, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t length = a.n[1], tuples = a.n[2], size = a.n[3], slices = 1, lo, hi, i, j, k, at, start, end
    for k in range(length):
        slices *= a.n[5 + k]
    # A thread owns slices or, where they are long, columns of all of them.
    if size >= 1024:
        cyn_share((size + 63) // 64, tid, nt, &start, &end)
        start *= 64
        end = min(size, end * 64)
        lo = 0
        hi = slices
    else:
        cyn_share(slices, tid, nt, &lo, &hi)
        start = 0
        end = size
    for i in range(tuples):
        at = _tuple(a.p[1], a.n[4] == 8, i, length, a.n + 5, ctl, tid)
        if lo <= at < hi:
            for j in range(start, end):
                _update(y + at * size + j, updates[i * size + j], a.n[0])
        if i & 255 == 255 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int _scatter_elements(value* y, const value* updates, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t ndim = a.n[3], lo, hi, u, i, v, start, total = 1, at
    cdef const int64_t* index_shape = a.n + 4 + ndim
    cdef Rows r
    if ndim < 1 or ndim > DIMS:
        return 1
    for i in range(ndim):
        total *= a.n[4 + i]
    _rows(a.n + 4, index_shape, ndim, a.n[2], &r)
    cyn_share(total, tid, nt, &lo, &hi)
    for u in range(r.rows):
        start = _row_start(&r, index_shape, ndim, u)
        for i in range(r.size):
            v = _index(a.p[1], a.n[1] == 8, u * r.size + i, r.axis_size, ctl, tid)
            at = start + i * r.last_stride + v * r.axis_stride
            if v >= 0 and lo <= at < hi:
                _update(y + at, updates[u * r.size + i], a.n[0])
            if i & 0xffff == 0xffff and cyn_stop(ctl, tid):
                return 0
        if u & 255 == 255 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int f32_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<float*> a.p[0], <const float*> a.p[2], a, ctl, tid, nt)


cdef int f64_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<double*> a.p[0], <const double*> a.p[2], a, ctl, tid, nt)


cdef int i8_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<int8_t*> a.p[0], <const int8_t*> a.p[2], a, ctl, tid, nt)


cdef int u8_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<uint8_t*> a.p[0], <const uint8_t*> a.p[2], a, ctl, tid, nt)


cdef int i16_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<int16_t*> a.p[0], <const int16_t*> a.p[2], a, ctl, tid, nt)


cdef int u16_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<uint16_t*> a.p[0], <const uint16_t*> a.p[2], a, ctl, tid, nt)


cdef int i32_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<int32_t*> a.p[0], <const int32_t*> a.p[2], a, ctl, tid, nt)


cdef int u32_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<uint32_t*> a.p[0], <const uint32_t*> a.p[2], a, ctl, tid, nt)


cdef int i64_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<int64_t*> a.p[0], <const int64_t*> a.p[2], a, ctl, tid, nt)


cdef int u64_scatter_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_nd(<uint64_t*> a.p[0], <const uint64_t*> a.p[2], a, ctl, tid, nt)


cdef int f32_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<float*> a.p[0], <const float*> a.p[2], a, ctl, tid, nt)


cdef int f64_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<double*> a.p[0], <const double*> a.p[2], a, ctl, tid, nt)


cdef int i8_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<int8_t*> a.p[0], <const int8_t*> a.p[2], a, ctl, tid, nt)


cdef int u8_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<uint8_t*> a.p[0], <const uint8_t*> a.p[2], a, ctl, tid, nt)


cdef int i16_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<int16_t*> a.p[0], <const int16_t*> a.p[2], a, ctl, tid, nt)


cdef int u16_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<uint16_t*> a.p[0], <const uint16_t*> a.p[2], a, ctl, tid, nt)


cdef int i32_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<int32_t*> a.p[0], <const int32_t*> a.p[2], a, ctl, tid, nt)


cdef int u32_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<uint32_t*> a.p[0], <const uint32_t*> a.p[2], a, ctl, tid, nt)


cdef int i64_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<int64_t*> a.p[0], <const int64_t*> a.p[2], a, ctl, tid, nt)


cdef int u64_scatter_elements(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _scatter_elements(<uint64_t*> a.p[0], <const uint64_t*> a.p[2], a, ctl, tid, nt)


KERNELS = {
    "gather_nd": <size_t> &gather_nd,
    "gather_elements": <size_t> &gather_elements,
    "f32_scatter_nd": <size_t> &f32_scatter_nd,
    "f64_scatter_nd": <size_t> &f64_scatter_nd,
    "i8_scatter_nd": <size_t> &i8_scatter_nd,
    "u8_scatter_nd": <size_t> &u8_scatter_nd,
    "i16_scatter_nd": <size_t> &i16_scatter_nd,
    "u16_scatter_nd": <size_t> &u16_scatter_nd,
    "i32_scatter_nd": <size_t> &i32_scatter_nd,
    "u32_scatter_nd": <size_t> &u32_scatter_nd,
    "i64_scatter_nd": <size_t> &i64_scatter_nd,
    "u64_scatter_nd": <size_t> &u64_scatter_nd,
    "f32_scatter_elements": <size_t> &f32_scatter_elements,
    "f64_scatter_elements": <size_t> &f64_scatter_elements,
    "i8_scatter_elements": <size_t> &i8_scatter_elements,
    "u8_scatter_elements": <size_t> &u8_scatter_elements,
    "i16_scatter_elements": <size_t> &i16_scatter_elements,
    "u16_scatter_elements": <size_t> &u16_scatter_elements,
    "i32_scatter_elements": <size_t> &i32_scatter_elements,
    "u32_scatter_elements": <size_t> &u32_scatter_elements,
    "i64_scatter_elements": <size_t> &i64_scatter_elements,
    "u64_scatter_elements": <size_t> &u64_scatter_elements,
}
