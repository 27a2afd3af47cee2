/* Casts between every two element types: conversions of one element, and the table.
 *
 * Floats to integers are cut towards zero and saturate, NaN gives 0; integers to narrower ones keep the low bits; to
 * bool is "not 0"; all others round to nearest, ties to even, once.
 */
#ifndef CYNFER_CAST_OPS_H
#define CYNFER_CAST_OPS_H
#include "spread.h"
#include "vmath.h"

CYN_INLINE float cyn_from_bf16(uint16_t h) { return cyn_float_f32((int32_t)((uint32_t)h << 16)); }
CYN_INLINE uint16_t cyn_to_bf16(float x) {
    uint32_t u = (uint32_t)cyn_bits_f32(x), r = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? u >> 16 | 0x40 : r);
}

CYN_INLINE float cyn_from_f16(uint16_t h) {
    uint32_t a = h & 0x7fff, n = (a << 13) + 0x38000000;
    n = a < 0x400 ? (uint32_t)cyn_bits_f32((float)(int32_t)a * 5.96046448e-8f) : n;     /* subnormal: a 2^-24 */
    n = a >= 0x7c00 ? (a << 13) | 0x7f800000 : n;
    n = a > 0x7c00 ? n | 0x400000 : n;
    return cyn_float_f32((int32_t)(n | (uint32_t)(h & 0x8000) << 16));
}
CYN_INLINE uint16_t cyn_to_f16(float x) {
    uint32_t u = (uint32_t)cyn_bits_f32(x), a = u & 0x7fffffff, r = (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13;
    r = a < 0x38800000 ? (uint32_t)cyn_bits_f32(cyn_float_f32((int32_t)a) + 0.5f) - 0x3f000000 : r;     /* subnormal */
    r = a >= 0x477ff000 ? 0x7c00 : r;
    r = a > 0x7f800000 ? 0x7e00 | (a >> 13 & 0x3ff) : r;
    return (uint16_t)(r | (u >> 16 & 0x8000));
}

/* Rounded to odd: a second rounding, to at most 22 bits, then gives what one alone would. */
CYN_INLINE float cyn_odd_f64(double x) {
    float y = (float)x;
    int32_t i = cyn_bits_f32(y), beyond = fabs((double)y) > fabs(x), exact = (double)y == x || x != x;
    return exact ? y : cyn_float_f32((i - beyond) | 1);
}
CYN_INLINE double cyn_odd_i64(int64_t x) {
    return (double)(x > -((int64_t)1 << 53) && x < (int64_t)1 << 53 ? x : (x & ~0x7ff) | (x & 0x7ff ? 0x800 : 0));
}
CYN_INLINE double cyn_odd_u64(uint64_t x) {
    return (double)(x < (uint64_t)1 << 53 ? x : (x & ~(uint64_t)0x7ff) | (x & 0x7ff ? 0x800 : 0));
}

#define CYN_LOW(T) ((T)-1 > 0 ? (T)0 : (T)((uint64_t)1 << (8 * sizeof(T) - 1)))
#define CYN_HIGH(T) ((T)~CYN_LOW(T))
/* 2^bits or 2^(bits - 1), the first value that is too large, is exact in any float type. */
#define CYN_SATURATE(T, x) \
    ((x) >= 2 * (float)(CYN_HIGH(T) / 2 + 1) ? CYN_HIGH(T) : (x) <= (float)CYN_LOW(T) ? CYN_LOW(T) \
     : (x) == (x) ? (T)(x) : 0)

/* Targets: U(name of source, its type, name of target, its type, value). w is the source as float or double. */
#define CYN_SAME(T, x) ((T)(x))
#define CYN_TO_INT(U, S, TS, make, w) \
    U(S, TS, i8, int8_t, make(int8_t, w)) U(S, TS, u8, uint8_t, make(uint8_t, w)) \
    U(S, TS, i16, int16_t, make(int16_t, w)) U(S, TS, u16, uint16_t, make(uint16_t, w)) \
    U(S, TS, i32, int32_t, make(int32_t, w)) U(S, TS, u32, uint32_t, make(uint32_t, w)) \
    U(S, TS, i64, int64_t, make(int64_t, w)) U(S, TS, u64, uint64_t, make(uint64_t, w)) \
    U(S, TS, b8, uint8_t, (w) != 0)
#define CYN_TO_FLOAT(U, S, TS, w, narrow) \
    U(S, TS, f16, uint16_t, cyn_to_f16(narrow)) U(S, TS, bf16, uint16_t, cyn_to_bf16(narrow)) \
    U(S, TS, f32, float, (float)(w)) U(S, TS, f64, double, (double)(w))

#define CYN_CASTS(U) \
    CYN_TO_INT(U, b8, uint8_t, CYN_SAME, x != 0) CYN_TO_FLOAT(U, b8, uint8_t, x != 0, (float)(x != 0)) \
    CYN_TO_INT(U, i8, int8_t, CYN_SAME, x) CYN_TO_FLOAT(U, i8, int8_t, x, (float)x) \
    CYN_TO_INT(U, u8, uint8_t, CYN_SAME, x) CYN_TO_FLOAT(U, u8, uint8_t, x, (float)x) \
    CYN_TO_INT(U, i16, int16_t, CYN_SAME, x) CYN_TO_FLOAT(U, i16, int16_t, x, (float)x) \
    CYN_TO_INT(U, u16, uint16_t, CYN_SAME, x) CYN_TO_FLOAT(U, u16, uint16_t, x, (float)x) \
    CYN_TO_INT(U, i32, int32_t, CYN_SAME, x) CYN_TO_FLOAT(U, i32, int32_t, x, cyn_odd_f64((double)x)) \
    CYN_TO_INT(U, u32, uint32_t, CYN_SAME, x) CYN_TO_FLOAT(U, u32, uint32_t, x, cyn_odd_f64((double)x)) \
    CYN_TO_INT(U, i64, int64_t, CYN_SAME, x) CYN_TO_FLOAT(U, i64, int64_t, x, cyn_odd_f64(cyn_odd_i64(x))) \
    CYN_TO_INT(U, u64, uint64_t, CYN_SAME, x) CYN_TO_FLOAT(U, u64, uint64_t, x, cyn_odd_f64(cyn_odd_u64(x))) \
    CYN_TO_INT(U, f16, uint16_t, CYN_SATURATE, cyn_from_f16(x)) \
    CYN_TO_FLOAT(U, f16, uint16_t, cyn_from_f16(x), cyn_from_f16(x)) \
    CYN_TO_INT(U, bf16, uint16_t, CYN_SATURATE, cyn_from_bf16(x)) \
    CYN_TO_FLOAT(U, bf16, uint16_t, cyn_from_bf16(x), cyn_from_bf16(x)) \
    CYN_TO_INT(U, f32, float, CYN_SATURATE, x) CYN_TO_FLOAT(U, f32, float, x, x) \
    CYN_TO_INT(U, f64, double, CYN_SATURATE, x) CYN_TO_FLOAT(U, f64, double, x, cyn_odd_f64(x))

#define CYN_CAST(S, TS, P, T, value) CYN_SPAN(cast_##S, TS, T, P, , y = (value))
#define CYN_CAST_ROW(S, TS, P, T, value) {"cast_" #S "_" #P, (size_t)cast_##S##_##P},

CYN_CASTS(CYN_CAST)
static const CynKernel cyn_cast_table[] = { CYN_CASTS(CYN_CAST_ROW) {0, 0} };
#endif
