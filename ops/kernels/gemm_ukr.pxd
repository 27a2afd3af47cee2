# See gemm_ukr.h, which explains each part.
from libc.stdint cimport int32_t, int64_t
from cynfer.ops.kernels.epilogue cimport CynEpilogue, cyn_epilogue_rows_f32, cyn_epilogue_rows_f64

cdef extern from "gemm_ukr.h" nogil:
    enum:
        CYN_MR, CYN_TAPS
    void cyn_tile_f32(int64_t rows, int64_t cols, int64_t kc, const float* a, int64_t lda, const float* b,
                      const int64_t* at, float* c, int add) noexcept
    void cyn_tile_f64(int64_t rows, int64_t cols, int64_t kc, const double* a, int64_t lda, const double* b,
                      const int64_t* at, double* c, int add) noexcept
    void cyn_row_f32(int64_t kc, const float* a, const float* b, float* c, int add) noexcept
    void cyn_row_f64(int64_t kc, const double* a, const double* b, double* c, int add) noexcept
    void cyn_copy_f32(int64_t rows, int64_t cols, const float* x, int64_t rs, int64_t cs, float* y,
                      int64_t ld) noexcept
    void cyn_copy_f64(int64_t rows, int64_t cols, const double* x, int64_t rs, int64_t cs, double* y,
                      int64_t ld) noexcept
    void cyn_scale_rows_f32(int64_t rows, int64_t cols, float alpha, const float* x, int64_t ldx, float beta,
                            const float* d, int64_t d_row, int64_t d_col, float* c, int64_t ldc) noexcept
    void cyn_scale_rows_f64(int64_t rows, int64_t cols, double alpha, const double* x, int64_t ldx, double beta,
                            const double* d, int64_t d_row, int64_t d_col, double* c, int64_t ldc) noexcept
    ctypedef struct CynRun:
        int64_t start "from"
        int32_t to, size
    void cyn_pack_runs_f32(int64_t kc, int64_t k0, int64_t taps, const CynRun* runs,
                           const int32_t* counts, const float* x, int64_t channel, int64_t step, const float* end,
                           float* y) noexcept
    void cyn_pack_runs_f64(int64_t kc, int64_t k0, int64_t taps, const CynRun* runs,
                           const int32_t* counts, const double* x, int64_t channel, int64_t step, const double* end,
                           double* y) noexcept
    void cyn_take_f32(int64_t n, const float* x, int64_t step, const float* end, float* y) noexcept
    void cyn_take_f64(int64_t n, const double* x, int64_t step, const double* end, double* y) noexcept
    void cyn_dots_f32(int64_t rows, int64_t cols, int64_t kc, const float* a, int64_t lda, const float* b, int64_t ldb,
                      float* c, int add) noexcept
    void cyn_dots_f64(int64_t rows, int64_t cols, int64_t kc, const double* a, int64_t lda, const double* b,
                      int64_t ldb, double* c, int add) noexcept
    void cyn_zero_f32(int64_t n, float* y) noexcept
    void cyn_zero_f64(int64_t n, double* y) noexcept
    void cyn_taps_f32(int64_t n, int64_t taps, const int64_t* at, const float* w, const float* x, float* y,
                      int add) noexcept
    void cyn_taps_f64(int64_t n, int64_t taps, const int64_t* at, const double* w, const double* x, double* y,
                      int add) noexcept

ctypedef fused real:
    float
    double


cdef inline void tile(int64_t rows, int64_t cols, int64_t kc, const real* a, int64_t lda, const real* b,
                      const int64_t* at, real* c, int add) noexcept nogil:
    if real is float:
        cyn_tile_f32(rows, cols, kc, a, lda, b, at, c, add)
    else:
        cyn_tile_f64(rows, cols, kc, a, lda, b, at, c, add)


cdef inline void row(int64_t kc, const real* a, const real* b, real* c, int add) noexcept nogil:
    if real is float:
        cyn_row_f32(kc, a, b, c, add)
    else:
        cyn_row_f64(kc, a, b, c, add)


cdef inline void copy(int64_t rows, int64_t cols, const real* x, int64_t rs, int64_t cs, real* y,
                      int64_t ld) noexcept nogil:
    if real is float:
        cyn_copy_f32(rows, cols, x, rs, cs, y, ld)
    else:
        cyn_copy_f64(rows, cols, x, rs, cs, y, ld)


cdef inline void scale_rows(int64_t rows, int64_t cols, real alpha, const real* x, int64_t ldx, real beta,
                            const real* d, int64_t d_row, int64_t d_col, real* c, int64_t ldc) noexcept nogil:
    if real is float:
        cyn_scale_rows_f32(rows, cols, alpha, x, ldx, beta, d, d_row, d_col, c, ldc)
    else:
        cyn_scale_rows_f64(rows, cols, alpha, x, ldx, beta, d, d_row, d_col, c, ldc)


cdef inline void pack_runs(int64_t kc, int64_t k0, int64_t taps, const CynRun* runs, const int32_t* counts,
                           const real* x, int64_t channel, int64_t step, const real* end, real* y) noexcept nogil:
    if real is float:
        cyn_pack_runs_f32(kc, k0, taps, runs, counts, x, channel, step, end, y)
    else:
        cyn_pack_runs_f64(kc, k0, taps, runs, counts, x, channel, step, end, y)


cdef inline void take(int64_t n, const real* x, int64_t step, const real* end, real* y) noexcept nogil:
    if real is float:
        cyn_take_f32(n, x, step, end, y)
    else:
        cyn_take_f64(n, x, step, end, y)


cdef inline void dots(int64_t rows, int64_t cols, int64_t kc, const real* a, int64_t lda, const real* b, int64_t ldb,
                      real* c, int add) noexcept nogil:
    if real is float:
        cyn_dots_f32(rows, cols, kc, a, lda, b, ldb, c, add)
    else:
        cyn_dots_f64(rows, cols, kc, a, lda, b, ldb, c, add)


cdef inline void zero(int64_t n, real* y) noexcept nogil:
    if real is float:
        cyn_zero_f32(n, y)
    else:
        cyn_zero_f64(n, y)


cdef inline void taps_of(int64_t n, int64_t taps, const int64_t* at, const real* w, const real* x, real* y,
                         int add) noexcept nogil:
    if real is float:
        cyn_taps_f32(n, taps, at, w, x, y, add)
    else:
        cyn_taps_f64(n, taps, at, w, x, y, add)


cdef inline void epilogue_rows(const CynEpilogue* e, real* y, int64_t ld, int64_t rows, int64_t cols, int64_t at,
                               int64_t at_ld, int64_t channel, int channel_is_row) noexcept nogil:
    if real is float:
        cyn_epilogue_rows_f32(e, y, ld, rows, cols, at, at_ld, channel, channel_is_row)
    else:
        cyn_epilogue_rows_f64(e, y, ld, rows, cols, at, at_ld, channel, channel_is_row)


cdef inline int64_t ceil_div(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b
