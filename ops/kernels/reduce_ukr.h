/* Reductions over rows of up to 64 neighbouring columns. Sums are in blocks of 32 rows, the blocks in float64. */
#ifndef CYNFER_REDUCE_UKR_H
#define CYNFER_REDUCE_UKR_H
#include "lanes_exp.h"
#include "vmath.h"

#define REDUCE_EXP_f32 cyn_exp_f32
#define REDUCE_EXP_f64 exp

#define REDUCE_SUM(name, T, t, MAPPED) \
static inline void name##_##t(const T *x, int64_t rows, int64_t stride, int64_t w, double p, const T *m, \
                              double *total) { \
    T s[64]; \
    (void)p; (void)m; \
    for (int64_t j = 0; j < w; j++) total[j] = 0; \
    for (int64_t i = 0; i < rows; i += 32) { \
        int64_t end = rows - i < 32 ? rows : i + 32; \
        for (int64_t j = 0; j < w; j++) s[j] = 0; \
        for (int64_t k = i; k < end; k++) \
            for (int64_t j = 0; j < w; j++) { T v = x[k * stride + j]; s[j] += MAPPED; } \
        for (int64_t j = 0; j < w; j++) total[j] += s[j]; \
    } \
}
#define REDUCE_EXTREME(name, T, t, first) \
static inline void name##_columns_##t(const T *x, int64_t rows, int64_t stride, int64_t w, T *m) { \
    for (int64_t j = 0; j < w; j++) m[j] = first; \
    for (int64_t i = 0; i < rows; i++) \
        for (int64_t j = 0; j < w; j++) m[j] = name##_nan_##t(m[j], x[i * stride + j]); \
}
#define REDUCE_BOTH(T, t) \
REDUCE_SUM(sum_columns, T, t, v) \
REDUCE_SUM(sum_abs_columns, T, t, (v < 0 ? -v : v)) \
REDUCE_SUM(sum_square_columns, T, t, v * v) \
REDUCE_SUM(sum_power_columns, T, t, (T)pow(fabs(v), p)) \
REDUCE_SUM(sum_exp_columns, T, t, REDUCE_EXP_##t(v - m[j])) \
REDUCE_EXTREME(max, T, t, -INFINITY) \
REDUCE_EXTREME(min, T, t, INFINITY) \
static inline double sum_power_row_##t(const T *x, int64_t n, double p) { \
    double total = 0; \
    for (int64_t i = 0; i < n; i++) total += pow(fabs(x[i]), p); \
    return total; \
}

/* The sums of x - c and of its square, in the order of LANES_SUM. With c near the mean nothing cancels. */
#define REDUCE_MOMENTS(T, t) \
static void moments_row_##t(const T *x, int64_t n, T c, double *first, double *second) { \
    enum { L = LANES_BYTES / sizeof(T), G = 32 / L }; \
    lanes_##t k = lanes_all_##t(c); \
    *first = *second = 0; \
    while (n > 0) { \
        int64_t m = n < 1024 ? n : 1024, i = 0; \
        lanes_##t a[G], b[G]; \
        for (int g = 0; g < G; g++) a[g] = b[g] = lanes_all_##t(0); \
        for (; i + 32 <= m; i += 32) \
            for (int g = 0; g < G; g++) { \
                lanes_##t v = lanes_load_##t(x + i + g * L) - k; \
                a[g] += v; \
                b[g] += v * v; \
            } \
        if (i < m) \
            for (int g = 0; g < G; g++) { \
                lanes_##t v = lanes_part_##t(x + i + g * L, m - i - g * L, k) - k; \
                a[g] += v; \
                b[g] += v * v; \
            } \
        for (int g = 0; g < G / 2; g++) { a[g] += a[g + G / 2]; b[g] += b[g + G / 2]; } \
        *first += lanes_sum_of_##t(a); \
        *second += lanes_sum_of_##t(b); \
        x += m; n -= m; \
    } \
}
REDUCE_MOMENTS(float, f32)
REDUCE_MOMENTS(double, f64)

/* What a sum adds up; p is the shift of FOLD_SQUARE and FOLD_EXP (rows alone) or the power. */
enum { FOLD_PLAIN = 0, FOLD_ABS = 1, FOLD_SQUARE = 2, FOLD_POWER = 3, FOLD_EXP = 4 };

#define REDUCE_FOLD(T, t) \
static double fold_row_##t(int map, const T *x, int64_t n, double p) { \
    switch (map) { \
    case FOLD_ABS: return sum_abs_row_##t(x, n, 0); \
    case FOLD_SQUARE: return sum_square_row_##t(x, n, (T)p); \
    case FOLD_POWER: return sum_power_row_##t(x, n, p); \
    case FOLD_EXP: return exp_row_##t(x, 0, n, (T)p); \
    default: return sum_row_##t(x, n, 0); \
    } \
} \
static void fold_columns_##t(int map, const T *x, int64_t rows, int64_t stride, int64_t w, double p, const T *m, \
                             double *total) { \
    switch (map) { \
    case FOLD_ABS: sum_abs_columns_##t(x, rows, stride, w, p, m, total); return; \
    case FOLD_SQUARE: sum_square_columns_##t(x, rows, stride, w, p, m, total); return; \
    case FOLD_POWER: sum_power_columns_##t(x, rows, stride, w, p, m, total); return; \
    case FOLD_EXP: sum_exp_columns_##t(x, rows, stride, w, p, m, total); return; \
    default: sum_columns_##t(x, rows, stride, w, p, m, total); \
    } \
} \
static T extreme_row_##t(int least, const T *x, int64_t n) { return least ? min_row_##t(x, n) : max_row_##t(x, n); } \
static void extreme_columns_##t(int least, const T *x, int64_t rows, int64_t stride, int64_t w, T *m) { \
    if (least) min_columns_##t(x, rows, stride, w, m); \
    else max_columns_##t(x, rows, stride, w, m); \
}
REDUCE_BOTH(float, f32)
REDUCE_BOTH(double, f64)
REDUCE_FOLD(float, f32)
REDUCE_FOLD(double, f64)
#endif
