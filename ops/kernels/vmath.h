/* Vector math: branch-free scalar functions that gcc vectorises inside a plain loop.
 *
 * Every function takes and returns one value and treats NaN, infinities, signed zeros and subnormals as IEEE does.
 * f32 polynomials are minimax fits of our own. Functions without a fast float form go through double (CYN_D below),
 * which costs half the speed and gives nearly correctly rounded floats. The _f64 twins call libm: float64 serves
 * gradient checks.
 */
#ifndef CYNFER_VMATH_H
#define CYNFER_VMATH_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define CYN_INLINE static inline __attribute__((always_inline))
#ifdef __FMA__
#define CYN_FMA(a, b, c) __builtin_fmaf(a, b, c)
#define CYN_FMAD(a, b, c) __builtin_fma(a, b, c)
#else
#define CYN_FMA(a, b, c) ((a) * (b) + (c))
#define CYN_FMAD(a, b, c) ((a) * (b) + (c))
#endif

CYN_INLINE int32_t cyn_bits_f32(float x) { int32_t i; memcpy(&i, &x, 4); return i; }
CYN_INLINE float cyn_float_f32(int32_t i) { float x; memcpy(&x, &i, 4); return x; }
CYN_INLINE int64_t cyn_bits_f64(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
CYN_INLINE double cyn_float_f64(int64_t i) { double x; memcpy(&x, &i, 8); return x; }
CYN_INLINE float cyn_abs_f32(float x) { return cyn_float_f32(cyn_bits_f32(x) & 0x7fffffff); }
CYN_INLINE float cyn_sign_of_f32(float x, float s) {    /* |x| with the sign of s */
    return cyn_float_f32((cyn_bits_f32(x) & 0x7fffffff) | (cyn_bits_f32(s) & INT32_MIN));
}

/* a * b = *hi + *lo, exactly but for underflow. */
CYN_INLINE void cyn_two_prod_f32(float a, float b, float *hi, float *lo) {
    *hi = a * b;
#ifdef __FMA__
    *lo = __builtin_fmaf(a, b, -*hi);
#else
    float ah = cyn_float_f32(cyn_bits_f32(a) & -4096), bh = cyn_float_f32(cyn_bits_f32(b) & -4096);
    float al = a - ah, bl = b - bh;
    *lo = ((ah * bh - *hi) + ah * bl + al * bh) + al * bl;
#endif
}

/* ---- exp -------------------------------------------------------------------------------------------------------- */

/* x + lo = n ln 2 + r with |r| <= ln 2 / 2; n comes as the low bits of *i. |x| must be below 2^21. */
CYN_INLINE float cyn_exp_reduce_f32(float x, float lo, float *n, int32_t *i) {
    float t = CYN_FMA(x, 1.44269504f, 12582912.0f);     /* 1.5 * 2^23: rounds to an integer, which is its low bits */
    *i = cyn_bits_f32(t) - 0x4b400000;
    t -= 12582912.0f;
    *n = t;
    x = CYN_FMA(t, -0.693359375f, x);                   /* exact: 9 bits times 10 bits */
    return CYN_FMA(t, 2.12194440e-4f, x) + lo;
}

/* c exp(x + lo) for |lo| much smaller than 1; lo carries the rounding error of a product x. Subnormal results are
 * rounded once; c is normal or 0. */
CYN_INLINE float cyn_exp_scaled_f32(float x, float lo, float c) {
    float n, r, q;
    int32_t i, half;
    x = x > 89.0f ? 89.0f : x;      /* comparisons keep NaN */
    x = x < -170.0f ? -170.0f : x;
    r = cyn_exp_reduce_f32(x, lo, &n, &i);
    q = CYN_FMA(r, 1.381431823e-03f, 8.368851617e-03f);
    q = CYN_FMA(q, r, 4.166840017e-02f);
    q = CYN_FMA(q, r, 1.666651964e-01f);
    q = CYN_FMA(q, r, 4.999999404e-01f);
    q = CYN_FMA(r * r, q, r) + 1.0f;
    half = i >> 1;                  /* two factors reach subnormals and infinity with one rounding */
    return q * c * cyn_float_f32((half + 127) << 23) * cyn_float_f32((i - half + 127) << 23);
}

CYN_INLINE float cyn_exp_f32(float x) { return cyn_exp_scaled_f32(x, 0.0f, 1.0f); }

CYN_INLINE float cyn_expm1_f32(float x) {
    float n, r, q, p, s, y = x;
    int32_t i;
    y = y > 89.0f ? 89.0f : y;
    y = y < -20.0f ? -20.0f : y;
    r = cyn_exp_reduce_f32(y, 0.0f, &n, &i);
    q = CYN_FMA(r, 1.984589180e-04f, 1.394082326e-03f);
    q = CYN_FMA(q, r, 8.333389647e-03f);
    q = CYN_FMA(q, r, 4.166635871e-02f);
    q = CYN_FMA(q, r, 1.666666567e-01f);
    q = CYN_FMA(q, r, 0.5f);
    p = CYN_FMA(r * r, q, r);
    s = cyn_float_f32((i + 126) << 23);                 /* half of 2^n, which may overflow */
    p = 2.0f * (CYN_FMA(s, p, s - 0.5f));
    return cyn_abs_f32(x) < 1e-8f ? x : p;
}

/* ---- log -------------------------------------------------------------------------------------------------------- */

/* k ln 2 + log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1]. */
CYN_INLINE float cyn_log_poly_f32(float f, float k) {
    float z = f * f, p;
    p = CYN_FMA(f, 6.746601313e-02f, -1.167564094e-01f);
    p = CYN_FMA(p, f, 1.188817471e-01f);
    p = CYN_FMA(p, f, -1.240559146e-01f);
    p = CYN_FMA(p, f, 1.421955079e-01f);
    p = CYN_FMA(p, f, -1.666799635e-01f);
    p = CYN_FMA(p, f, 2.000211924e-01f);
    p = CYN_FMA(p, f, -2.500000894e-01f);
    p = CYN_FMA(p, f, 3.333331347e-01f);
    p = CYN_FMA(z * f, p, k * -2.12194440e-4f);
    p = CYN_FMA(z, -0.5f, p);
    return CYN_FMA(k, 0.693359375f, f + p);
}

CYN_INLINE float cyn_log_f32(float x) {
    float small = x < 1.17549435e-38f ? 8388608.0f : 1.0f, k, y;
    int32_t i = cyn_bits_f32(x * small), e = (i - 0x3f3504f3) >> 23;
    k = (float)e - (x < 1.17549435e-38f ? 23.0f : 0.0f);
    y = cyn_log_poly_f32(cyn_float_f32(i - (int32_t)((uint32_t)e << 23)) - 1.0f, k);
    y = x > 3.40282347e+38f ? x : y;
    y = x == 0.0f ? -INFINITY : y;
    return x >= 0.0f ? y : NAN;
}

CYN_INLINE float cyn_log1p_f32(float x) {
    float u = 1.0f + x, s, y;
    int32_t e = (cyn_bits_f32(u) - 0x3f3504f3) >> 23;
    e = e > 126 ? 126 : e;
    s = cyn_float_f32((127 - e) << 23);                 /* 2^-k: then 1 + f = s (1 + x), with one rounding */
    y = cyn_log_poly_f32(CYN_FMA(x, s, s - 1.0f), (float)e);
    y = x > 3.40282347e+38f ? x : y;
    y = x == -1.0f ? -INFINITY : y;
    y = cyn_abs_f32(x) < 1e-8f ? x : y;
    return x >= -1.0f ? y : NAN;
}

/* ---- tanh, sigmoid and their kin -------------------------------------------------------------------------------- */

CYN_INLINE float cyn_tanh_f32(float x) {
    float t = cyn_abs_f32(x);
    t = cyn_expm1_f32(2.0f * (t > 10.0f ? 10.0f : t));
    return cyn_sign_of_f32(t / (t + 2.0f), x);
}

CYN_INLINE float cyn_sigmoid_f32(float x) {
    float z = cyn_exp_f32(-cyn_abs_f32(x));
    return (x < 0.0f ? z : 1.0f) / (1.0f + z);
}

/* x sigmoid(y + lo), where x and y have one sign; lo carries the rounding error of y, which the tail would magnify. */
CYN_INLINE float cyn_gate_f32(float x, float y, float lo) {
    float e = -cyn_abs_f32(y), l = y < 0.0f ? lo : -lo, g;
    l = e < -170.0f ? 0.0f : l;
    g = (y < 0.0f ? cyn_exp_scaled_f32(e, l, x) : x) / (1.0f + cyn_exp_scaled_f32(e, l, 1.0f));
    return y < -160.0f ? cyn_sign_of_f32(0.0f, x) : g;
}

CYN_INLINE float cyn_softplus_f32(float x) {
    float z = cyn_log1p_f32(cyn_exp_f32(-cyn_abs_f32(x)));
    return x > 0.0f ? x + z : z;
}

CYN_INLINE float cyn_mish_f32(float x) {    /* x tanh(log(1 + e^x)), without cancellation */
    float z = cyn_exp_f32(-cyn_abs_f32(x)), xz = cyn_exp_scaled_f32(-cyn_abs_f32(x), 0.0f, x < -160.0f ? -160.0f : x);
    float a = CYN_FMA(2.0f, z, 1.0f), b = z * (z + 2.0f);
    return x > 0.0f ? x * (a / CYN_FMA(2.0f * z, z, a)) : xz * ((z + 2.0f) / (b + 2.0f));
}

CYN_INLINE float cyn_swish_f32(float x, float beta) {
    float hi, lo;
    cyn_two_prod_f32(x, beta, &hi, &lo);
    return cyn_gate_f32(x, hi, lo);
}

/* ---- erf and gelu ----------------------------------------------------------------------------------------------- */

CYN_INLINE float cyn_erf_f32(float x) {
    float a = cyn_abs_f32(x), z = a * a, p, q;
    p = CYN_FMA(z, -6.090357783e-04f, 5.011962261e-03f);
    p = CYN_FMA(p, z, -2.677890845e-02f);
    p = CYN_FMA(p, z, 1.128214076e-01f);
    p = CYN_FMA(p, z, -3.761252463e-01f);
    p = CYN_FMA(p, z, 1.283791512e-01f);
    p = CYN_FMA(p, a, a);
    q = a > 4.0f ? 4.0f : a;
    q = CYN_FMA(q, CYN_FMA(q, CYN_FMA(q, CYN_FMA(q, CYN_FMA(q, CYN_FMA(q, -1.982207032e-04f, 3.065499710e-03f),
        -2.231524885e-02f), 1.041137427e-01f), 6.369760036e-01f), 1.127797246e+00f), 1.664390875e-04f);
    q = 1.0f - cyn_exp_f32(-q);
    return cyn_sign_of_f32(a < 0.9f ? p : q, x);
}

/* x Phi(x). The tail is a polynomial in (a - 3) / (a + 3) times exp(-a^2 / 2), with a = |x|. */
CYN_INLINE float cyn_gelu_f32(float x) {
    float a = cyn_abs_f32(x), hi, lo, t, p;
    a = a > 15.0f ? 15.0f : a;
    cyn_two_prod_f32(a, -0.5f * a, &hi, &lo);
    t = (a - 3.0f) / (a + 3.0f);
    p = CYN_FMA(t, 5.313755901e-05f, 1.149412565e-04f);
    p = CYN_FMA(p, t, -3.390207130e-04f);
    p = CYN_FMA(p, t, -9.832172655e-04f);
    p = CYN_FMA(p, t, 2.904400928e-03f);
    p = CYN_FMA(p, t, 6.131919101e-03f);
    p = CYN_FMA(p, t, -4.621326551e-02f);
    p = CYN_FMA(p, t, 1.232250407e-01f);
    p = CYN_FMA(p, t, -2.064026147e-01f);
    p = CYN_FMA(p, t, 1.215139478e-01f);
    p = cyn_exp_scaled_f32(hi, lo, p * (x < 0.0f ? -a : 1.0f));
    return x < 0.0f ? p : x - x * p;
}

/* x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), the argument in two parts. */
CYN_INLINE float cyn_gelu_tanh_f32(float x) {
    float y = x, v, vl, p, pl, s, d, hi, lo;
    y = y > 20.0f ? 20.0f : y;
    y = y < -20.0f ? -20.0f : y;
    cyn_two_prod_f32(y, y, &v, &vl);
    cyn_two_prod_f32(v, 7.135481387e-02f, &p, &pl);
    pl = CYN_FMA(vl, 7.135481387e-02f, CYN_FMA(v, 2.398832466e-09f, pl + -4.534068054e-08f));
    s = 1.595769167e+00f + p;
    d = s - 1.595769167e+00f;
    pl += (1.595769167e+00f - (s - d)) + (p - d);
    cyn_two_prod_f32(y, s, &hi, &lo);
    lo = CYN_FMA(y, pl, lo);
    return cyn_gate_f32(x, hi, lo);
}
#endif
