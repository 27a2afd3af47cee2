/* Softmax of one row, and of up to 64 neighbouring columns at a time. Sums of columns are in blocks of 128. */
#ifndef CYNFER_SOFTMAX_UKR_H
#define CYNFER_SOFTMAX_UKR_H
#include "lanes_exp.h"
#include "vmath.h"

#define SOFTMAX_EXP_f32 cyn_exp_f32
#define SOFTMAX_EXP_f64 exp

#define SOFTMAX_BOTH(T, t) \
static inline void softmax_row_##t(const T *x, T *y, int64_t n) { \
    T r = (T)(1 / exp_row_##t(x, y, n, max_row_##t(x, n))); \
    int64_t i = 0, l = LANES_BYTES / sizeof(T); \
    for (; i + l <= n; i += l) lanes_store_##t(y + i, lanes_load_##t(y + i) * r); \
    if (i < n) lanes_store_part_##t(y + i, n - i, lanes_part_##t(y + i, n - i, lanes_all_##t(0)) * r); \
} \
static inline void log_softmax_row_##t(const T *x, T *y, int64_t n) { \
    T m = max_row_##t(x, n), r = (T)log(exp_row_##t(x, 0, n, m)); \
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - r; \
} \
/* total[j] = sum over the rows of exp(x - m[j]); y, if given, takes the exponentials. */ \
static inline void exp_columns_##t(const T *x, T *y, int64_t rows, int64_t stride, int64_t w, T *m, T *total) { \
    T s[64]; \
    for (int64_t j = 0; j < w; j++) { m[j] = -INFINITY; total[j] = 0; } \
    for (int64_t i = 0; i < rows; i++) \
        for (int64_t j = 0; j < w; j++) m[j] = max_nan_##t(m[j], x[i * stride + j]); \
    for (int64_t i = 0; i < rows; i += 128) { \
        int64_t end = rows - i < 128 ? rows : i + 128; \
        for (int64_t j = 0; j < w; j++) s[j] = 0; \
        for (int64_t k = i; k < end; k++) \
            if (y) \
                for (int64_t j = 0; j < w; j++) { \
                    T e = SOFTMAX_EXP_##t(x[k * stride + j] - m[j]); \
                    y[k * stride + j] = e; \
                    s[j] += e; \
                } \
            else \
                for (int64_t j = 0; j < w; j++) s[j] += SOFTMAX_EXP_##t(x[k * stride + j] - m[j]); \
        for (int64_t j = 0; j < w; j++) total[j] += s[j]; \
    } \
} \
static inline void softmax_columns_##t(const T *x, T *y, int64_t rows, int64_t stride, int64_t w) { \
    T m[64], r[64]; \
    exp_columns_##t(x, y, rows, stride, w, m, r); \
    for (int64_t j = 0; j < w; j++) r[j] = 1 / r[j]; \
    for (int64_t i = 0; i < rows; i++) \
        for (int64_t j = 0; j < w; j++) y[i * stride + j] *= r[j]; \
} \
static inline void log_softmax_columns_##t(const T *x, T *y, int64_t rows, int64_t stride, int64_t w) { \
    T m[64], r[64]; \
    exp_columns_##t(x, 0, rows, stride, w, m, r); \
    for (int64_t j = 0; j < w; j++) r[j] = (T)log(r[j]); \
    for (int64_t i = 0; i < rows; i++) \
        for (int64_t j = 0; j < w; j++) y[i * stride + j] = (x[i * stride + j] - m[j]) - r[j]; \
}
SOFTMAX_BOTH(float, f32)
SOFTMAX_BOTH(double, f64)
#endif
