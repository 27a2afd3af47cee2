# See reduce_ukr.h. The inline functions pick the build for a fused type.
from libc.stdint cimport int64_t

cdef extern from "reduce_ukr.h" nogil:
    enum:
        FOLD_PLAIN
        FOLD_ABS
        FOLD_SQUARE
        FOLD_POWER
        FOLD_EXP
    double fold_row_f32(int map, const float* x, int64_t n, double p) noexcept
    double fold_row_f64(int map, const double* x, int64_t n, double p) noexcept
    void fold_columns_f32(int map, const float* x, int64_t rows, int64_t stride, int64_t w, double p, const float* m,
                          double* total) noexcept
    void fold_columns_f64(int map, const double* x, int64_t rows, int64_t stride, int64_t w, double p, const double* m,
                          double* total) noexcept
    void moments_row_f32(const float* x, int64_t n, float c, double* first, double* second) noexcept
    void moments_row_f64(const double* x, int64_t n, double c, double* first, double* second) noexcept
    float extreme_row_f32(int least, const float* x, int64_t n) noexcept
    double extreme_row_f64(int least, const double* x, int64_t n) noexcept
    void extreme_columns_f32(int least, const float* x, int64_t rows, int64_t stride, int64_t w, float* m) noexcept
    void extreme_columns_f64(int least, const double* x, int64_t rows, int64_t stride, int64_t w, double* m) noexcept

ctypedef fused real:
    float
    double


cdef inline double fold_row(int map, const real* x, int64_t n, double p) noexcept nogil:
    if real is float:
        return fold_row_f32(map, x, n, p)
    else:
        return fold_row_f64(map, x, n, p)


cdef inline void fold_columns(int map, const real* x, int64_t rows, int64_t stride, int64_t w, double p, const real* m,
                              double* total) noexcept nogil:
    if real is float:
        fold_columns_f32(map, x, rows, stride, w, p, m, total)
    else:
        fold_columns_f64(map, x, rows, stride, w, p, m, total)


cdef inline void moments_row(const real* x, int64_t n, real c, double* first, double* second) noexcept nogil:
    if real is float:
        moments_row_f32(x, n, c, first, second)
    else:
        moments_row_f64(x, n, c, first, second)


cdef inline real extreme_row(bint least, const real* x, int64_t n) noexcept nogil:
    if real is float:
        return extreme_row_f32(least, x, n)
    else:
        return extreme_row_f64(least, x, n)


cdef inline void extreme_columns(bint least, const real* x, int64_t rows, int64_t stride, int64_t w,
                                 real* m) noexcept nogil:
    if real is float:
        extreme_columns_f32(least, x, rows, stride, w, m)
    else:
        extreme_columns_f64(least, x, rows, stride, w, m)
