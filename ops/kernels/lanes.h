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
#define LANES_PICK(op, m, x, ps, zero) \
    _mm512_mask_##op##_##ps(m, _mm512_cmp_##ps##_mask(m, m, _CMP_ORD_Q), m, x)
#elif defined(__AVX__)
#define LANES_PICK(op, m, x, ps, zero) \
    _mm256_blendv_##ps(_mm256_##op##_##ps(m, x), m, _mm256_cmp_##ps(m, m, _CMP_UNORD_Q))
#elif defined(__SSE4_1__)
#define LANES_PICK(op, m, x, ps, zero) _mm_blendv_##ps(_mm_##op##_##ps(m, x), m, _mm_cmpunord_##ps(m, m))
#endif

#define LANES_TYPE(T, t, ps) \
typedef T lanes_##t __attribute__((vector_size(LANES_BYTES))); \
typedef T lanes_any_##t __attribute__((vector_size(LANES_BYTES), aligned(sizeof(T)), may_alias)); \
static inline lanes_##t lanes_load_##t(const T *p) { return *(const lanes_any_##t *)p; } \
static inline void lanes_store_##t(T *p, lanes_##t v) { *(lanes_any_##t *)p = v; } \
static inline lanes_##t lanes_all_##t(T v) { return (lanes_##t){0} + v; } \
static inline T max_nan_##t(T m, T x) { return (x > m) | (x != x) ? x : m; } \
static inline T min_nan_##t(T m, T x) { return (x < m) | (x != x) ? x : m; }
LANES_TYPE(float, f32, ps)
LANES_TYPE(double, f64, pd)

#ifdef LANES_PICK
#define LANES_MINMAX(t, ps) \
static inline lanes_##t lanes_max_##t(lanes_##t m, lanes_##t x) { return LANES_PICK(max, m, x, ps, 0); } \
static inline lanes_##t lanes_min_##t(lanes_##t m, lanes_##t x) { return LANES_PICK(min, m, x, ps, 0); }
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

/* Folds n elements into 16 lanes, then the lanes by halves. A short block (n <= LANES_BLOCK, chosen by the caller)
 * bounds the growth of rounding errors; the lanes of the tail are filled with what changes nothing. */
#define LANES_FOLD(name, T, t, first, STEP, SCALAR, JOIN) \
static inline T name##_##t(const T *x, int64_t n, T c) { \
    enum { L = LANES_BYTES / sizeof(T), G = 16 / L }; \
    T last[16], r[16]; \
    lanes_##t a[G], b[G], k = lanes_all_##t(c), f = lanes_all_##t(first); \
    int64_t i = 0; \
    (void)k; \
    for (int g = 0; g < G; g++) a[g] = b[g] = f; \
    for (; i + 32 <= n; i += 32) \
        for (int g = 0; g < G; g++) { \
            { lanes_##t v = lanes_load_##t(x + i + g * L); a[g] = STEP(t, a[g], v, k); } \
            { lanes_##t v = lanes_load_##t(x + i + 16 + g * L); b[g] = STEP(t, b[g], v, k); } \
        } \
    for (int g = 0; g < G; g++) lanes_store_##t(r + g * L, JOIN(t, a[g], b[g])); \
    for (; i < n; i += 16) { \
        int64_t m = n - i < 16 ? n - i : 16; \
        for (int64_t j = 0; j < m; j++) r[j] = SCALAR(t, r[j], x[i + j], c); \
    } \
    (void)last; \
    for (int h = 8; h; h >>= 1) \
        for (int j = 0; j < h; j++) r[j] = JOIN##_SCALAR(t, r[j], r[j + h]); \
    return r[0]; \
}
#endif
