/* Windows over 16 channels: `count` windows of kh x kw taps, `step` elements apart, all of them inside the image.
 * row and col are the distances of the taps. A group of 16 channels is G native vectors, P windows go at a time. */
#ifndef CYNFER_POOL_UKR_H
#define CYNFER_POOL_UKR_H
#include "lanes.h"

#define POOL_WINDOWS(name, T, t, P, FIRST, STEP, LAST) \
static inline void name##_##P##_##t(const T *x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step, \
                                    T c, T *y) { \
    enum { L = LANES_BYTES / sizeof(T), G = 16 / L }; \
    lanes_##t m[P][G], k = lanes_all_##t(c); \
    (void)k; \
    for (int q = 0; q < P; q++) for (int g = 0; g < G; g++) m[q][g] = lanes_all_##t(FIRST); \
    for (int64_t i = 0; i < kh; i++) \
        for (int64_t j = 0; j < kw; j++) { \
            const T *s = x + i * row + j * col; \
            for (int q = 0; q < P; q++) \
                for (int g = 0; g < G; g++) m[q][g] = STEP(t, m[q][g], lanes_load_##t(s + q * step + g * L)); \
        } \
    for (int q = 0; q < P; q++) \
        for (int g = 0; g < G; g++) lanes_store_##t(y + q * 16 + g * L, LAST(m[q][g], k)); \
}
#define POOL_RUN(name, T, t) \
static inline void name##_##t(const T *x, int64_t kh, int64_t row, int64_t kw, int64_t col, int64_t step, \
                              int64_t count, T c, T *y) { \
    for (; count >= 4; count -= 4, x += 4 * step, y += 64) name##_4_##t(x, kh, row, kw, col, step, c, y); \
    for (; count > 0; count--, x += step, y += 16) name##_1_##t(x, kh, row, kw, col, step, c, y); \
}
#define POOL_MAX(t, m, v) lanes_max_##t(m, v)
#define POOL_ADD(t, m, v) ((m) + (v))
#define POOL_KEEP(m, k) (m)
#define POOL_DIVIDE(m, k) ((m) / (k))
#define POOL_BOTH(T, t) \
POOL_WINDOWS(max_windows, T, t, 4, -INFINITY, POOL_MAX, POOL_KEEP) \
POOL_WINDOWS(max_windows, T, t, 1, -INFINITY, POOL_MAX, POOL_KEEP) \
POOL_RUN(max_windows, T, t) \
POOL_WINDOWS(average_windows, T, t, 4, 0, POOL_ADD, POOL_DIVIDE) \
POOL_WINDOWS(average_windows, T, t, 1, 0, POOL_ADD, POOL_DIVIDE) \
POOL_RUN(average_windows, T, t)
POOL_BOTH(float, f32)
POOL_BOTH(double, f64)

/* 16 channels over n pixels. Rounding errors grow over 256 pixels at most: blocks are summed in float64. */
#define POOL_GLOBAL(T, t) \
static inline void sum_pixels_##t(const T *x, int64_t n, double *total) { \
    enum { L = LANES_BYTES / sizeof(T), G = 16 / L, P = 2 }; \
    for (int j = 0; j < 16; j++) total[j] = 0; \
    while (n > 0) { \
        int64_t m = n < 256 ? n : 256, i = 0; \
        lanes_##t a[P][G]; \
        T part[16]; \
        for (int q = 0; q < P; q++) for (int g = 0; g < G; g++) a[q][g] = lanes_all_##t(0); \
        for (; i + P <= m; i += P) \
            for (int q = 0; q < P; q++) \
                for (int g = 0; g < G; g++) a[q][g] += lanes_load_##t(x + (i + q) * 16 + g * L); \
        if (i < m) for (int g = 0; g < G; g++) a[0][g] += lanes_load_##t(x + i * 16 + g * L); \
        for (int g = 0; g < G; g++) lanes_store_##t(part + g * L, a[0][g] + a[1][g]); \
        for (int j = 0; j < 16; j++) total[j] += part[j]; \
        x += m * 16; n -= m; \
    } \
}
POOL_GLOBAL(float, f32)
POOL_GLOBAL(double, f64)
#endif
