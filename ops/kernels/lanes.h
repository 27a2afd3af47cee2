/* Vectors of the widest kind that the build has, in groups of 16 float32 (or float64) lanes.
 *
 * A group is an array of native vectors with a constant length, which the compiler keeps in registers; one vector type
 * of 64 bytes would live in memory on narrower machines. Sums by 16 lanes have the same order on every build.
 */
#ifndef CYNFER_LANES_H
#define CYNFER_LANES_H
#include <stdint.h>
#include <math.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES_BYTES 64
#elif defined(__AVX__)
#define LANES_BYTES 32
#else
#define LANES_BYTES 16
#endif

/* max and min where a NaN on either side wins. The x86 instruction returns its second operand if either is NaN. */
#if defined(__AVX512F__)
#define LANES_PICK(op, m, x, ps) \
    _mm512_mask_##op##_##ps(m, _mm512_cmp_##ps##_mask(m, m, _CMP_ORD_Q), m, x)
#elif defined(__AVX__)
#define LANES_PICK(op, m, x, ps) \
    _mm256_blendv_##ps(_mm256_##op##_##ps(m, x), m, _mm256_cmp_##ps(m, m, _CMP_UNORD_Q))
#elif defined(__SSE4_1__)
#define LANES_PICK(op, m, x, ps) _mm_blendv_##ps(_mm_##op##_##ps(m, x), m, _mm_cmpunord_##ps(m, m))
#endif

#define LANES_TYPE(T, t) \
typedef T lanes_##t __attribute__((vector_size(LANES_BYTES))); \
typedef T lanes_any_##t __attribute__((vector_size(LANES_BYTES), aligned(sizeof(T)), may_alias)); \
static inline lanes_##t lanes_load_##t(const T *p) { return *(const lanes_any_##t *)p; } \
static inline void lanes_store_##t(T *p, lanes_##t v) { *(lanes_any_##t *)p = v; } \
static inline lanes_##t lanes_all_##t(T v) { return (lanes_##t){0} + v; } \
static inline T max_nan_##t(T m, T x) { return (x > m) | (x != x) ? x : m; } \
static inline T min_nan_##t(T m, T x) { return (x < m) | (x != x) ? x : m; }
LANES_TYPE(float, f32)
LANES_TYPE(double, f64)

#ifdef LANES_PICK
#define LANES_MINMAX(t, ps) \
static inline lanes_##t lanes_max_##t(lanes_##t m, lanes_##t x) { return LANES_PICK(max, m, x, ps); } \
static inline lanes_##t lanes_min_##t(lanes_##t m, lanes_##t x) { return LANES_PICK(min, m, x, ps); }
#else
#define LANES_MINMAX(t, ps) \
static inline lanes_##t lanes_max_##t(lanes_##t m, lanes_##t x) { \
    for (int i = 0; i < (int)(LANES_BYTES / sizeof m[0]); i++) m[i] = max_nan_##t(m[i], x[i]); \
    return m; } \
static inline lanes_##t lanes_min_##t(lanes_##t m, lanes_##t x) { \
    for (int i = 0; i < (int)(LANES_BYTES / sizeof m[0]); i++) m[i] = min_nan_##t(m[i], x[i]); \
    return m; }
#endif
LANES_MINMAX(f32, ps)
LANES_MINMAX(f64, pd)

/* The first n elements from p on, and `rest` in the lanes behind; memory behind the n is not touched. */
#if defined(__AVX512F__)
#define LANES_PART(T, t, ps, mask) \
static inline lanes_##t lanes_part_##t(const T *p, int64_t n, lanes_##t rest) { \
    int64_t l = LANES_BYTES / sizeof(T); \
    return _mm512_mask_loadu_##ps(rest, (mask)(n <= 0 ? 0 : n >= l ? ~0u : (1u << n) - 1), p); \
}
#define LANES_STORE_PART(T, t, ps, mask) \
static inline void lanes_store_part_##t(T *p, int64_t n, lanes_##t v) { \
    int64_t l = LANES_BYTES / sizeof(T); \
    _mm512_mask_storeu_##ps(p, (mask)(n <= 0 ? 0 : n >= l ? ~0u : (1u << n) - 1), v); \
}
LANES_STORE_PART(float, f32, ps, __mmask16)
LANES_STORE_PART(double, f64, pd, __mmask8)
LANES_PART(float, f32, ps, __mmask16)
LANES_PART(double, f64, pd, __mmask8)
#else
#define LANES_PART(T, t) \
static inline lanes_##t lanes_part_##t(const T *p, int64_t n, lanes_##t rest) { \
    enum { L = LANES_BYTES / sizeof(T) }; \
    T r[L]; \
    if (n >= L) return lanes_load_##t(p); \
    if (n <= 0) return rest; \
    lanes_store_##t(r, rest); \
    for (int i = 0; i < L; i++) if (i < n) r[i] = p[i]; \
    return lanes_load_##t(r); \
}
#define LANES_STORE_PART(T, t) \
static inline void lanes_store_part_##t(T *p, int64_t n, lanes_##t v) { \
    int l = LANES_BYTES / sizeof(T); \
    for (int i = 0; i < l; i++) if (i < n) p[i] = v[i]; \
}
LANES_STORE_PART(float, f32)
LANES_STORE_PART(double, f64)
LANES_PART(float, f32)
LANES_PART(double, f64)
#endif

/* r[0] from 16 lanes, by halves. Written out: as a loop over the halves it took longer than a row of 200. */
#define LANES_HALVES(r, JOIN) do { \
    for (int j = 0; j < 8; j++) r[j] = JOIN(r[j], r[j + 8]); \
    for (int j = 0; j < 4; j++) r[j] = JOIN(r[j], r[j + 4]); \
    for (int j = 0; j < 2; j++) r[j] = JOIN(r[j], r[j + 2]); \
    r[0] = JOIN(r[0], r[1]); \
} while (0)
#define LANES_PLUS(a, b) ((a) + (b))
#define LANES_JOIN(name, T, t, JOIN) \
static inline T lanes_##name##_of_##t(const lanes_##t *a) { \
    enum { L = LANES_BYTES / sizeof(T) }; \
    T r[16]; \
    for (int g = 0; g < 16 / L; g++) lanes_store_##t(r + g * L, a[g]); \
    LANES_HALVES(r, JOIN); \
    return r[0]; \
}
LANES_JOIN(sum, float, f32, LANES_PLUS)
LANES_JOIN(sum, double, f64, LANES_PLUS)
LANES_JOIN(max, float, f32, max_nan_f32)
LANES_JOIN(max, double, f64, max_nan_f64)
LANES_JOIN(min, float, f32, min_nan_f32)
LANES_JOIN(min, double, f64, min_nan_f64)
#if defined(__AVX512F__)    /* the same halves in registers; NaN takes the way above */
#define lanes_sum_of_f32(a) _mm512_reduce_add_ps((a)[0])
#define LANES_ORDERED(a) (_mm512_cmp_ps_mask((a)[0], (a)[0], _CMP_UNORD_Q) == 0)
#define lanes_max_of_f32(a) (LANES_ORDERED(a) ? _mm512_reduce_max_ps((a)[0]) : (lanes_max_of_f32)(a))
#define lanes_min_of_f32(a) (LANES_ORDERED(a) ? _mm512_reduce_min_ps((a)[0]) : (lanes_min_of_f32)(a))
#endif

/* Sums of a row, mapped element by element: 16 lanes (twice) over blocks of 1024, halved as a tree, and the blocks
 * summed in float64. The order depends on n alone. c is the shift of the squares, else 0.
 * A tail takes one more vector step, with lanes that change nothing. */
#define LANES_ID(t, v, c) (v)
#define LANES_ABS(t, v, c) lanes_max_##t(v, -(v))
#define LANES_SQUARE(t, v, c) (((v) - (c)) * ((v) - (c)))
#define LANES_SUM(name, T, t, MAP) \
static inline double name##_##t(const T *x, int64_t n, T c) { \
    enum { L = LANES_BYTES / sizeof(T), G = 16 / L }; \
    double total = 0; \
    lanes_##t k = lanes_all_##t(c); \
    while (n > 0) { \
        int64_t m = n < 1024 ? n : 1024, i = 0; \
        lanes_##t a[G], b[G]; \
        for (int g = 0; g < G; g++) a[g] = b[g] = lanes_all_##t(0); \
        for (; i + 32 <= m; i += 32) \
            for (int g = 0; g < G; g++) { \
                lanes_##t v = lanes_load_##t(x + i + g * L), w = lanes_load_##t(x + i + 16 + g * L); \
                a[g] += MAP(t, v, k); \
                b[g] += MAP(t, w, k); \
            } \
        if (i < m) \
            for (int g = 0; g < G; g++) { \
                lanes_##t v = lanes_part_##t(x + i + g * L, m - i - g * L, k); \
                lanes_##t w = lanes_part_##t(x + i + 16 + g * L, m - i - 16 - g * L, k); \
                a[g] += MAP(t, v, k); \
                b[g] += MAP(t, w, k); \
            } \
        for (int g = 0; g < G; g++) a[g] += b[g]; \
        total += lanes_sum_of_##t(a); \
        x += m; n -= m; \
    } \
    return total; \
}
#define LANES_EXTREME(name, T, t, first) \
static inline T name##_row_##t(const T *x, int64_t n) { \
    enum { L = LANES_BYTES / sizeof(T), G = 16 / L, P = 2 }; \
    lanes_##t a[P][G]; \
    int64_t i = 0; \
    for (int q = 0; q < P; q++) for (int g = 0; g < G; g++) a[q][g] = lanes_all_##t(first); \
    for (; i + 16 * P <= n; i += 16 * P) \
        for (int q = 0; q < P; q++) \
            for (int g = 0; g < G; g++) \
                a[q][g] = lanes_##name##_##t(a[q][g], lanes_load_##t(x + i + q * 16 + g * L)); \
    if (i < n) \
        for (int q = 0; q < P; q++) \
            for (int g = 0; g < G; g++) { \
                int64_t j = q * 16 + g * L; \
                a[q][g] = lanes_##name##_##t(a[q][g], lanes_part_##t(x + i + j, n - i - j, lanes_all_##t(first))); \
            } \
    for (int g = 0; g < G; g++) a[0][g] = lanes_##name##_##t(a[0][g], a[1][g]); \
    return lanes_##name##_of_##t(a[0]); \
}
#define LANES_ROWS(T, t) \
LANES_SUM(sum_row, T, t, LANES_ID) \
LANES_SUM(sum_abs_row, T, t, LANES_ABS) \
LANES_SUM(sum_square_row, T, t, LANES_SQUARE) \
LANES_EXTREME(max, T, t, -INFINITY) \
LANES_EXTREME(min, T, t, INFINITY)
LANES_ROWS(float, f32)
LANES_ROWS(double, f64)
#endif
