/* The table of unary kernels: each line is a name and its value for one element x. P is the name of the type T, f0 and
 * f1 are the parameters, M(fn) is the function fn of vmath.h for T. */
#include "spread.h"
#include "vmath.h"

#define CYN_UNARY_FLOAT(U, P, T, M) \
    U(P, T, relu, x < 0 ? 0 : x) \
    U(P, T, leaky_relu, x < 0 ? f0 * x : x) \
    U(P, T, elu, x < 0 ? f0 * M(expm1)(x) : x) \
    U(P, T, celu, x < 0 ? f0 * M(expm1)(x / f0) : x) \
    U(P, T, selu, f1 * (x < 0 ? f0 * M(expm1)(x) : x)) \
    U(P, T, sigmoid, M(sigmoid)(x)) \
    U(P, T, hard_sigmoid, M(unit)(f0 * x + f1)) \
    U(P, T, hard_swish, x * M(unit)(x * (T)(1.0 / 6.0) + (T)0.5)) \
    U(P, T, tanh, M(tanh)(x)) \
    U(P, T, softplus, M(softplus)(x)) \
    U(P, T, softsign, x / (1 + M(abs)(x))) \
    U(P, T, gelu, M(gelu)(x)) \
    U(P, T, gelu_tanh, M(gelu_tanh)(x)) \
    U(P, T, silu, M(swish)(x, (T)1)) \
    U(P, T, swish, M(swish)(x, f0)) \
    U(P, T, mish, M(mish)(x)) \
    U(P, T, thresholded_relu, x <= f0 ? 0 : x) \
    U(P, T, shrink, x < -f1 ? x + f0 : x > f1 ? x - f0 : 0) \
    U(P, T, clip, (x < f0 ? f0 : x) > f1 ? f1 : x < f0 ? f0 : x) \
    U(P, T, erf, M(erf)(x)) \
    U(P, T, exp, M(exp)(x)) \
    U(P, T, expm1, M(expm1)(x)) \
    U(P, T, log, M(log)(x)) \
    U(P, T, log1p, M(log1p)(x)) \
    U(P, T, sqrt, M(sqrt)(x)) \
    U(P, T, rsqrt, 1 / M(sqrt)(x)) \
    U(P, T, reciprocal, 1 / x) \
    U(P, T, square, x * x) \
    U(P, T, abs, M(abs)(x)) \
    U(P, T, neg, -x) \
    U(P, T, sign, x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x) \
    U(P, T, floor, M(floor)(x)) \
    U(P, T, ceil, M(ceil)(x)) \
    U(P, T, round, M(rint)(x)) \
    U(P, T, asin, M(asin)(x)) \
    U(P, T, acos, M(acos)(x)) \
    U(P, T, atan, M(atan)(x)) \
    U(P, T, sinh, M(sinh)(x)) \
    U(P, T, cosh, M(cosh)(x)) \
    U(P, T, asinh, M(asinh)(x)) \
    U(P, T, acosh, M(acosh)(x)) \
    U(P, T, atanh, M(atanh)(x))

/* Floats to truth values. */
#define CYN_UNARY_TEST(U, P, T) \
    U(P, T, isnan, x != x) \
    U(P, T, isinf, ((f0 != 0) & (x == -(T)INFINITY)) | ((f1 != 0) & (x == (T)INFINITY)))

/* Integers: arithmetic wraps (it is done in the unsigned type UT); q0 and q1 are f[0] and f[1], cut
 * to the range of T. */
#define CYN_UNARY_INT(U, P, T, UT) \
    U(P, T, relu, x < 0 ? 0 : x) \
    U(P, T, abs, x < 0 ? (T)(0 - (UT)x) : x) \
    U(P, T, neg, (T)(0 - (UT)x)) \
    U(P, T, sign, (x > 0) - (x < 0)) \
    U(P, T, clip, (x < q0 ? q0 : x) > q1 ? q1 : x < q0 ? q0 : x) \
    U(P, T, bitwise_not, (T)~x)

CYN_INLINE float cyn_unit_f32(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
CYN_INLINE double cyn_unit_f64(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
CYN_INLINE float cyn_sqrt_f32(float x) { return sqrtf(x); }
CYN_INLINE double cyn_sqrt_f64(double x) { return sqrt(x); }
CYN_INLINE float cyn_floor_f32(float x) { return floorf(x); }
CYN_INLINE double cyn_floor_f64(double x) { return floor(x); }
CYN_INLINE float cyn_ceil_f32(float x) { return ceilf(x); }
CYN_INLINE double cyn_ceil_f64(double x) { return ceil(x); }
CYN_INLINE float cyn_rint_f32(float x) { return rintf(x); }
CYN_INLINE double cyn_rint_f64(double x) { return rint(x); }

#define CYN_F32(fn) cyn_##fn##_f32
#define CYN_F64(fn) cyn_##fn##_f64
#define CYN_PARAMETERS(T) const T f0 = (T)a->f[0], f1 = (T)a->f[1]; (void)f0; (void)f1;
#define CYN_LOWEST(T) ((T)-1 > 0 ? (T)0 : (T)((uint64_t)1 << (8 * sizeof(T) - 1)))
#define CYN_CUT(T, f) \
    ((f) <= (double)CYN_LOWEST(T) ? CYN_LOWEST(T) : (f) >= (double)(T)~CYN_LOWEST(T) ? (T)~CYN_LOWEST(T) : (T)(f))
#define CYN_INTEGERS(T) const T q0 = CYN_CUT(T, a->f[0]), q1 = CYN_CUT(T, a->f[1]); (void)q0; (void)q1;
#define CYN_FLOAT(P, T, name, value) CYN_SPAN(P, T, T, name, CYN_PARAMETERS(T), y = (value))
#define CYN_TEST(P, T, name, value) CYN_SPAN(P, T, uint8_t, name, CYN_PARAMETERS(T), y = (value))
#define CYN_INT(P, T, name, value) CYN_SPAN(P, T, T, name, CYN_INTEGERS(T), y = (T)(value))
#define CYN_ROW(P, T, name, value) {#P "_" #name, (size_t)P##_##name},

/* sin, cos, tan: a chunk with an argument that is too far for the vector code goes element by element. */
#define CYN_TRIG(name) \
    CYN_SPAN(near, float, float, name, , y = cyn_##name##_small_f32(x)) \
    static void f32_##name##_span(const void *xv, void *yv, int64_t count, const Args *a) { \
        const float *xs = (const float *)xv; \
        int32_t far = 0; \
        for (int64_t i = 0; i < count; i++) far |= cyn_trig_far_f32(xs[i]); \
        if (!far) { near_##name##_span(xv, yv, count, a); return; } \
        for (int64_t i = 0; i < count; i++) ((float *)yv)[i] = cyn_##name##_f32(xs[i]); \
    } \
    static int f32_##name(const Args *a, Ctl *ctl, int tid, int nt) { \
        return cyn_spread(f32_##name##_span, 4, 4, a, ctl, tid, nt); \
    }

CYN_UNARY_FLOAT(CYN_FLOAT, f32, float, CYN_F32)
CYN_UNARY_TEST(CYN_TEST, f32, float)
CYN_TRIG(sin) CYN_TRIG(cos) CYN_TRIG(tan)
CYN_UNARY_FLOAT(CYN_FLOAT, f64, double, CYN_F64)
CYN_UNARY_TEST(CYN_TEST, f64, double)
CYN_FLOAT(f64, double, sin, sin(x)) CYN_FLOAT(f64, double, cos, cos(x)) CYN_FLOAT(f64, double, tan, tan(x))
#define CYN_INTS(U) \
    CYN_UNARY_INT(U, i8, int8_t, uint8_t) CYN_UNARY_INT(U, u8, uint8_t, uint8_t) \
    CYN_UNARY_INT(U, i16, int16_t, uint16_t) CYN_UNARY_INT(U, u16, uint16_t, uint16_t) \
    CYN_UNARY_INT(U, i32, int32_t, uint32_t) CYN_UNARY_INT(U, u32, uint32_t, uint32_t) \
    CYN_UNARY_INT(U, i64, int64_t, uint64_t) CYN_UNARY_INT(U, u64, uint64_t, uint64_t)
CYN_INTS(CYN_INT)
CYN_SPAN(b8, uint8_t, uint8_t, not, , y = !x)

static const CynKernel cyn_unary_table[] = {
    CYN_UNARY_FLOAT(CYN_ROW, f32, , ) CYN_UNARY_TEST(CYN_ROW, f32, )
    CYN_ROW(f32, , sin, ) CYN_ROW(f32, , cos, ) CYN_ROW(f32, , tan, )
    CYN_UNARY_FLOAT(CYN_ROW, f64, , ) CYN_UNARY_TEST(CYN_ROW, f64, )
    CYN_ROW(f64, , sin, ) CYN_ROW(f64, , cos, ) CYN_ROW(f64, , tan, )
    CYN_INTS(CYN_ROW)
    CYN_ROW(b8, , not, )
    {0, 0}
};
