/* Vector math: branch-free scalar functions that gcc vectorises inside a plain loop.
 *
 * Every function takes and returns one value and treats NaN, infinities, signed zeros and subnormals as IEEE does.
 * f32 polynomials are minimax fits of our own. Functions without a fast float form go through double,
 * which costs half the speed and gives nearly correctly rounded floats. The _f64 twins call libm: float64 serves
 * gradient checks.
 *
 * Largest error in units of the last place, over nine million floats (half of them uniform bit patterns), by builds
 * with FMA and without:
 *
 *     exp 0.89 1.17     tanh 2.25 2.39      erf 1.19 1.37     gelu 3.5 3.8
 *     expm1 1.44 1.46   sigmoid 2.34 2.34   mish 2.98 3.31    gelu_tanh 2.7 2.9
 *     log 0.83 0.83     softplus 1.75 1.68  swish 2.6 2.8     sin cos tan, their inverses,
 *     log1p 1.36 1.36                                         hyperbolic, pow: 0.51
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

/* Returns q with exp(x + lo) = (1 + q) s1 s2 for |lo| much smaller than 1, which carries the rounding error of a
 * product x. The two powers of two reach subnormals and infinity with one rounding, also of c (1 + q) s1 s2. */
CYN_INLINE float cyn_exp_factors_f32(float x, float lo, float *s1, float *s2) {
    float n, r, q, a = cyn_abs_f32(x);
    int32_t i;
    a = a > 170.0f ? 170.0f : a;    /* the comparison keeps NaN */
    r = cyn_exp_reduce_f32(cyn_sign_of_f32(a, x), lo, &n, &i);
    q = CYN_FMA(r, 1.381431823e-03f, 8.368851617e-03f);
    q = CYN_FMA(q, r, 4.166840017e-02f);
    q = CYN_FMA(q, r, 1.666651964e-01f);
    q = CYN_FMA(q, r, 4.999999404e-01f);
    q = CYN_FMA(q, r, 1.0f);
    *s1 = cyn_float_f32(((i >> 1) + 127) << 23);
    *s2 = cyn_float_f32((i - (i >> 1) + 127) << 23);
    return q * r;
}

CYN_INLINE float cyn_exp_f32(float x) {
    float s1, s2, q = cyn_exp_factors_f32(x, -0.0f, &s1, &s2);  /* adding -0 is nothing */
    return (1.0f + q) * s1 * s2;
}

CYN_INLINE float cyn_expm1_f32(float x) {
    float n, r, q, p, s, y = x;
    int32_t i;
    y = y > 89.0f ? 89.0f : y;
    y = y < -20.0f ? -20.0f : y;
    r = cyn_exp_reduce_f32(y, -0.0f, &n, &i);
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
    s = cyn_float_f32((129 - e) << 23);                 /* 4 / 2^k; then 1 + f = (1 + x) / 2^k, with one rounding */
    y = cyn_log_poly_f32(CYN_FMA(0.25f * x, s, 0.25f * s - 1.0f), (float)e);
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
    float e = -cyn_abs_f32(y), s1, s2, q, g;
    lo = cyn_float_f32(cyn_bits_f32(lo) ^ (~cyn_bits_f32(y) & INT32_MIN));
    lo = e < -170.0f ? 0.0f : lo;
    q = cyn_exp_factors_f32(e, lo, &s1, &s2);
    g = CYN_FMA(q, x, x) * s1 * s2;
    g = (y < 0.0f ? g : x) / (1.0f + (1.0f + q) * s1 * s2);
    return y < -160.0f ? cyn_sign_of_f32(0.0f, x) : g;
}

CYN_INLINE float cyn_softplus_f32(float x) {
    float z = cyn_log1p_f32(cyn_exp_f32(-cyn_abs_f32(x)));
    return x > 0.0f ? x + z : z;
}

CYN_INLINE float cyn_mish_f32(float x) {    /* x tanh(log(1 + e^x)), without cancellation */
    float s1, s2, q = cyn_exp_factors_f32(-cyn_abs_f32(x), -0.0f, &s1, &s2), z = (1.0f + q) * s1 * s2;
    float g = x < -160.0f ? -160.0f : x, up = x > 0.0f ? 2.0f * z * z : z * (z + 1.0f);
    float down = x > 0.0f ? CYN_FMA(2.0f * z, z, CYN_FMA(2.0f, z, 1.0f)) : CYN_FMA(z, z + 2.0f, 2.0f);
    g = CYN_FMA(q, g, g) * s1 * s2;
    return (x > 0.0f ? x : g) * (1.0f - up / down);
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

/* x Phi(x). Near 0 a polynomial; the tail is one in (a - 2.5) / (a + 2.5) times
 * exp(-a^2 / 2) / (a + 2.5), with a = |x|. */
CYN_INLINE float cyn_gelu_f32(float x) {
    float a = cyn_abs_f32(x), hi, lo, v, t, p, s1, s2;
    a = a > 15.0f ? 15.0f : a;
    cyn_two_prod_f32(a, -0.5f * a, &hi, &lo);
    v = 1.0f / (a + 2.5f);
    t = (a - 2.5f) * v;
    p = CYN_FMA(t, -1.573620830e-04f, -3.110312973e-04f);
    p = CYN_FMA(p, t, 6.843583542e-04f);
    p = CYN_FMA(p, t, 2.523435978e-03f);
    p = CYN_FMA(p, t, -1.600931981e-03f);
    p = CYN_FMA(p, t, -1.638605632e-02f);
    p = CYN_FMA(p, t, 9.235906415e-03f);
    p = CYN_FMA(p, t, 1.319869757e-01f);
    p = CYN_FMA(p, t, -4.336920083e-01f);
    p = CYN_FMA(p, t, 7.066566348e-01f);
    p *= x < 0.0f ? CYN_FMA(t, -0.5f, -0.5f) : v;           /* -a / (a + 2.5) */
    t = cyn_exp_factors_f32(hi, lo, &s1, &s2);
    p = CYN_FMA(p, t, p) * s1 * s2;
    p = x < 0.0f ? p : x * (1.0f - p);
    t = x * x;
    v = CYN_FMA(t, 1.014044537e-04f, -1.179675688e-03f);
    v = CYN_FMA(v, t, 9.971832857e-03f);
    v = CYN_FMA(v, t, -6.649024040e-02f);
    v = CYN_FMA(v, t, 3.989422917e-01f);
    return a < 0.8f ? x * CYN_FMA(v, x, 0.5f) : p;
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

/* ---- functions by way of double --------------------------------------------------------------------------------- */

/* n ln 2 + r = x; |x| is cut to 710 (floats need 104). About 2^-51. */
CYN_INLINE double cyn_exp_d(double x) {
    double n, r, q;
    int64_t i;
    x = x > 709.0 ? 709.0 : x;
    x = x < -700.0 ? -700.0 : x;
    n = CYN_FMAD(x, 1.4426950408889634, 6755399441055744.0);
    i = cyn_bits_f64(n);
    n -= 6755399441055744.0;
    r = CYN_FMAD(n, -1.9082149292705877e-10, CYN_FMAD(n, -0.69314718036912382, x));
    q = CYN_FMAD(CYN_FMAD(r, 2.76433634101907683e-06, 2.48824370430170982e-05), r, 1.98411642086265594e-04);
    q = CYN_FMAD(q, r, 1.38888072489776800e-03);
    q = CYN_FMAD(q, r, 8.33333338746636808e-03);
    q = CYN_FMAD(q, r, 4.16666669910831511e-02);
    q = CYN_FMAD(q, r, 1.66666666665713226e-01);
    q = CYN_FMAD(q, r, 4.99999999996004751e-01);
    q = CYN_FMAD(CYN_FMAD(q, r, 1.0), r, 1.0);
    return q * cyn_float_f64((int64_t)((uint64_t)(i + 1023) << 52));
}

/* log of a positive normal double, or of Inf or NaN; 0 gives -Inf. About 2^-50. */
CYN_INLINE double cyn_log_d(double x) {
    const int64_t one = 0x3ff0000000000000, root = 0x3fe6a09e667f3bcd;
    int64_t i = cyn_bits_f64(x) + (one - root), m = (i & 0x000fffffffffffff) + root;
    double k = cyn_float_f64((int64_t)((uint64_t)i >> 52) | 0x4330000000000000) - (4503599627370496.0 + 1023.0);
    double f = cyn_float_f64(m) - 1.0, s = f / (2.0 + f), z = s * s, p;
    p = CYN_FMAD(z, 1.68212977427943139e-01, 1.81235245649526311e-01);
    p = CYN_FMAD(p, z, 2.22233752000264517e-01);
    p = CYN_FMAD(p, z, 2.85714170814423962e-01);
    p = CYN_FMAD(p, z, 4.00000000525775390e-01);
    p = CYN_FMAD(p, z, 6.66666666665865271e-01);
    p = CYN_FMAD(k, 0.69314718055994531, CYN_FMAD(p * z, s, 2.0 * s));
    p = x == 0.0 ? -INFINITY : p;
    return x < INFINITY ? p : x;
}

/* sin r, cos r and n for x = n pi/2 + r, |x| <= CYN_TRIG_LIMIT. Beyond, call libm. */
#define CYN_TRIG_LIMIT 1.0e6f
CYN_INLINE void cyn_trig_d(double x, double *s, double *c, int64_t *n) {
    double t = CYN_FMAD(x, 0.63661977236758134, 6755399441055744.0), r, z;
    *n = cyn_bits_f64(t);
    t -= 6755399441055744.0;
    r = CYN_FMAD(t, -1.57079632673412561417e+00, x);        /* 33 bits, so exact */
    r = CYN_FMAD(t, -6.07710050650619224932e-11, r);
    z = r * r;
    *s = CYN_FMAD(CYN_FMAD(CYN_FMAD(CYN_FMAD(2.71823718453171633e-06, z, -1.98393271247678611e-04), z,
        8.33332936223398282e-03), z, -1.66666666414259840e-01), z * r, r);
    *c = CYN_FMAD(CYN_FMAD(CYN_FMAD(CYN_FMAD(-2.72095464535871018e-07, z, 2.47995117454545933e-05), z,
        -1.38888837225401279e-03), z, 4.16666666224758536e-02), z * z, CYN_FMAD(z, -0.5, 1.0));
}
CYN_INLINE double cyn_signed_d(double x, int64_t flip) {
    return cyn_float_f64(cyn_bits_f64(x) ^ (int64_t)((uint64_t)flip << 63));
}

CYN_INLINE float cyn_sin_small_f32(float x) {
    double s, c;
    int64_t n;
    cyn_trig_d(x, &s, &c, &n);
    s = cyn_signed_d(n & 1 ? c : s, n >> 1 & 1);
    return x == 0.0f ? x : (float)s;
}
CYN_INLINE float cyn_cos_small_f32(float x) {
    double s, c;
    int64_t n;
    cyn_trig_d(x, &s, &c, &n);
    return (float)cyn_signed_d(n & 1 ? s : c, (n + 1) >> 1 & 1);
}
CYN_INLINE float cyn_tan_small_f32(float x) {
    double s, c;
    int64_t n;
    cyn_trig_d(x, &s, &c, &n);
    s = n & 1 ? -c / s : s / c;
    return x == 0.0f ? x : (float)s;
}
CYN_INLINE int cyn_trig_far_f32(float x) { return cyn_abs_f32(x) > CYN_TRIG_LIMIT; }
CYN_INLINE float cyn_sin_f32(float x) { return cyn_trig_far_f32(x) ? sinf(x) : cyn_sin_small_f32(x); }
CYN_INLINE float cyn_cos_f32(float x) { return cyn_trig_far_f32(x) ? cosf(x) : cyn_cos_small_f32(x); }
CYN_INLINE float cyn_tan_f32(float x) { return cyn_trig_far_f32(x) ? tanf(x) : cyn_tan_small_f32(x); }

CYN_INLINE double cyn_asin_poly_d(double x, double z) {     /* asin(x) for |x| <= 1/2, z = x^2 */
    double p = CYN_FMAD(z, 3.47069616278167514e-02, 7.45783815649507867e-03);
    p = CYN_FMAD(p, z, 2.46219059792585314e-02);
    p = CYN_FMAD(p, z, 3.01097086374439889e-02);
    p = CYN_FMAD(p, z, 4.46602055181015492e-02);
    p = CYN_FMAD(p, z, 7.49994800832663178e-02);
    p = CYN_FMAD(p, z, 1.66666671915542824e-01);
    return CYN_FMAD(p * z, x, x);
}
CYN_INLINE float cyn_asin_f32(float x) {
    double a = cyn_abs_f32(x), z = a > 0.5 ? 0.5 - 0.5 * a : a * a, p = cyn_asin_poly_d(a > 0.5 ? sqrt(z) : a, z);
    return cyn_sign_of_f32((float)(a > 0.5 ? 1.5707963267948966 - 2.0 * p : p), x);
}
CYN_INLINE float cyn_acos_f32(float x) {
    double a = cyn_abs_f32(x), z = a > 0.5 ? 0.5 - 0.5 * a : a * a, p = cyn_asin_poly_d(a > 0.5 ? sqrt(z) : a, z);
    p = a > 0.5 ? 2.0 * p : 1.5707963267948966 - p;
    return (float)(x < 0.0f ? 3.1415926535897931 - p : p);
}
CYN_INLINE float cyn_atan_f32(float x) {
    double a = cyn_abs_f32(x), t = a > 1.0 ? 1.0 / a : a, z = t * t, p;
    p = CYN_FMAD(z, -7.11293153335832849e-04, 4.99925249832408169e-03);
    p = CYN_FMAD(p, z, -1.64713036502623922e-02);
    p = CYN_FMAD(p, z, 3.47044518532932250e-02);
    p = CYN_FMAD(p, z, -5.47043155746688020e-02);
    p = CYN_FMAD(p, z, 7.26937514453450395e-02);
    p = CYN_FMAD(p, z, -8.98878898142522059e-02);
    p = CYN_FMAD(p, z, 1.10952018034241470e-01);
    p = CYN_FMAD(p, z, -1.42842507872206481e-01);
    p = CYN_FMAD(p, z, 1.99999321926766921e-01);
    p = CYN_FMAD(p, z, -3.33333322352149464e-01);
    p = CYN_FMAD(p * z, t, t);
    return cyn_sign_of_f32((float)(a > 1.0 ? 1.5707963267948966 - p : p), x);
}

CYN_INLINE float cyn_sinh_f32(float x) {
    double a = cyn_abs_f32(x), z = a * a, e = cyn_exp_d(a), p;
    p = CYN_FMAD(z, 1.0 / 39916800.0, 1.0 / 362880.0);
    p = CYN_FMAD(CYN_FMAD(CYN_FMAD(p, z, 1.0 / 5040.0), z, 1.0 / 120.0), z, 1.0 / 6.0);
    return cyn_sign_of_f32((float)(a < 1.0 ? CYN_FMAD(p * z, a, a) : 0.5 * e - 0.5 / e), x);
}
CYN_INLINE float cyn_cosh_f32(float x) {
    double e = cyn_exp_d(cyn_abs_f32(x));
    return (float)(0.5 * e + 0.5 / e);
}
CYN_INLINE float cyn_asinh_f32(float x) {
    double a = cyn_abs_f32(x), z = a * a, y = cyn_log_d(1.0 + (a + z / (1.0 + sqrt(1.0 + z))));
    return cyn_sign_of_f32((float)(a < 1e-3 ? a - a * z * (1.0 / 6.0) : a > 1e39 ? a : y), x);
}
CYN_INLINE float cyn_acosh_f32(float x) {
    double t = (double)x - 1.0, y = cyn_log_d(1.0 + (t + sqrt(t * (t + 2.0))));
    return x >= 1.0f ? (float)y : NAN;
}
CYN_INLINE float cyn_atanh_f32(float x) {
    double a = cyn_abs_f32(x), z = a * a, y = 0.5 * cyn_log_d((1.0 + a) / (1.0 - a)), p;
    p = a * z * CYN_FMAD(CYN_FMAD(z, 1.0 / 7.0, 0.2), z, 1.0 / 3.0) + a;
    y = a < 0.01 ? p : y;
    return a > 1.0 ? NAN : cyn_sign_of_f32((float)y, x);
}

CYN_INLINE float cyn_pow_f32(float x, float y) {
    float a = cyn_abs_f32(x), h = 0.5f * y, r;
    int whole = y == rintf(y), odd = whole & (h != rintf(h));
    r = (float)cyn_exp_d((double)y * cyn_log_d(a));
    r = odd ? cyn_sign_of_f32(r, x) : r;
    r = (x < 0.0f) & !whole & (a < INFINITY) ? NAN : r;
    return (y == 0.0f) | (x == 1.0f) | ((a == 1.0f) & (cyn_abs_f32(y) == INFINITY)) ? 1.0f : r;
}

/* ---- float64 twins ---------------------------------------------------------------------------------------------- */

#define CYN_LIBM(name) CYN_INLINE double cyn_##name##_f64(double x) { return name(x); }
CYN_LIBM(exp) CYN_LIBM(expm1) CYN_LIBM(log) CYN_LIBM(log1p) CYN_LIBM(tanh) CYN_LIBM(erf) CYN_LIBM(sin) CYN_LIBM(cos)
CYN_LIBM(tan) CYN_LIBM(asin) CYN_LIBM(acos) CYN_LIBM(atan) CYN_LIBM(sinh) CYN_LIBM(cosh) CYN_LIBM(asinh) CYN_LIBM(acosh)
CYN_LIBM(atanh)
#undef CYN_LIBM
CYN_INLINE double cyn_pow_f64(double x, double y) { return pow(x, y); }
CYN_INLINE double cyn_abs_f64(double x) { return fabs(x); }
CYN_INLINE double cyn_softplus_f64(double x) { return (x < 0 ? 0 : x) + log1p(exp(-fabs(x))); }
CYN_INLINE double cyn_sigmoid_f64(double x) { double z = exp(-fabs(x)); return (x < 0 ? z : 1) / (1 + z); }
CYN_INLINE double cyn_gate_f64(double x, double y) {     /* x sigmoid(y) */
    double s = cyn_sigmoid_f64(y);
    return s == 0 ? copysign(0.0, x) : x * s;
}
CYN_INLINE double cyn_swish_f64(double x, double beta) { return cyn_gate_f64(x, x * beta); }
CYN_INLINE double cyn_mish_f64(double x) { return x < -800 ? -0.0 : x * tanh(cyn_softplus_f64(x)); }
CYN_INLINE double cyn_gelu_f64(double x) { return x < -40 ? -0.0 : 0.5 * x * erfc(-0.70710678118654752 * x); }
CYN_INLINE double cyn_gelu_tanh_f64(double x) {
    return cyn_gate_f64(x, x * (1.5957691216057308 + 0.071354816272600253 * x * x));
}
#endif
