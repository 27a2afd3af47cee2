/* exp of what is not positive, as a softmax needs it: rows of exp(x - m) with their sum. */
#ifndef CYNFER_LANES_EXP_H
#define CYNFER_LANES_EXP_H
#include "lanes.h"

/* x <= 0 or NaN. The same reduction and polynomial as cyn_exp_f32; without large arguments the ends are cheaper.
 * Lanes that round to 0 are taken out before: an underflow costs a hundred times a multiplication, and masks of -Inf
 * or -1e9 are common. */
static inline lanes_f32 lanes_exp_f32(lanes_f32 x) {
    lanes_f32 t, r, q;
#if defined(__AVX512F__)
    __mmask16 keep = _mm512_cmp_ps_mask(x, lanes_all_f32(-104.0f), _CMP_NLT_UQ);
    x = _mm512_maskz_mov_ps(keep, x);
#else
    typedef int32_t bits __attribute__((vector_size(LANES_BYTES)));
    bits keep = ~(bits)(x < -104.0f);
    x = (lanes_f32)((bits)x & keep);
#endif
    t = x * 1.44269504f + 12582912.0f;                  /* 1.5 * 2^23: rounds to an integer */
#if !defined(__AVX512F__)
    bits i = (bits)t - 0x4b400000, half = i >> 1;
#endif
    t -= 12582912.0f;
    r = x - t * 0.693359375f;
    r = r + t * 2.12194440e-4f;
    q = r * 1.381431823e-03f + 8.368851617e-03f;
    q = q * r + 4.166840017e-02f;
    q = q * r + 1.666651964e-01f;
    q = q * r + 4.999999404e-01f;
    q = q * r + 1.0f;
    q = q * r + 1.0f;
#if defined(__AVX512F__)
    return _mm512_maskz_scalef_ps(keep, q, t);
#else   /* two factors reach subnormals with one rounding */
    q = q * (lanes_f32)((half + 127) << 23) * (lanes_f32)((i - half + 127) << 23);
    return (lanes_f32)((bits)q & keep);
#endif
}
static inline lanes_f64 lanes_exp_f64(lanes_f64 x) {
    for (int i = 0; i < (int)(LANES_BYTES / 8); i++) x[i] = exp(x[i]);
    return x;
}

#define LANES_EXP_ROW(T, t) \
/* y = exp(x - m), if y is given; returns the sum, in the order of LANES_SUM. No x exceeds m. y may be x. */ \
static inline double exp_row_##t(const T *x, T *y, int64_t n, T m) { \
    enum { L = LANES_BYTES / sizeof(T), G = 32 / L }; \
    double total = 0; \
    lanes_##t c = lanes_all_##t(m); \
    while (n > 0) { \
        int64_t k = n < 1024 ? n : 1024, i = 0; \
        lanes_##t a[G], e; \
        for (int g = 0; g < G; g++) a[g] = lanes_all_##t(0); \
        for (; i + 32 <= k; i += 32) \
            for (int g = 0; g < G; g++) { \
                e = lanes_exp_##t(lanes_load_##t(x + i + g * L) - c); \
                a[g] += e; \
                if (y) lanes_store_##t(y + i + g * L, e); \
            } \
        for (int g = 0; g < G && i + g * L < k; g++) { \
            e = lanes_exp_##t(lanes_part_##t(x + i + g * L, k - i - g * L, lanes_all_##t(-INFINITY)) - c); \
            a[g] += e; \
            if (y) lanes_store_part_##t(y + i + g * L, k - i - g * L, e); \
        } \
        for (int g = 0; g < G / 2; g++) a[g] += a[g + G / 2]; \
        total += lanes_sum_of_##t(a); \
        x += k; n -= k; \
        if (y) y += k; \
    } \
    return total; \
}
LANES_EXP_ROW(float, f32)
LANES_EXP_ROW(double, f64)
#endif
