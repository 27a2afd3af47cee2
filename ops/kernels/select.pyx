# isa: base avx2
"""Where, range and fill.

where_1, where_2, where_4, where_8 (bytes of an item): p = condition (b8), x, y, z (contiguous, none of the inputs);
n = [rank, dims of z ..., strides of condition ..., of x ..., of y ...], in elements, 0 along broadcast axes; rank at
most 32. Merge axes first: the last one is the inner loop; all but one stride being 1, with 0 for x or y, is fast.

f32_range, f64_range: p = y; n = [count]; f = [start, delta]; sums in float64.
i16_range, i32_range, i64_range: p = y; n = [count, start, delta]; wraps.
fill_1, fill_2, fill_4, fill_8: p = y, item (one); n = [count].
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

ctypedef fused Item:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused Number:
    float
    double
    int16_t
    int32_t
    int64_t

cdef enum:
    CHUNK = 4096
    RANK = 32


cdef inline void row(const uint8_t* cs, const Item* xs, const Item* ys, Item* zs, int64_t count, int64_t sc, int64_t sx,
                     int64_t sy) noexcept nogil:
    cdef int64_t i
    cdef Item x, y
    for i in range(count):
        x = xs[i * sx]
        y = ys[i * sy]
        zs[i] = x if cs[i * sc] else y


cdef inline int where(Item* _, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t rank = a.n[0], rows = 1, inner = 1, done = 0
    cdef int64_t lo, hi, pieces, piece, unit, i, j, r, start, count
    cdef const int64_t* dims = a.n + 1
    cdef int64_t at[RANK]
    cdef int64_t offset[3]
    cdef int64_t last[3]
    cdef const uint8_t* cs
    cdef const Item* xs
    cdef const Item* ys
    cdef Item* zs
    for i in range(rank - 1):
        rows *= dims[i]
    if rank:
        inner = dims[rank - 1]
    for i in range(3):
        offset[i] = 0
        last[i] = dims[rank * (i + 2) - 1] if rank else 0
    pieces = (inner + CHUNK - 1) // CHUNK
    cyn_share(rows * pieces, tid, nt, &lo, &hi)
    if lo >= hi:
        return 0
    r = lo // pieces
    for i in range(rank - 2, -1, -1):
        at[i] = r % dims[i]
        r = r // dims[i]
        for j in range(3):
            offset[j] += at[i] * dims[rank * (j + 1) + i]
    piece = lo % pieces
    for unit in range(lo, hi):
        start = piece * CHUNK
        count = min(inner - start, CHUNK)
        cs = <const uint8_t*> a.p[0] + offset[0] + start * last[0]
        xs = <const Item*> a.p[1] + offset[1] + start * last[1]
        ys = <const Item*> a.p[2] + offset[2] + start * last[2]
        zs = <Item*> a.p[3] + unit // pieces * inner + start
        if last[0] == 1 and last[1] == 1 and last[2] == 1:
            row(cs, xs, ys, zs, count, 1, 1, 1)
        elif last[0] == 1 and last[1] == 0 and last[2] == 1:
            row(cs, xs, ys, zs, count, 1, 0, 1)
        elif last[0] == 1 and last[1] == 1 and last[2] == 0:
            row(cs, xs, ys, zs, count, 1, 1, 0)
        elif last[0] == 1 and last[1] == 0 and last[2] == 0:
            row(cs, xs, ys, zs, count, 1, 0, 0)
        else:
            row(cs, xs, ys, zs, count, last[0], last[1], last[2])
        done += count
        if done >= 8 * CHUNK:
            done = 0
            if cyn_stop(ctl, tid):
                return 0
        piece += 1
        if piece < pieces:
            continue
        piece = 0
        for i in range(rank - 2, -1, -1):
            at[i] += 1
            for j in range(3):
                offset[j] += dims[rank * (j + 1) + i]
            if at[i] < dims[i]:
                break
            for j in range(3):
                offset[j] -= at[i] * dims[rank * (j + 1) + i]
            at[i] = 0
    return 0


cdef int where_1(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return where(<uint8_t*> NULL, a, ctl, tid, nt)


cdef int where_2(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return where(<uint16_t*> NULL, a, ctl, tid, nt)


cdef int where_4(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return where(<uint32_t*> NULL, a, ctl, tid, nt)


cdef int where_8(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return where(<uint64_t*> NULL, a, ctl, tid, nt)


cdef inline int arange(Number* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t lo, hi, i
    cyn_share((a.n[0] + CHUNK - 1) // CHUNK, tid, nt, &lo, &hi)
    lo *= CHUNK
    hi = min(hi * CHUNK, a.n[0])
    for i in range(lo, hi):
        if Number is float or Number is double:
            y[i] = <Number> (a.f[0] + <double> i * a.f[1])
        else:
            y[i] = <Number> (<uint64_t> a.n[1] + <uint64_t> i * <uint64_t> a.n[2])
        if i % (16 * CHUNK) == 0 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int f32_range(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return arange(<float*> a.p[0], a, ctl, tid, nt)


cdef int f64_range(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return arange(<double*> a.p[0], a, ctl, tid, nt)


cdef int i16_range(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return arange(<int16_t*> a.p[0], a, ctl, tid, nt)


cdef int i32_range(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return arange(<int32_t*> a.p[0], a, ctl, tid, nt)


cdef int i64_range(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return arange(<int64_t*> a.p[0], a, ctl, tid, nt)


cdef inline int fill(Item* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t lo, hi, i, c
    cdef Item item = (<Item*> a.p[1])[0]
    cyn_share((a.n[0] + CHUNK - 1) // CHUNK, tid, nt, &lo, &hi)
    for c in range(lo, hi):
        for i in range(c * CHUNK, min(c * CHUNK + CHUNK, a.n[0])):
            y[i] = item
        if c % 32 == 0 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int fill_1(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return fill(<uint8_t*> a.p[0], a, ctl, tid, nt)


cdef int fill_2(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return fill(<uint16_t*> a.p[0], a, ctl, tid, nt)


cdef int fill_4(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return fill(<uint32_t*> a.p[0], a, ctl, tid, nt)


cdef int fill_8(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return fill(<uint64_t*> a.p[0], a, ctl, tid, nt)


KERNELS = {
    "where_1": <size_t> &where_1, "where_2": <size_t> &where_2, "where_4": <size_t> &where_4,
    "where_8": <size_t> &where_8,
    "f32_range": <size_t> &f32_range, "f64_range": <size_t> &f64_range, "i16_range": <size_t> &i16_range,
    "i32_range": <size_t> &i32_range, "i64_range": <size_t> &i64_range,
    "fill_1": <size_t> &fill_1, "fill_2": <size_t> &fill_2, "fill_4": <size_t> &fill_4, "fill_8": <size_t> &fill_8,
}
