# isa: base avx2 avx512
"""Data movement by item size, whatever the type.

copy_nd    p = x, y; n = item bytes, ndim (1 to 32), shape (ndim), strides of x in bytes (ndim), strides of y (ndim),
           byte offset into x, byte offset into y. Transpose, Slice (negative strides), Split, Concat, Expand
           (stride 0), Tile, the inside of Pad. Targets must not overlap each other, nor the source.
fill       p = value (one item), y; n = item bytes, count
pad        p = x, y, value (one item), tables; n = item bytes, ndim, shape of x (ndim), shape of y (ndim).
           tables: int64, for each axis and each output index the index into x, or -1 for the value.
           Items are 1, 2, 4, 8, 16 or 64 bytes (64: a block of 16 channels) for all three.
gather     p = x, indices, y; n = outer, axis, inner bytes, count, index bytes (4 or 8).
           y[o][i] = x[o][indices[i]]; negative indices count from the end; a fault names the position in indices
"""
from libc.stdint cimport int32_t, int64_t
from cynfer.ops.faults import INDEX_OUT_OF_RANGE as _INDEX_OUT_OF_RANGE
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_fault, cyn_share, cyn_stop

cdef extern from "move_ukr.h" nogil:
    void copy_strided(int64_t item, const char* x, int64_t xs, char* y, int64_t ys, int64_t count) noexcept
    void transpose_tile(int64_t item, const char* x, int64_t xs, char* y, int64_t ys, int64_t rows,
                        int64_t cols) noexcept
    void copy_run(char* y, const char* x, int64_t bytes) noexcept

cdef int INDEX_OUT_OF_RANGE = _INDEX_OUT_OF_RANGE

cdef enum:
    DIMS = 32
    CHUNK = 32768  # bytes of one unit of work
    TILE = 64


ctypedef struct Nd:
    int64_t item
    int ndim
    int64_t[DIMS] shape
    int64_t[DIMS] xs
    int64_t[DIMS] ys


cdef bint _merge(Nd* d, const int64_t* n) noexcept nogil:
    """Drops axes of size 1 and joins axes that are one in both x and y. False if there is nothing to copy."""
    cdef int64_t ndim = n[1], i
    cdef int k = 0
    d.item = n[0]
    for i in range(ndim):
        if n[2 + i] == 0:
            return False
        if n[2 + i] == 1:
            continue
        if k and d.xs[k - 1] == n[2 + i] * n[2 + ndim + i] and d.ys[k - 1] == n[2 + i] * n[2 + 2 * ndim + i]:
            k -= 1
            d.shape[k] *= n[2 + i]
        else:
            d.shape[k] = n[2 + i]
        d.xs[k] = n[2 + ndim + i]
        d.ys[k] = n[2 + 2 * ndim + i]
        k += 1
    if k == 0:
        d.shape[0] = 1
        d.xs[0] = d.ys[0] = d.item
        k = 1
    # A short contiguous run of the right size is one larger item.
    i = d.shape[k - 1] * d.item
    if k > 1 and d.xs[k - 1] == d.item and d.ys[k - 1] == d.item and (i == 2 or i == 4 or i == 8 or i == 16 or i == 64):
        d.item = i
        k -= 1
    d.ndim = k
    return True


cdef void _long_axis_last(Nd* d) noexcept nogil:
    """The order of axes does not matter to a copy: a short last axis changes places with the longest."""
    cdef int i, k = d.ndim - 1, last = d.ndim - 1
    if d.shape[last] * d.item >= 64:
        return
    for i in range(last):
        if d.shape[i] > d.shape[k]:
            k = i
    if d.shape[k] >= 4 * d.shape[last]:
        d.shape[k], d.shape[last] = d.shape[last], d.shape[k]
        d.xs[k], d.xs[last] = d.xs[last], d.xs[k]
        d.ys[k], d.ys[last] = d.ys[last], d.ys[k]


cdef inline void _seek(const Nd* d, int axes, int64_t unit, int64_t* at, int64_t* x, int64_t* y) noexcept nogil:
    """The position of unit number `unit` over the first axes."""
    cdef int i
    x[0] = y[0] = 0
    for i in range(axes - 1, -1, -1):
        at[i] = unit % d.shape[i]
        unit = unit // d.shape[i]
        x[0] += at[i] * d.xs[i]
        y[0] += at[i] * d.ys[i]


cdef inline void _next(const Nd* d, int axes, int64_t* at, int64_t* x, int64_t* y) noexcept nogil:
    cdef int i
    for i in range(axes - 1, -1, -1):
        x[0] += d.xs[i]
        y[0] += d.ys[i]
        at[i] += 1
        if at[i] < d.shape[i]:
            return
        x[0] -= d.shape[i] * d.xs[i]
        y[0] -= d.shape[i] * d.ys[i]
        at[i] = 0


cdef int _copy_rows(const Nd* d, const char* x, char* y, Ctl* ctl, int tid, int nt) noexcept nogil:
    """Rows along the last axis, long ones in pieces."""
    cdef int last = d.ndim - 1
    cdef int64_t size = d.shape[last], piece = max(1, CHUNK // d.item), pieces = (size + piece - 1) // piece
    cdef int64_t xs = d.xs[last], ys = d.ys[last], rows = 1, lo, hi, u, dx, dy, i, k, work = 0
    cdef int64_t[DIMS] at
    cdef bint run = xs == d.item and ys == d.item
    for i in range(last):
        rows *= d.shape[i]
    cyn_share(rows * pieces, tid, nt, &lo, &hi)
    if lo >= hi:
        return 0
    _seek(d, last, lo // pieces, at, &dx, &dy)
    i = lo % pieces
    for u in range(lo, hi):
        k = min(piece, size - i * piece)
        if run:
            copy_run(y + dy + i * piece * ys, x + dx + i * piece * xs, k * d.item)
        else:
            copy_strided(d.item, x + dx + i * piece * xs, xs, y + dy + i * piece * ys, ys, k)
        i += 1
        if i == pieces:
            i = 0
            _next(d, last, at, &dx, &dy)
        work += k
        if work > 1 << 16:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _copy_tiles(Nd* d, int j, const char* x, char* y, Ctl* ctl, int tid, int nt) noexcept nogil:
    """Axis j runs along x, the last axis along y: squares of TILE x TILE items. Axis j is moved beside the last."""
    cdef int last = d.ndim - 1, i
    cdef int64_t rows = d.shape[j], xr = d.xs[j], yr = d.ys[j], cols = d.shape[last], tall, wide, outer = 1
    cdef int64_t lo, hi, u, t, dx, dy, r, c
    cdef int64_t[DIMS] at
    for i in range(j, last - 1):
        d.shape[i] = d.shape[i + 1]
        d.xs[i] = d.xs[i + 1]
        d.ys[i] = d.ys[i + 1]
    d.shape[last - 1] = rows
    d.xs[last - 1] = xr
    d.ys[last - 1] = yr
    tall = (rows + TILE - 1) // TILE
    wide = (cols + TILE - 1) // TILE
    for i in range(last - 1):
        outer *= d.shape[i]
    cyn_share(outer * tall * wide, tid, nt, &lo, &hi)
    if lo >= hi:
        return 0
    _seek(d, last - 1, lo // (tall * wide), at, &dx, &dy)
    t = lo % (tall * wide)
    for u in range(lo, hi):
        r = t // wide * TILE
        c = t % wide * TILE
        transpose_tile(d.item, x + dx + r * xr + c * d.xs[last], d.xs[last], y + dy + r * yr + c * d.item, yr,
                       min(TILE, rows - r), min(TILE, cols - c))
        t += 1
        if t == tall * wide:
            t = 0
            _next(d, last - 1, at, &dx, &dy)
        if u & 15 == 15 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int copy_nd(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef Nd d
    cdef int64_t ndim = a.n[1]
    cdef const char* x = <const char*> a.p[0] + a.n[2 + 3 * ndim]
    cdef char* y = <char*> a.p[1] + a.n[3 + 3 * ndim]
    cdef int j
    if ndim > DIMS:
        return 1
    if not _merge(&d, a.n):
        return 0
    if d.ys[d.ndim - 1] == d.item and d.xs[d.ndim - 1] != d.item and d.item <= 16 and d.shape[d.ndim - 1] >= 4:
        for j in range(d.ndim - 1):
            if d.xs[j] == d.item and d.shape[j] >= 4:
                return _copy_tiles(&d, j, x, y, ctl, tid, nt)
    _long_axis_last(&d)
    return _copy_rows(&d, x, y, ctl, tid, nt)


cdef int fill(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t lo, hi, u, item = a.n[0], piece = CHUNK // item
    cdef char* y = <char*> a.p[1]
    cyn_share((a.n[1] + piece - 1) // piece, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        copy_strided(item, <const char*> a.p[0], 0, y + u * piece * item, item, min(piece, a.n[1] - u * piece))
        if u & 15 == 15 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int pad(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t item = a.n[0], ndim = a.n[1], rows = 1, lo, hi, r, i, k, at, base, scale, cols, first, end, work = 0
    cdef const int64_t* xshape = a.n + 2
    cdef const int64_t* yshape = xshape + ndim
    cdef const int64_t* table = <const int64_t*> a.p[3]
    cdef const int64_t* last
    cdef const char* x = <const char*> a.p[0]
    cdef const char* value = <const char*> a.p[2]
    cdef char* y
    for i in range(ndim - 1):
        rows *= yshape[i]
        table += yshape[i]
    last = table
    cols = yshape[ndim - 1]
    # Columns [first, end) are a straight copy.
    first = 0
    while first < cols and last[first] < 0:
        first += 1
    end = first
    for i in range(first + 1, cols + 1):
        end = i
        if i < cols and last[i] != last[i - 1] + 1:
            if i - first >= cols // 2:
                break
            first = i  # the front was reflected or repeated
    cyn_share(rows, tid, nt, &lo, &hi)
    for r in range(lo, hi):
        k = r
        base = 0
        scale = xshape[ndim - 1]
        table = last
        for i in range(ndim - 2, -1, -1):
            table -= yshape[i]
            at = table[k % yshape[i]]
            k = k // yshape[i]
            if at < 0:
                base = -1
                break
            base += at * scale
            scale *= xshape[i]
        y = <char*> a.p[1] + r * cols * item
        if base < 0:
            copy_strided(item, value, 0, y, item, cols)
        else:
            i = 0
            while i < cols:
                if i == first and end > first and last[first] >= 0:
                    copy_run(y + i * item, x + (base + last[first]) * item, (end - first) * item)
                    i = end
                else:
                    copy_run(y + i * item, value if last[i] < 0 else x + (base + last[i]) * item, item)
                    i += 1
        work += cols
        if work > 1 << 16:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int gather(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t axis = a.n[1], inner = a.n[2], count = a.n[3], lo, hi, u, o, i, k, index, work = 0
    cdef int64_t pieces = max(1, (inner + CHUNK - 1) // CHUNK), group, groups
    cdef bint wide = a.n[4] == 8
    cdef const char* x = <const char*> a.p[0]
    cdef char* y = <char*> a.p[2]
    # A unit is a group of short slices or a piece of a long one.
    group = 1 if pieces > 1 else max(1, CHUNK // max(1, inner))
    groups = (count + group - 1) // group
    cyn_share(a.n[0] * groups * pieces, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        o = u // (groups * pieces)
        k = u % pieces * CHUNK
        for i in range(u // pieces % groups * group, min(count, (u // pieces % groups + 1) * group)):
            index = (<const int64_t*> a.p[1])[i] if wide else (<const int32_t*> a.p[1])[i]
            if index < -axis or index >= axis:
                cyn_fault(ctl, tid, INDEX_OUT_OF_RANGE, i, index, -axis, axis - 1)
                continue
            if index < 0:
                index += axis
            copy_run(y + (o * count + i) * inner + k, x + (o * axis + index) * inner + k, min(CHUNK, inner - k))
        work += 1
        if work & 15 == 0 and cyn_stop(ctl, tid):
            return 0
    return 0


KERNELS = {
    "copy_nd": <size_t> &copy_nd,
    "fill": <size_t> &fill,
    "pad": <size_t> &pad,
    "gather": <size_t> &gather,
}
