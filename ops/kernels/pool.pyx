# isa: base avx2 avx512
"""Pooling. A NaN in a window gives NaN wherever it stands; the average of a window with no element is 0.

Plain layout, 1-D to 3-D (absent leading dimensions have size 1), n = images*channels, D H W, output D H W,
kernel (3), strides (3), dilations (3), pads at the begin (3), pads at the end (3), option:

{f32,f64,i8,u8}_max_pool  p = x, y, indices or NULL (int64: flat in the whole tensor; option 1: column-major space)
{f32,f64}_average_pool    p = x, y; option 1 counts padding
{f32,f64}_lp_pool         p = x, y; f = order p

Layout c16, n = images, channel blocks, H W, output H W, kernel (2), strides (2), dilations (2), pads at the begin (2),
pads at the end (2), option as above:

{f32,f64}_max_pool_c16, {f32,f64}_average_pool_c16    p = x, y
{f32,f64}_global_average_pool_c16, {f32,f64}_global_max_pool_c16    p = x, y ([images][blocks][16]);
    n = images, blocks, pixels

Global pools of plain tensors are reductions over [rows][pixels][1].
"""
from libc.math cimport INFINITY, fabs, pow, sqrt
from libc.stdint cimport int8_t, int64_t, uint8_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

cdef extern from "pool_ukr.h" nogil:
    void max_windows_f32(const float* x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step,
                         int64_t count, float c, float* y) noexcept
    void max_windows_f64(const double* x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step,
                         int64_t count, double c, double* y) noexcept
    void average_windows_f32(const float* x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step,
                             int64_t count, float c, float* y) noexcept
    void average_windows_f64(const double* x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step,
                             int64_t count, double c, double* y) noexcept
    void sum_pixels_f32(const float* x, int64_t n, double* total) noexcept
    void sum_pixels_f64(const double* x, int64_t n, double* total) noexcept

ctypedef fused real:
    float
    double

ctypedef fused ordered:
    float
    double
    int8_t
    uint8_t

cdef enum:
    POLL = 1 << 19  # taps between two looks at the stop flag
    LINE = 2048     # longest row that is reduced down the columns first
    MAX = 0
    AVERAGE = 1
    LP = 2


cdef inline ordered _max(ordered m, ordered x) noexcept nogil:
    return x if (x > m) | (x != x) else m


cdef inline ordered _lowest(ordered unused) noexcept nogil:
    if ordered is int8_t:
        return -128
    elif ordered is uint8_t:
        return 0
    else:
        return -INFINITY


cdef inline int64_t _divide(int64_t x, int64_t by) noexcept nogil:
    """x // by for x >= 0; a division would be the dearest part of a short row."""
    return x if by == 1 else x >> 1 if by == 2 else x // by


cdef inline void _taps(int64_t o, int64_t stride, int64_t pad, int64_t dilation, int64_t kernel, int64_t size,
                       int64_t* first, int64_t* end) noexcept nogil:
    """Taps [first, end) of window o that fall on 0 .. size - 1."""
    cdef int64_t start = o * stride - pad
    first[0] = 0 if start >= 0 else _divide(-start + dilation - 1, dilation)
    end[0] = 0 if start >= size else min(kernel, _divide(size - 1 - start, dilation) + 1)
    if end[0] < first[0]:
        end[0] = first[0]


cdef inline void _windows(int64_t tap, int64_t stride, int64_t pad, int64_t size, int64_t windows,
                          int64_t* first, int64_t* end) noexcept nogil:
    """Windows [first, end) whose tap at distance `tap` falls on 0 .. size - 1."""
    first[0] = 0 if tap >= pad else _divide(pad - tap + stride - 1, stride)
    end[0] = 0 if size - 1 + pad < tap else min(windows, _divide(size - 1 + pad - tap, stride) + 1)
    if end[0] < first[0]:
        end[0] = first[0]


cdef inline int64_t _counted(int64_t o, const int64_t* n, int axis, bint padding) noexcept nogil:
    """How many taps of window o count along an axis (of the 22 plain sizes), with or without padding."""
    cdef int64_t first, end, before = n[16 + axis] if padding else 0, after = n[19 + axis] if padding else 0
    _taps(o, n[10 + axis], n[16 + axis] - before, n[13 + axis], n[7 + axis], n[1 + axis] + before + after, &first, &end)
    return end - first


cdef inline void _max_tap(ordered* y, const ordered* x, int64_t count, int64_t stride) noexcept nogil:
    cdef int64_t i
    if stride == 1:
        for i in range(count):
            y[i] = _max(y[i], x[i])
    elif stride == 2:
        for i in range(count):
            y[i] = _max(y[i], x[2 * i])
    else:
        for i in range(count):
            y[i] = _max(y[i], x[stride * i])


cdef inline void _add_tap(real* y, const real* x, int64_t count, int64_t stride) noexcept nogil:
    cdef int64_t i
    if stride == 1:
        for i in range(count):
            y[i] += x[i]
    elif stride == 2:
        for i in range(count):
            y[i] += x[2 * i]
    else:
        for i in range(count):
            y[i] += x[stride * i]


cdef inline void _power_tap(real* y, const real* x, int64_t count, int64_t stride, double p) noexcept nogil:
    cdef int64_t i
    if p == 1:
        for i in range(count):
            y[i] += <real> fabs(x[stride * i])
    elif p == 2:
        for i in range(count):
            y[i] += x[stride * i] * x[stride * i]
    else:
        for i in range(count):
            y[i] += <real> pow(fabs(x[stride * i]), p)


cdef inline void _tap(ordered* y, const ordered* x, int64_t count, int64_t stride, int what, double p) noexcept nogil:
    if what == MAX:
        _max_tap(y, x, count, stride)
    elif ordered is float or ordered is double:
        if what == AVERAGE:
            _add_tap(y, x, count, stride)
        else:
            _power_tap(y, x, count, stride, p)


cdef inline void _row(ordered* y, const ordered* x, int64_t od, int64_t oh, const int64_t* n, int what,
                      double p) noexcept nogil:
    """One row of outputs, x being the image: first down the columns, where neighbours are contiguous, then across."""
    cdef int64_t H = n[2], W = n[3], OW = n[6], d, h, w, d0, d1, h0, h1, first, end, i
    cdef ordered[LINE] line
    cdef const ordered* s
    cdef ordered start = _lowest(<ordered> 0) if what == MAX else <ordered> 0
    cdef bint down
    for i in range(OW):
        y[i] = start
    _taps(od, n[10], n[16], n[13], n[7], n[1], &d0, &d1)
    _taps(oh, n[11], n[17], n[14], n[8], H, &h0, &h1)
    down = W <= LINE and (d1 - d0) * (h1 - h0) > 1 and n[9] > 1
    if down:
        for i in range(W):
            line[i] = start
    for d in range(d0, d1):
        for h in range(h0, h1):
            s = x + ((od * n[10] - n[16] + d * n[13]) * H + oh * n[11] - n[17] + h * n[14]) * W
            if down:
                _tap(line, s, W, 1, what, p)
                if d < d1 - 1 or h < h1 - 1:
                    continue
                s = line
            for w in range(n[9]):
                _windows(w * n[15], n[12], n[18], W, OW, &first, &end)
                if end > first:
                    i = first * n[12] + w * n[15] - n[18]
                    # Across, the powers of a line are there already.
                    _tap(y + first, s + i, end - first, n[12], AVERAGE if down and what == LP else what, p)


cdef inline void _max_row_indices(ordered* y, int64_t* indices, const ordered* x, int64_t offset, int64_t od,
                                  int64_t oh, const int64_t* n) noexcept nogil:
    """A row of maxima and where they stand: the first of equals, the first NaN; -1 for a window without elements."""
    cdef int64_t D = n[1], H = n[2], W = n[3], ow, d, h, w, i, j, k, d0, d1, h0, h1, w0, w1, at
    cdef ordered m, v
    _taps(od, n[10], n[16], n[13], n[7], D, &d0, &d1)
    _taps(oh, n[11], n[17], n[14], n[8], H, &h0, &h1)
    for ow in range(n[6]):
        _taps(ow, n[12], n[18], n[15], n[9], W, &w0, &w1)
        m = _lowest(<ordered> 0)
        at = -1
        for i in range(d0, d1):
            d = od * n[10] - n[16] + i * n[13]
            for j in range(h0, h1):
                h = oh * n[11] - n[17] + j * n[14]
                for k in range(w0, w1):
                    w = ow * n[12] - n[18] + k * n[15]
                    v = x[(d * H + h) * W + w]
                    if at < 0 or v > m or (v != v and m == m):
                        m = v
                        at = d + (h + w * H) * D if n[22] else (d * H + h) * W + w
        y[ow] = m
        indices[ow] = offset + at if at >= 0 else -1


cdef int _max_pool(ordered* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef const ordered* x = <const ordered*> a.p[0]
    cdef ordered* y = <ordered*> a.p[1]
    cdef int64_t* indices = <int64_t*> a.p[2]
    cdef int64_t lo, hi, r, c, od, oh, work = 0, image = n[1] * n[2] * n[3]
    cyn_share(n[0] * n[4] * n[5], tid, nt, &lo, &hi)
    for r in range(lo, hi):
        oh = r % n[5]
        od = r // n[5] % n[4]
        c = r // (n[5] * n[4])
        if indices == NULL:
            _row(y + r * n[6], x + c * image, od, oh, n, MAX, 0)
        else:
            _max_row_indices(y + r * n[6], indices + r * n[6], x + c * image, c * image, od, oh, n)
        work += n[6] * n[7] * n[8] * n[9]
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef inline void _divide_row(real* y, const int64_t* n, int64_t k, bint padding) noexcept nogil:
    """Divides a row of sums by k times the number of taps along the row that count."""
    cdef int64_t OW = n[6], ow, first, end, count, before = 0 if padding else n[18]
    cdef real divisor = <real> (k * n[9])
    first = min(OW, _divide(before + n[12] - 1, n[12]))
    _windows((n[9] - 1) * n[15], n[12], n[18], n[3] + (n[21] if padding else 0), OW, &ow, &end)
    for ow in range(OW):
        if ow == first and first < end and k:
            break
        count = k * _counted(ow, n, 2, padding)
        y[ow] = y[ow] / <real> count if count else <real> 0
    if first < end and k:
        for ow in range(first, end):
            y[ow] /= divisor
        for ow in range(end, OW):
            count = k * _counted(ow, n, 2, padding)
            y[ow] = y[ow] / <real> count if count else <real> 0


cdef int _sum_pool(real* unused, const Args* a, Ctl* ctl, int tid, int nt, int what, double p) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef const real* x = <const real*> a.p[0]
    cdef real* y = <real*> a.p[1]
    cdef int64_t lo, hi, r, c, od, oh, ow, k, work = 0, image = n[1] * n[2] * n[3]
    cdef bint padding = n[22] != 0
    cyn_share(n[0] * n[4] * n[5], tid, nt, &lo, &hi)
    for r in range(lo, hi):
        oh = r % n[5]
        od = r // n[5] % n[4]
        c = r // (n[5] * n[4])
        y = <real*> a.p[1] + r * n[6]
        _row(y, x + c * image, od, oh, n, what, p)
        if what == AVERAGE:
            k = _counted(od, n, 0, padding) * _counted(oh, n, 1, padding)
            _divide_row(y, n, k, padding)
        elif p == 2:
            for ow in range(n[6]):
                y[ow] = <real> sqrt(y[ow])
        elif p != 1:
            for ow in range(n[6]):
                y[ow] = <real> pow(y[ow], 1 / p)
        work += n[6] * n[7] * n[8] * n[9]
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef inline void _c16_windows(real* y, const real* x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step,
                              int64_t count, int what, real divisor) noexcept nogil:
    if real is float:
        if what == MAX:
            max_windows_f32(x, kh, row, kw, col, step, count, 0, y)
        else:
            average_windows_f32(x, kh, row, kw, col, step, count, divisor, y)
    else:
        if what == MAX:
            max_windows_f64(x, kh, row, kw, col, step, count, 0, y)
        else:
            average_windows_f64(x, kh, row, kw, col, step, count, divisor, y)


cdef int _pool_c16(real* unused, const Args* a, Ctl* ctl, int tid, int nt, int what) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef int64_t H = n[2], W = n[3], OH = n[4], OW = n[5], lo, hi, r, oh, ow, h0, h1, w0, w1, first, end, count
    cdef int64_t work = 0, row = n[10] * W * 16, col = n[11] * 16, tall
    cdef int64_t[23] m  # the same sizes in the plain order, for _counted
    cdef const real* x
    cdef real* y
    m[:] = [1, 1, H, W, 1, OH, OW, 1, n[6], n[7], 1, n[8], n[9], 1, n[10], n[11], 0, n[12], n[13], 0, n[14], n[15], 0]
    cdef bint padding = n[16] != 0
    cyn_share(n[0] * n[1] * OH, tid, nt, &lo, &hi)
    for r in range(lo, hi):
        oh = r % OH
        _taps(oh, n[8], n[12], n[10], n[6], H, &h0, &h1)
        tall = _counted(oh, m, 1, padding)
        x = <const real*> a.p[0] + (r // OH * H + oh * n[8] - n[12] + h0 * n[10]) * W * 16
        y = <real*> a.p[1] + r * OW * 16
        # Windows [first, end) lie inside the row with all their taps.
        first = min(OW, (n[13] + n[9] - 1) // n[9])
        _windows((n[7] - 1) * n[11], n[9], n[13], W, OW, &w0, &end)
        if end < first:
            end = first
        ow = 0
        while ow < OW:
            _taps(ow, n[9], n[13], n[11], n[7], W, &w0, &w1)
            count = end - ow if first <= ow < end else 1
            _c16_windows(y + ow * 16, x + (ow * n[9] - n[13] + w0 * n[11]) * 16, h1 - h0, row, w1 - w0, col,
                         n[9] * 16, count, what, <real> max(1, tall * _counted(ow, m, 2, padding)))
            ow += count
        work += OW * n[6] * n[7] * 4
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _global_c16(real* unused, const Args* a, Ctl* ctl, int tid, int nt, int what) noexcept nogil:
    cdef int64_t lo, hi, r, j, pixels = a.n[2]
    cdef double[16] total
    cdef const real* x
    cdef real* y
    cyn_share(a.n[0] * a.n[1], tid, nt, &lo, &hi)
    for r in range(lo, hi):
        x = <const real*> a.p[0] + r * pixels * 16
        y = <real*> a.p[1] + r * 16
        if what == MAX:
            _c16_windows(y, x, 1, 0, pixels, 16, 0, 1, MAX, <real> 1)
        else:
            if real is float:
                sum_pixels_f32(x, pixels, total)
            else:
                sum_pixels_f64(x, pixels, total)
            for j in range(16):
                y[j] = <real> (total[j] / max(1, pixels))
        if r & 15 == 15 and cyn_stop(ctl, tid):
            return 0
    return 0


cdef int f32_max_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _max_pool(<float*> NULL, a, ctl, tid, nt)


cdef int f64_max_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _max_pool(<double*> NULL, a, ctl, tid, nt)


cdef int i8_max_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _max_pool(<int8_t*> NULL, a, ctl, tid, nt)


cdef int u8_max_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _max_pool(<uint8_t*> NULL, a, ctl, tid, nt)


cdef int f32_average_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _sum_pool(<float*> NULL, a, ctl, tid, nt, AVERAGE, 1)


cdef int f64_average_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _sum_pool(<double*> NULL, a, ctl, tid, nt, AVERAGE, 1)


cdef int f32_lp_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _sum_pool(<float*> NULL, a, ctl, tid, nt, LP, a.f[0])


cdef int f64_lp_pool(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _sum_pool(<double*> NULL, a, ctl, tid, nt, LP, a.f[0])


cdef int f32_max_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _pool_c16(<float*> NULL, a, ctl, tid, nt, MAX)


cdef int f64_max_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _pool_c16(<double*> NULL, a, ctl, tid, nt, MAX)


cdef int f32_average_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _pool_c16(<float*> NULL, a, ctl, tid, nt, AVERAGE)


cdef int f64_average_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _pool_c16(<double*> NULL, a, ctl, tid, nt, AVERAGE)


cdef int f32_global_average_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _global_c16(<float*> NULL, a, ctl, tid, nt, AVERAGE)


cdef int f64_global_average_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _global_c16(<double*> NULL, a, ctl, tid, nt, AVERAGE)


cdef int f32_global_max_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _global_c16(<float*> NULL, a, ctl, tid, nt, MAX)


cdef int f64_global_max_pool_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _global_c16(<double*> NULL, a, ctl, tid, nt, MAX)


KERNELS = {
    "f32_max_pool": <size_t> &f32_max_pool,
    "f64_max_pool": <size_t> &f64_max_pool,
    "i8_max_pool": <size_t> &i8_max_pool,
    "u8_max_pool": <size_t> &u8_max_pool,
    "f32_average_pool": <size_t> &f32_average_pool,
    "f64_average_pool": <size_t> &f64_average_pool,
    "f32_lp_pool": <size_t> &f32_lp_pool,
    "f64_lp_pool": <size_t> &f64_lp_pool,
    "f32_max_pool_c16": <size_t> &f32_max_pool_c16,
    "f64_max_pool_c16": <size_t> &f64_max_pool_c16,
    "f32_average_pool_c16": <size_t> &f32_average_pool_c16,
    "f64_average_pool_c16": <size_t> &f64_average_pool_c16,
    "f32_global_average_pool_c16": <size_t> &f32_global_average_pool_c16,
    "f64_global_average_pool_c16": <size_t> &f64_global_average_pool_c16,
    "f32_global_max_pool_c16": <size_t> &f32_global_max_pool_c16,
    "f64_global_max_pool_c16": <size_t> &f64_global_max_pool_c16,
}
