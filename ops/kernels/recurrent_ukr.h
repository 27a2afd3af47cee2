/* The element-wise part of one time step of a recurrent cell, for n neighbouring columns of one row.
 *
 * x: products with the input, gate g at x + g * hidden. s: products with the state, gate g at s + g * pitch.
 * b: biases, gate g at b + g * hidden. */
#ifndef CYNFER_RECURRENT_UKR_H
#define CYNFER_RECURRENT_UKR_H
#include "vmath.h"

#define CYN_CELLS(T, t) \
/* Gates i, o, f, g; p: peepholes i, o, f or NULL; coupled: f = 1 - i. c is updated, h written. */ \
static __attribute__((noinline)) void cyn_lstm_cell_##t(int64_t n, const T *restrict x, int64_t hidden, \
        const T *restrict s, int64_t pitch, const T *restrict b, const T *restrict p, int coupled, T *restrict c, \
        T *restrict h) { \
    const T *xo = x + hidden, *xf = xo + hidden, *xg = xf + hidden, *bo = b + hidden, *bf = bo + hidden; \
    const T *bg = bf + hidden, *so = s + pitch, *sf = so + pitch, *sg = sf + pitch; \
    if (p == NULL && !coupled) { \
        for (int64_t j = 0; j < n; j++) { \
            T i = cyn_sigmoid_##t(x[j] + s[j] + b[j]), f = cyn_sigmoid_##t(xf[j] + sf[j] + bf[j]); \
            T v = f * c[j] + i * cyn_tanh_##t(xg[j] + sg[j] + bg[j]); \
            c[j] = v; \
            h[j] = cyn_sigmoid_##t(xo[j] + so[j] + bo[j]) * cyn_tanh_##t(v); \
        } \
        return; \
    } \
    for (int64_t j = 0; j < n; j++) { \
        T pi = p ? p[j] : 0, po = p ? p[hidden + j] : 0, pf = p ? p[2 * hidden + j] : 0; \
        T i = cyn_sigmoid_##t(x[j] + s[j] + b[j] + pi * c[j]); \
        T f = coupled ? 1 - i : cyn_sigmoid_##t(xf[j] + sf[j] + bf[j] + pf * c[j]); \
        T v = f * c[j] + i * cyn_tanh_##t(xg[j] + sg[j] + bg[j]); \
        c[j] = v; \
        h[j] = cyn_sigmoid_##t(xo[j] + so[j] + bo[j] + po * v) * cyn_tanh_##t(v); \
    } \
} \
/* One gate. */ \
static __attribute__((noinline)) void cyn_rnn_cell_##t(int64_t n, const T *restrict x, const T *restrict s, \
        const T *restrict b, int relu, T *restrict h) { \
    if (relu) \
        for (int64_t j = 0; j < n; j++) { T v = x[j] + s[j] + b[j]; h[j] = v < 0 ? 0 : v; } \
    else \
        for (int64_t j = 0; j < n; j++) h[j] = cyn_tanh_##t(x[j] + s[j] + b[j]); \
} \
/* Gates z, r of a cell that resets before the product: z and r times the state. */ \
static __attribute__((noinline)) void cyn_gru_gates_##t(int64_t n, const T *restrict x, int64_t hidden, \
        const T *restrict s, int64_t pitch, const T *restrict b, const T *restrict old, T *restrict z, \
        T *restrict rh) { \
    for (int64_t j = 0; j < n; j++) { \
        z[j] = cyn_sigmoid_##t(x[j] + s[j] + b[j]); \
        rh[j] = cyn_sigmoid_##t(x[hidden + j] + s[pitch + j] + b[hidden + j]) * old[j]; \
    } \
} \
/* ... and its candidate (x, s and b of the third gate). */ \
static __attribute__((noinline)) void cyn_gru_end_##t(int64_t n, const T *restrict x, const T *restrict s, \
        const T *restrict b, const T *restrict rb, const T *restrict z, const T *restrict old, T *restrict h) { \
    for (int64_t j = 0; j < n; j++) \
        h[j] = (1 - z[j]) * cyn_tanh_##t(x[j] + s[j] + b[j] + rb[j]) + z[j] * old[j]; \
} \
/* All gates of a cell that resets after the product; rb: the state's bias of the third gate. */ \
static __attribute__((noinline)) void cyn_gru_cell_##t(int64_t n, const T *restrict x, int64_t hidden, \
        const T *restrict s, int64_t pitch, const T *restrict b, const T *restrict rb, const T *restrict old, \
        T *restrict h) { \
    const T *xr = x + hidden, *xh = xr + hidden, *br = b + hidden, *bh = br + hidden; \
    const T *sr = s + pitch, *sh = sr + pitch; \
    for (int64_t j = 0; j < n; j++) { \
        T z = cyn_sigmoid_##t(x[j] + s[j] + b[j]), r = cyn_sigmoid_##t(xr[j] + sr[j] + br[j]); \
        h[j] = (1 - z) * cyn_tanh_##t(xh[j] + bh[j] + r * (sh[j] + rb[j])) + z * old[j]; \
    } \
}
CYN_CELLS(float, f32)
CYN_CELLS(double, f64)
#endif
