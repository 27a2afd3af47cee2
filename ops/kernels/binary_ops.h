/* The tables of binary kernels: each line is a name and its value for one pair x, y. P is the name of the type T; UT is
 * the unsigned type of its size, in which arithmetic wraps. */
#ifndef CYNFER_BINARY_OPS_H
#define CYNFER_BINARY_OPS_H
#include "spread.h"
#include "vmath.h"

/* Used in both layouts; 0 with 0 gives a finite value. */
#define CYN_BINARY_FINITE(U, P, T) \
    U(P, T, T, add, x + y) \
    U(P, T, T, sub, x - y) \
    U(P, T, T, mul, x * y) \
    U(P, T, T, max, (x > y) | (x != x) ? x : y) \
    U(P, T, T, min, (x < y) | (x != x) ? x : y) \
    U(P, T, T, prelu, x < 0 ? x * y : x)

#define CYN_BINARY_ORDER(U, P, T) \
    U(P, T, uint8_t, less, x < y) \
    U(P, T, uint8_t, less_equal, x <= y) \
    U(P, T, uint8_t, greater, x > y) \
    U(P, T, uint8_t, greater_equal, x >= y)

#define CYN_BINARY_FLOAT(U, P, T) \
    CYN_BINARY_FINITE(U, P, T) CYN_BINARY_ORDER(U, P, T) \
    U(P, T, uint8_t, equal, x == y) \
    U(P, T, T, div, x / y) \
    U(P, T, T, mod, cyn_mod_##P(x, y)) \
    U(P, T, T, fmod, cyn_fmod_##P(x, y))
#define CYN_BINARY_LONG(U, P, T) \
    U(P, T, T, pow, cyn_pow_##P(x, y))

/* The same bits for signed and unsigned numbers; T is unsigned. */
#define CYN_BINARY_WRAP(U, P, T) \
    U(P, T, T, add, (T)(x + y)) \
    U(P, T, T, sub, (T)(x - y)) \
    U(P, T, T, mul, (T)(1u * x * y)) \
    U(P, T, uint8_t, equal, x == y) \
    U(P, T, T, bit_and, x & y) \
    U(P, T, T, bit_or, x | y) \
    U(P, T, T, bit_xor, x ^ y)

/* A shift by the width or more, or by a negative number, shifts everything out. */
#define CYN_BINARY_INT(U, P, T, UT) \
    CYN_BINARY_ORDER(U, P, T) \
    U(P, T, T, max, x > y ? x : y) \
    U(P, T, T, min, x < y ? x : y) \
    U(P, T, T, prelu, x < 0 ? (T)(1u * (UT)x * (UT)y) : x) \
    U(P, T, T, pow, (T)cyn_pow_int(x, x < 0, y, y < 0)) \
    U(P, T, T, shift_left, (UT)y < 8 * sizeof(T) ? (T)((UT)x << y) : 0) \
    U(P, T, T, shift_right, (UT)y < 8 * sizeof(T) ? (T)(x >> y) : x < 0 ? (T)-1 : 0)

/* y is not 0. `mod` has the sign of y, `fmod` that of x. */
#define CYN_BINARY_DIVIDE(U, P, T, UT) \
    U(P, T, T, div, CYN_MINUS_ONE(T, y) ? (T)(0 - (UT)x) : (T)(x / y)) \
    U(P, T, T, fmod, CYN_MINUS_ONE(T, y) ? 0 : (T)(x % y)) \
    U(P, T, T, mod, CYN_MINUS_ONE(T, y) ? 0 : x % y != 0 && ((x % y < 0) != (y < 0)) ? (T)(x % y + y) : (T)(x % y))
#define CYN_MINUS_ONE(T, y) ((T)-1 < 0 && (y) == (T)-1)

#define CYN_BINARY_LOGIC(U, P, T) \
    U(P, T, T, and, (x != 0) & (y != 0)) \
    U(P, T, T, or, (x | y) != 0) \
    U(P, T, T, xor, (x != 0) ^ (y != 0)) \
    U(P, T, T, equal, (x != 0) == (y != 0))

CYN_INLINE float cyn_fmod_f32(float x, float y) { return fmodf(x, y); }
CYN_INLINE double cyn_fmod_f64(double x, double y) { return fmod(x, y); }
CYN_INLINE double cyn_mod_f64(double x, double y) {     /* with the sign of y, as Python's % */
    double r = fmod(x, y);
    return r == 0 ? copysign(r, y) : (r < 0) != (y < 0) ? r + y : r;
}
CYN_INLINE float cyn_mod_f32(float x, float y) {
    float r = fmodf(x, y);
    return r == 0 ? copysignf(r, y) : (r < 0) != (y < 0) ? r + y : r;
}

/* Wraps. To a negative power: 1 and -1 as ever, and 0 for all others. */
static inline uint64_t cyn_pow_int(uint64_t x, int x_negative, uint64_t y, int y_negative) {
    uint64_t r = 1;
    if (y_negative) return x == 1 ? 1 : x_negative && x + 1 == 0 ? (y & 1 ? x : 1) : 0;
    for (; y; y >>= 1, x *= x)
        if (y & 1) r *= x;
    return r;
}

/* One row: z[i] from x[i sx] and y[i sy]. Returns the first i with a bad value, or -1. */
typedef int64_t (*CynRow)(const void *x, const void *y, void *z, int64_t count, int64_t sx, int64_t sy);

/* Shares the rows of a broadcast operation over threads, long ones in pieces; see binary.pyx for n. */
static inline int cyn_broadcast(CynRow row, int size, int z_size, const Args *a, Ctl *ctl, int tid, int nt) {
    const int64_t rank = a->n[0], *dims = a->n + 1, *sx = dims + rank, *sy = sx + rank;
    int64_t rows = 1, inner = rank ? dims[rank - 1] : 1, at[32], ox = 0, oy = 0, lo, hi, done = 0;
    for (int64_t i = 0; i < rank - 1; i++) rows *= dims[i];
    const int64_t pieces = (inner + CYN_CHUNK - 1) / CYN_CHUNK;
    const int64_t ix = rank ? sx[rank - 1] : 0, iy = rank ? sy[rank - 1] : 0;
    cyn_share(rows * pieces, tid, nt, &lo, &hi);
    if (lo >= hi) return 0;
    for (int64_t i = rank - 2, r = lo / pieces; i >= 0; i--) {
        at[i] = r % dims[i];
        r /= dims[i];
        ox += at[i] * sx[i];
        oy += at[i] * sy[i];
    }
    for (int64_t unit = lo, piece = lo % pieces; unit < hi; unit++) {
        int64_t from = piece * CYN_CHUNK, count = inner - from < CYN_CHUNK ? inner - from : CYN_CHUNK;
        int64_t where = unit / pieces * inner + from;
        const char *x = (const char *)a->p[0] + (ox + from * ix) * size;
        const char *y = (const char *)a->p[1] + (oy + from * iy) * size;
        int64_t bad = row(x, y, (char *)a->p[2] + where * z_size, count, ix, iy);
        if (bad >= 0) {
            cyn_fault(ctl, tid, 2, where + bad, 0, 0, 0);
            return 0;
        }
        if ((done += count) >= 2 * CYN_CHUNK) {
            if (cyn_stop(ctl, tid)) return 0;
            done = 0;
        }
        if (++piece < pieces) continue;
        piece = 0;
        for (int64_t i = rank - 2; i >= 0; i--) {
            ox += sx[i];
            oy += sy[i];
            if (++at[i] < dims[i]) break;
            ox -= at[i] * sx[i];
            oy -= at[i] * sy[i];
            at[i] = 0;
        }
    }
    return 0;
}

#define CYN_KERNEL(P, T, TZ, name) \
    static int P##_##name(const Args *a, Ctl *ctl, int tid, int nt) { \
        return cyn_broadcast(P##_##name##_row, sizeof(T), sizeof(TZ), a, ctl, tid, nt); \
    }
#define CYN_LOOP(X, Y, value) \
    _Pragma("GCC ivdep") \
    for (int64_t i = 0; i < count; i++) { X; Y; zs[i] = (value); }
#define CYN_ROW_HEAD(P, T, TZ, name) \
    static int64_t P##_##name##_row(const void *xv, const void *yv, void *zv, int64_t count, int64_t sx, int64_t sy) { \
        const T *xs = (const T *)xv, *ys = (const T *)yv; \
        TZ *zs = (TZ *)zv;

/* Loops for two vectors, a vector and a scalar, a scalar and a vector, and any strides. */
#define CYN_PAIR(P, T, TZ, name, value) \
    CYN_ROW_HEAD(P, T, TZ, name) \
        if (sx == 1 && sy == 1) { CYN_LOOP(const T x = xs[i], const T y = ys[i], value) } \
        else if (sx == 1 && sy == 0) { const T y = ys[0]; CYN_LOOP(const T x = xs[i], , value) } \
        else if (sx == 0 && sy == 1) { const T x = xs[0]; CYN_LOOP(, const T y = ys[i], value) } \
        else { CYN_LOOP(const T x = xs[i * sx], const T y = ys[i * sy], value) } \
        return -1; \
    } \
    CYN_KERNEL(P, T, TZ, name)

/* For long formulas: one loop, over copies. gcc would split a loop with a scalar in it and then not vectorise. */
#define CYN_PAIR_LONG(P, T, TZ, name, value) \
    CYN_ROW_HEAD(P, T, TZ, name) \
        T xb[256], yb[256]; \
        for (int64_t from = 0, block; from < count; from += block, zs += block) { \
            block = count - from < 256 ? count - from : 256; \
            for (int64_t i = 0; i < block; i++) { xb[i] = xs[(from + i) * sx]; yb[i] = ys[(from + i) * sy]; } \
            for (int64_t i = 0; i < block; i++) { const T x = xb[i], y = yb[i]; zs[i] = (value); } \
        } \
        return -1; \
    } \
    CYN_KERNEL(P, T, TZ, name)

#define CYN_PAIR_DIVIDE(P, T, TZ, name, value) \
    CYN_ROW_HEAD(P, T, TZ, name) \
        for (int64_t i = 0; i < count; i++) { \
            const T x = xs[i * sx], y = ys[i * sy]; \
            if (y == 0) return i; \
            zs[i] = (value); \
        } \
        return -1; \
    } \
    CYN_KERNEL(P, T, TZ, name)

/* ---- one value for each channel; see binary.pyx for n ------------------------------------------------------------ */

/* z[pixel][16] from x[pixel][16] and the vectors u, v of 16. */
#define CYN_CHANNELS(P, T, name, vectors, value) \
    static int P##_##name##_c16(const Args *a, Ctl *ctl, int tid, int nt) { \
        const int64_t blocks = a->n[1], pixels = a->n[2], batched = a->n[3], pieces = (pixels + 255) / 256; \
        int64_t lo, hi; \
        cyn_share(a->n[0] * blocks * pieces, tid, nt, &lo, &hi); \
        for (int64_t unit = lo; unit < hi; unit++) { \
            const int64_t plane = unit / pieces, from = unit % pieces * 256; \
            const int64_t count = pixels - from < 256 ? pixels - from : 256; \
            const int64_t channel = 16 * (batched ? plane : plane % blocks), start = 16 * (plane * pixels + from); \
            const T *xs = (const T *)a->p[0] + start; \
            T *zs = (T *)a->p[1 + vectors] + start, us[16], vs[16]; \
            memcpy(us, (const T *)a->p[1] + channel, sizeof us); \
            memcpy(vs, (const T *)a->p[vectors] + channel, sizeof vs); \
            if ((unit - lo) % 4 == 3 && cyn_stop(ctl, tid)) return 0; \
            for (int64_t i = 0; i < count; i++, xs += 16, zs += 16) \
                _Pragma("GCC ivdep") \
                for (int j = 0; j < 16; j++) { const T x = xs[j], y = us[j], v = vs[j]; (void)v; zs[j] = (value); } \
        } \
        return 0; \
    }
#define CYN_CHANNEL_PAIR(P, T, TZ, name, value) CYN_CHANNELS(P, T, name, 1, value)

/* x[outer][channels][inner] times gamma[channels] plus beta[channels]. */
#define CYN_AFFINE(P, T) \
    static void P##_affine_row(const T *xs, T *zs, const T *g, const T *b, int64_t count, int per_element) { \
        if (per_element) { \
            _Pragma("GCC ivdep") \
            for (int64_t i = 0; i < count; i++) zs[i] = xs[i] * g[i] + b[i]; \
        } else { \
            const T u = g[0], v = b[0]; \
            _Pragma("GCC ivdep") \
            for (int64_t i = 0; i < count; i++) zs[i] = xs[i] * u + v; \
        } \
    } \
    static int P##_affine(const Args *a, Ctl *ctl, int tid, int nt) { \
        const int flat = a->n[2] == 1; \
        const int64_t channels = flat ? 1 : a->n[1], inner = flat ? a->n[1] : a->n[2]; \
        const int64_t pieces = (inner + CYN_CHUNK - 1) / CYN_CHUNK; \
        int64_t lo, hi, done = 0; \
        cyn_share(a->n[0] * channels * pieces, tid, nt, &lo, &hi); \
        for (int64_t unit = lo; unit < hi; unit++) { \
            const int64_t plane = unit / pieces, from = unit % pieces * CYN_CHUNK; \
            const int64_t count = inner - from < CYN_CHUNK ? inner - from : CYN_CHUNK; \
            const int64_t start = plane * inner + from, channel = flat ? from : plane % channels; \
            P##_affine_row((const T *)a->p[0] + start, (T *)a->p[3] + start, (const T *)a->p[1] + channel, \
                           (const T *)a->p[2] + channel, count, flat); \
            if ((done += count) >= 4 * CYN_CHUNK) { \
                if (cyn_stop(ctl, tid)) return 0; \
                done = 0; \
            } \
        } \
        return 0; \
    }

/* ---- the tables -------------------------------------------------------------------------------------------------- */

#define CYN_ENTRY(P, T, TZ, name, value) {#P "_" #name, (size_t)P##_##name},
#define CYN_ENTRY_C16(P, T, TZ, name, value) {#P "_" #name "_c16", (size_t)P##_##name##_c16},
#define CYN_FLOATS(P, T) \
    CYN_BINARY_FLOAT(CYN_PAIR, P, T) CYN_BINARY_LONG(CYN_PAIR_LONG, P, T) CYN_BINARY_FINITE(CYN_CHANNEL_PAIR, P, T) \
    CYN_AFFINE(P, T) \
    CYN_CHANNELS(P, T, affine, 2, x * y + v)
#define CYN_FLOAT_ENTRIES(P) \
    CYN_BINARY_FLOAT(CYN_ENTRY, P, ) CYN_BINARY_LONG(CYN_ENTRY, P, ) CYN_BINARY_FINITE(CYN_ENTRY_C16, P, ) \
    CYN_ENTRY(P, , , affine, ) CYN_ENTRY_C16(P, , , affine, )
#define CYN_INT_PAIRS(P, T, UT) CYN_BINARY_INT(CYN_PAIR, P, T, UT) CYN_BINARY_DIVIDE(CYN_PAIR_DIVIDE, P, T, UT)
#define CYN_INT_ENTRIES(P) CYN_BINARY_INT(CYN_ENTRY, P, , ) CYN_BINARY_DIVIDE(CYN_ENTRY, P, , )
#define CYN_WRAP_ENTRIES(S, U) CYN_BINARY_WRAP(CYN_ENTRY, U, ) CYN_BINARY_WRAP(CYN_ENTRY_##S, U, )
#define CYN_ENTRY_i8(P, T, TZ, name, value) {"i8_" #name, (size_t)u8_##name},
#define CYN_ENTRY_i16(P, T, TZ, name, value) {"i16_" #name, (size_t)u16_##name},
#define CYN_ENTRY_i32(P, T, TZ, name, value) {"i32_" #name, (size_t)u32_##name},
#define CYN_ENTRY_i64(P, T, TZ, name, value) {"i64_" #name, (size_t)u64_##name},

CYN_FLOATS(f32, float)
CYN_FLOATS(f64, double)
CYN_BINARY_WRAP(CYN_PAIR, u8, uint8_t) CYN_BINARY_WRAP(CYN_PAIR, u16, uint16_t)
CYN_BINARY_WRAP(CYN_PAIR, u32, uint32_t) CYN_BINARY_WRAP(CYN_PAIR, u64, uint64_t)
CYN_INT_PAIRS(i8, int8_t, uint8_t) CYN_INT_PAIRS(u8, uint8_t, uint8_t)
CYN_INT_PAIRS(i16, int16_t, uint16_t) CYN_INT_PAIRS(u16, uint16_t, uint16_t)
CYN_INT_PAIRS(i32, int32_t, uint32_t) CYN_INT_PAIRS(u32, uint32_t, uint32_t)
CYN_INT_PAIRS(i64, int64_t, uint64_t) CYN_INT_PAIRS(u64, uint64_t, uint64_t)
CYN_BINARY_LOGIC(CYN_PAIR, b8, uint8_t)

static const CynKernel cyn_binary_table[] = {
    CYN_FLOAT_ENTRIES(f32)
    CYN_FLOAT_ENTRIES(f64)
    CYN_WRAP_ENTRIES(i8, u8) CYN_WRAP_ENTRIES(i16, u16) CYN_WRAP_ENTRIES(i32, u32) CYN_WRAP_ENTRIES(i64, u64)
    CYN_INT_ENTRIES(i8) CYN_INT_ENTRIES(u8) CYN_INT_ENTRIES(i16) CYN_INT_ENTRIES(u16)
    CYN_INT_ENTRIES(i32) CYN_INT_ENTRIES(u32) CYN_INT_ENTRIES(i64) CYN_INT_ENTRIES(u64)
    CYN_BINARY_LOGIC(CYN_ENTRY, b8, )
    {0, 0}
};
#endif
