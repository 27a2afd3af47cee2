# isa: base avx2 avx512
"""Resizing by tables that the caller makes for each axis (indices are int64 and lie inside the image).

{f32,f64}_resize_taps    p = x, indices [out][taps], weights [out][taps], y; n = outer, in, inner, out, taps.
    y[o][i] = sum over t of weights[i][t] * x[o][indices[i][t]]: one axis of any separable filter.
resize_nearest_2d        p = x, row of each output row, column of each output column, y; n = item bytes, images, H, W,
    output H, W. Plain: an item is an element; c16: images are images*blocks and an item is 16 elements.
{f32,f64}_resize_linear_2d, {f32,f64}_resize_linear_2d_c16    p = x, rows [output H][2], their weights, columns
    [output W][2], their weights, y; n = images (c16: images*blocks), H, W, output H, W;
    scratch: one row of x (W elements; c16: 16 W)
Weights have the type of x.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

cdef extern from "move_ukr.h" nogil:
    void copy_run(char* y, const char* x, int64_t bytes) noexcept

ctypedef fused real:
    float
    double

cdef enum:
    PIECE = 2048  # elements of one unit
    POLL = 1 << 18


cdef inline void _blend(const real* x, int64_t inner, const int64_t* at, const real* weight, int64_t taps, real* y,
                        int64_t n) noexcept nogil:
    """One output row as a weighted sum of rows; row i of x begins at x + i * inner."""
    cdef int64_t t, j
    cdef const real* r = x + at[0] * inner
    cdef const real* s
    cdef real v = weight[0], w
    if taps == 2:
        s = x + at[1] * inner
        w = weight[1]
        for j in range(n):
            y[j] = v * r[j] + w * s[j]
        return
    for j in range(n):
        y[j] = v * r[j]
    for t in range(1, taps):
        r = x + at[t] * inner
        v = weight[t]
        for j in range(n):
            y[j] += v * r[j]


cdef inline void _row_taps(const real* x, const int64_t* at, const real* weight, int64_t taps, real* y,
                           int64_t n) noexcept nogil:
    """Outputs along a contiguous axis."""
    cdef int64_t i, t
    cdef real v
    if taps == 2:
        for i in range(n):
            y[i] = weight[2 * i] * x[at[2 * i]] + weight[2 * i + 1] * x[at[2 * i + 1]]
        return
    for i in range(n):
        v = 0
        for t in range(taps):
            v += weight[i * taps + t] * x[at[i * taps + t]]
        y[i] = v


cdef int _taps(const real* x, const real* weight, real* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const int64_t* at = <const int64_t*> a.p[1]
    cdef int64_t size = a.n[1], inner = a.n[2], out = a.n[3], taps = a.n[4]
    cdef int64_t pieces = ((out if inner == 1 else inner) + PIECE - 1) // PIECE
    cdef int64_t lo, hi, u, o, i, j, n, work = 0
    if taps < 1:
        return 1
    cyn_share(a.n[0] * pieces * (1 if inner == 1 else out), tid, nt, &lo, &hi)
    for u in range(lo, hi):
        j = u % pieces * PIECE
        if inner == 1:
            o = u // pieces
            n = min(PIECE, out - j)
            _row_taps(x + o * size, at + j * taps, weight + j * taps, taps, y + o * out + j, n)
        else:
            o = u // pieces // out
            i = u // pieces % out
            n = min(PIECE, inner - j)
            _blend(x + o * size * inner + j, inner, at + i * taps, weight + i * taps, taps,
                   y + (o * out + i) * inner + j, n)
        work += n * taps
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int resize_nearest_2d(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const int64_t* rows = <const int64_t*> a.p[1]
    cdef const int64_t* columns = <const int64_t*> a.p[2]
    cdef int64_t item = a.n[0], H = a.n[2], W = a.n[3], OH = a.n[4], OW = a.n[5], lo, hi, u, i, j
    cdef const char* x
    cdef char* y
    cyn_share(a.n[1] * OH, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        i = u % OH
        y = <char*> a.p[3] + u * OW * item
        if u > lo and i > 0 and rows[i] == rows[i - 1]:
            memcpy(y, y - OW * item, OW * item)
            continue
        x = <const char*> a.p[0] + (u // OH * H + rows[i]) * W * item
        if item == 4:
            for j in range(OW):
                (<float*> y)[j] = (<const float*> x)[columns[j]]
        else:
            for j in range(OW):
                copy_run(y + j * item, x + columns[j] * item, item)
        if u & 63 == 63 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int _linear(const real* x, real* y, const Args* a, Ctl* ctl, int tid, int nt, bint blocked) noexcept nogil:
    cdef const int64_t* rows = <const int64_t*> a.p[1]
    cdef const int64_t* columns = <const int64_t*> a.p[3]
    cdef const real* down = <const real*> a.p[2]
    cdef const real* across = <const real*> a.p[4]
    cdef int64_t H = a.n[1], OH = a.n[3], OW = a.n[4], W = a.n[2] * 16 if blocked else a.n[2]
    cdef int64_t lo, hi, u, i, j, k, work = 0
    cdef real* row = <real*> (a.scratch + tid * a.scratch_bytes)
    cdef real* to
    cdef real v, w
    cdef const real* r
    cdef const real* s
    cyn_share(a.n[0] * OH, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        i = u % OH
        _blend(x + u // OH * H * W, W, rows + 2 * i, down + 2 * i, 2, row, W)
        if blocked:
            for j in range(OW):
                r = row + columns[2 * j] * 16
                s = row + columns[2 * j + 1] * 16
                v = across[2 * j]
                w = across[2 * j + 1]
                to = y + (u * OW + j) * 16
                for k in range(16):
                    to[k] = v * r[k] + w * s[k]
        else:
            _row_taps(row, columns, across, 2, y + u * OW, OW)
        work += W + OW * 16
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int f32_resize_taps(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _taps(<const float*> a.p[0], <const float*> a.p[2], <float*> a.p[3], a, ctl, tid, nt)


cdef int f32_resize_linear_2d(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _linear(<const float*> a.p[0], <float*> a.p[5], a, ctl, tid, nt, False)


cdef int f32_resize_linear_2d_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _linear(<const float*> a.p[0], <float*> a.p[5], a, ctl, tid, nt, True)


cdef int f64_resize_taps(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _taps(<const double*> a.p[0], <const double*> a.p[2], <double*> a.p[3], a, ctl, tid, nt)


cdef int f64_resize_linear_2d(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _linear(<const double*> a.p[0], <double*> a.p[5], a, ctl, tid, nt, False)


cdef int f64_resize_linear_2d_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _linear(<const double*> a.p[0], <double*> a.p[5], a, ctl, tid, nt, True)


KERNELS = {
    "resize_nearest_2d": <size_t> &resize_nearest_2d,
    "f32_resize_taps": <size_t> &f32_resize_taps,
    "f32_resize_linear_2d": <size_t> &f32_resize_linear_2d,
    "f32_resize_linear_2d_c16": <size_t> &f32_resize_linear_2d_c16,
    "f64_resize_taps": <size_t> &f64_resize_taps,
    "f64_resize_linear_2d": <size_t> &f64_resize_linear_2d,
    "f64_resize_linear_2d_c16": <size_t> &f64_resize_linear_2d_c16,
}
