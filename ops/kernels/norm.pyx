# isa: base avx2 avx512
"""Normalisation. Statistics are two passes in blocks, joined in float64.

All for {f32,f64}; scale, bias and the statistics have the type of x; an absent operand is NULL.
_layer_norm    p = x, scale (cols), bias (cols) or NULL, y, mean (rows) or NULL, 1/deviation (rows) or NULL;
               n = rows, cols; f = epsilon
_rms_norm      p = x, scale (cols) or NULL, y, 1/rms (rows) or NULL; n = rows, cols; f = epsilon
_group_norm    p = x, scale (channels) or NULL, bias (channels) or NULL, y, mean (images*groups) or NULL,
               1/deviation (images*groups) or NULL; n = images, channels, groups, pixels; f = epsilon.
               Instance norm has as many groups as channels.
_lp_norm       p = x, y; n = outer, axis, inner; f = order (1 or 2). A zero vector stays zero.
_lrn           p = x, y; n = images, channels, pixels, size; f = alpha, beta, bias
_lrn_c16       p = x, y; n = images, channels, pixels, size (at most 31); f = alpha, beta, bias. Layout c16; spare
               channels count as absent. A larger size returns status 1.
y may be x, but not for _lrn and _lrn_c16.
"""
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.fold cimport FOLD_ABS, FOLD_PLAIN, FOLD_SQUARE, fold_columns, fold_row, moments_row, real

cdef enum:
    COLUMNS = 64
    POLL = 1 << 18
    PIXELS = 64  # of one unit of LRN by blocks


cdef inline double _statistics(const real* x, int64_t n, double epsilon, real* mean, double* rest) noexcept nogil:
    """1 / deviation. The mean comes as a rounded value, about which the squares are taken, and the rest of it."""
    cdef double variance
    mean[0] = <real> (fold_row(FOLD_PLAIN, x, n, 0) / <double> n)
    moments_row(x, n, mean[0], rest, &variance)
    rest[0] /= <double> n
    variance = variance / <double> n - rest[0] * rest[0]
    return 1 / sqrt((0 if variance < 0 else variance) + epsilon)


cdef inline void _affine_row(const real* x, real* y, int64_t n, real mean, real inverse, real shift,
                             const real* scale, const real* bias) noexcept nogil:
    cdef int64_t i
    if bias == NULL:
        for i in range(n):
            y[i] = ((x[i] - mean) * inverse + shift) * scale[i]
    else:
        for i in range(n):
            y[i] = ((x[i] - mean) * inverse + shift) * scale[i] + bias[i]


cdef int _layer_norm(real* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t cols = a.n[1], lo, hi, r, work = 0
    cdef const real* x = <const real*> a.p[0]
    cdef real* y = <real*> a.p[3]
    cdef real mean, inverse
    cdef double rest
    cyn_share(a.n[0], tid, nt, &lo, &hi)
    for r in range(lo, hi):
        inverse = <real> _statistics(x + r * cols, cols, a.f[0], &mean, &rest)
        if a.p[4] != NULL:
            (<real*> a.p[4])[r] = <real> (mean + rest)
        if a.p[5] != NULL:
            (<real*> a.p[5])[r] = inverse
        _affine_row(x + r * cols, y + r * cols, cols, mean, inverse, <real> (-rest * inverse),
                    <const real*> a.p[1], <const real*> a.p[2])
        work += cols
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _rms_norm(real* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t cols = a.n[1], lo, hi, r, i, work = 0
    cdef const real* scale = <const real*> a.p[1]
    cdef const real* x
    cdef real* y
    cdef real inverse
    cyn_share(a.n[0], tid, nt, &lo, &hi)
    for r in range(lo, hi):
        x = <const real*> a.p[0] + r * cols
        y = <real*> a.p[2] + r * cols
        inverse = <real> (1 / sqrt(fold_row(FOLD_SQUARE, x, cols, 0) / <double> cols + a.f[0]))
        if a.p[3] != NULL:
            (<real*> a.p[3])[r] = inverse
        if scale == NULL:
            for i in range(cols):
                y[i] = x[i] * inverse
        else:
            for i in range(cols):
                y[i] = x[i] * inverse * scale[i]
        work += cols
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _group_norm(real* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t groups = a.n[2], channels = a.n[1] // groups, pixels = a.n[3], size = channels * pixels
    cdef int64_t lo, hi, r, c, i, at, work = 0
    cdef const real* scale = <const real*> a.p[1]
    cdef const real* bias = <const real*> a.p[2]
    cdef const real* x
    cdef real* y
    cdef real mean, inverse, factor, shift
    cdef double rest
    cyn_share(a.n[0] * groups, tid, nt, &lo, &hi)
    for r in range(lo, hi):
        x = <const real*> a.p[0] + r * size
        y = <real*> a.p[3] + r * size
        inverse = <real> _statistics(x, size, a.f[0], &mean, &rest)
        if a.p[4] != NULL:
            (<real*> a.p[4])[r] = <real> (mean + rest)
        if a.p[5] != NULL:
            (<real*> a.p[5])[r] = inverse
        for c in range(channels):
            at = r % groups * channels + c
            factor = inverse if scale == NULL else inverse * scale[at]
            shift = <real> ((<real> 0 if bias == NULL else bias[at]) - rest * factor)
            for i in range(c * pixels, (c + 1) * pixels):
                y[i] = (x[i] - mean) * factor + shift
        work += size
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _lp_norm(real* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t axis = a.n[1], inner = a.n[2], blocks = (inner + COLUMNS - 1) // COLUMNS
    cdef int64_t lo, hi, u, at, i, j, w, work = 0
    cdef int fold = FOLD_ABS if a.f[0] == 1 else FOLD_SQUARE
    cdef double[COLUMNS] total
    cdef real[COLUMNS] divisor
    cdef const real* x
    cdef real* y
    cyn_share(a.n[0] * blocks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        at = u // blocks * axis * inner + u % blocks * COLUMNS
        w = min(COLUMNS, inner - u % blocks * COLUMNS)
        x = <const real*> a.p[0] + at
        y = <real*> a.p[1] + at
        if inner == 1:
            total[0] = fold_row(fold, x, axis, 0)
        else:
            fold_columns(fold, x, axis, inner, w, 0, x, total)
        for j in range(w):
            divisor[j] = <real> (total[j] if fold == FOLD_ABS else sqrt(total[j]))
            if divisor[j] == 0:
                divisor[j] = 1
        if inner == 1:
            for i in range(axis):
                y[i] = x[i] / divisor[0]
        else:
            for i in range(axis):
                for j in range(w):
                    y[i * inner + j] = x[i * inner + j] / divisor[j]
        work += axis * w
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef inline void _lrn_scale(const real* x, const real* s, real* y, int64_t n, real alpha, double beta,
                            real bias) noexcept nogil:
    """y = x / (bias + alpha * s) ** beta; the usual orders need square roots alone."""
    cdef int64_t i
    cdef real v
    if beta == 0.75:
        for i in range(n):
            v = <real> 1 / <real> sqrt(bias + alpha * s[i])
            y[i] = x[i] * (v * <real> sqrt(v))
    elif beta == 0.5:
        for i in range(n):
            y[i] = x[i] / <real> sqrt(bias + alpha * s[i])
    elif beta == 1:
        for i in range(n):
            y[i] = x[i] / (bias + alpha * s[i])
    else:
        for i in range(n):
            y[i] = <real> (x[i] * pow(bias + alpha * s[i], -beta))


cdef int _lrn(real* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t channels = a.n[1], inner = a.n[2], size = a.n[3], blocks = (inner + COLUMNS - 1) // COLUMNS
    cdef int64_t lo, hi, u, c, k, j, w, before = (size - 1) // 2, after = size - 1 - before
    cdef real[COLUMNS] s
    cdef const real* x
    cdef const real* row
    cdef real* y
    cyn_share(a.n[0] * blocks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        w = min(COLUMNS, inner - u % blocks * COLUMNS)
        x = <const real*> a.p[0] + u // blocks * channels * inner + u % blocks * COLUMNS
        y = <real*> a.p[1] + u // blocks * channels * inner + u % blocks * COLUMNS
        for c in range(channels):
            for j in range(w):
                s[j] = 0
            for k in range(max(0, c - before), min(channels, c + after + 1)):
                row = x + k * inner
                for j in range(w):
                    s[j] += row[j] * row[j]
            _lrn_scale(x + c * inner, s, y + c * inner, w, <real> (a.f[0] / <double> size), a.f[1], <real> a.f[2])
        if cyn_stop(ctl, tid):
            return 0
    return 0


cdef int _lrn_c16(real* unused, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t channels = a.n[1], pixels = a.n[2], size = a.n[3], blocks = (channels + 15) // 16
    cdef int64_t pieces = (pixels + PIXELS - 1) // PIXELS, before = (size - 1) // 2
    cdef int64_t lo, hi, u, i, b, c, k, j, at
    cdef real[48] square  # the neighbour blocks on both sides
    cdef real[16] s
    cdef const real* x
    cdef real* y
    if size > 31:
        return 1
    for j in range(48):
        square[j] = 0
    cyn_share(a.n[0] * blocks * pieces, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        b = u // pieces % blocks
        x = <const real*> a.p[0] + u // pieces * pixels * 16
        y = <real*> a.p[1] + u // pieces * pixels * 16
        for i in range(u % pieces * PIXELS, min(pixels, (u % pieces + 1) * PIXELS)):
            for k in range(-1, 2):
                at = (k * pixels + i) * 16
                if 0 <= b + k < blocks:
                    for j in range(16):
                        square[16 + k * 16 + j] = x[at + j] * x[at + j]
                    for j in range(channels - (b + k) * 16, 16):
                        square[16 + k * 16 + j] = 0
                else:
                    for j in range(16):
                        square[16 + k * 16 + j] = 0
            for j in range(16):
                s[j] = 0
            for k in range(16 - before, 16 - before + size):
                for j in range(16):
                    s[j] += square[k + j]
            _lrn_scale(x + i * 16, s, y + i * 16, 16, <real> (a.f[0] / <double> size), a.f[1], <real> a.f[2])
        if cyn_stop(ctl, tid):
            return 0
    return 0


cdef int f32_layer_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _layer_norm(<float*> NULL, a, ctl, tid, nt)


cdef int f64_layer_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _layer_norm(<double*> NULL, a, ctl, tid, nt)


cdef int f32_rms_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _rms_norm(<float*> NULL, a, ctl, tid, nt)


cdef int f64_rms_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _rms_norm(<double*> NULL, a, ctl, tid, nt)


cdef int f32_group_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _group_norm(<float*> NULL, a, ctl, tid, nt)


cdef int f64_group_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _group_norm(<double*> NULL, a, ctl, tid, nt)


cdef int f32_lp_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _lp_norm(<float*> NULL, a, ctl, tid, nt)


cdef int f64_lp_norm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _lp_norm(<double*> NULL, a, ctl, tid, nt)


cdef int f32_lrn(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _lrn(<float*> NULL, a, ctl, tid, nt)


cdef int f64_lrn(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _lrn(<double*> NULL, a, ctl, tid, nt)


cdef int f32_lrn_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _lrn_c16(<float*> NULL, a, ctl, tid, nt)


cdef int f64_lrn_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _lrn_c16(<double*> NULL, a, ctl, tid, nt)


KERNELS = {
    "f32_layer_norm": <size_t> &f32_layer_norm,
    "f64_layer_norm": <size_t> &f64_layer_norm,
    "f32_rms_norm": <size_t> &f32_rms_norm,
    "f64_rms_norm": <size_t> &f64_rms_norm,
    "f32_group_norm": <size_t> &f32_group_norm,
    "f64_group_norm": <size_t> &f64_group_norm,
    "f32_lp_norm": <size_t> &f32_lp_norm,
    "f64_lp_norm": <size_t> &f64_lp_norm,
    "f32_lrn": <size_t> &f32_lrn,
    "f64_lrn": <size_t> &f64_lrn,
    "f32_lrn_c16": <size_t> &f32_lrn_c16,
    "f64_lrn_c16": <size_t> &f64_lrn_c16,
}
