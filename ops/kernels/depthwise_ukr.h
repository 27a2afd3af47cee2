/* Register tiles of the depthwise convolution: P neighbouring pixels of one output row and one block of 16 channels. */
#ifndef CYNFER_DEPTHWISE_UKR_H
#define CYNFER_DEPTHWISE_UKR_H
#include "vec_conv.h"

#define DW_PIXELS 8

typedef struct DwTile {
    int64_t IH, IW, KH, KW, SW, DH, DW;
    const float *w;          /* [KH][KW][16] */
    const float *bias;       /* 16 values */
    int64_t add;             /* floats from the output to the tensor to add */
    int adds, bounds;        /* nonzero: add it; clip to lo, hi */
    float lo, hi;
} DwTile;

/* x: one plane. (row, col): the input position that tap (0, 0) of the first pixel meets; may lie outside. */
typedef void (*DwTileFn)(const DwTile *t, const float *x, float *y, int64_t row, int64_t col);

static const float dw_zeros[16] __attribute__((aligned(64))) = {0};

static inline __attribute__((always_inline)) void dw_finish(const DwTile *t, conv_v v, float *y) {
    if (t->adds) v += *(const conv_u *)(y + t->add);
    if (t->bounds) v = VMIN(SPLAT(t->hi), VMAX(SPLAT(t->lo), v));
    *(conv_u *)y = v;
}

/* Constant kernel width K, stride S, dilation 1. INSIDE: no column of the tile lies outside of the input. Each input
 * vector of a row is read once and meets every tap that it serves. */
static inline __attribute__((always_inline)) void dw_tile(
        const int P, const int K, const int S, const int INSIDE,
        const DwTile *t, const float *x, float *y, int64_t row, int64_t col) {
    const int64_t k0 = row < 0 ? (-row + t->DH - 1) / t->DH : 0;
    const int64_t k1 = row + (t->KH - 1) * t->DH < t->IH ? t->KH : (t->IH - row + t->DH - 1) / t->DH;
    for (int lane = 0; lane < 16; lane += VW) {
        conv_v a0 = *(const conv_u *)(t->bias + lane);
        conv_v a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
        for (int64_t k = k0; k < k1; k++) {
            const float *in = x + ((row + k * t->DH) * t->IW + col) * 16 + lane;
            const float *w = t->w + k * K * 16 + lane;
            const conv_v w0 = *(const conv_u *)w, w1 = *(const conv_u *)(w + 16), w2 = *(const conv_u *)(w + 32);
            const conv_v w3 = K > 3 ? *(const conv_u *)(w + 48) : w0, w4 = K > 3 ? *(const conv_u *)(w + 64) : w0;
#define TAP(i, k) if (i < P && j - i * S == k && k < K) a##i += v * w##k;
#define TAPS(i) TAP(i, 0) TAP(i, 1) TAP(i, 2) TAP(i, 3) TAP(i, 4)
#define COLUMN(jj) \
    if (jj < (P - 1) * S + K) { \
        const int j = jj; \
        const conv_v v = *(const conv_u *)(INSIDE || (uint64_t)(col + j) < (uint64_t)t->IW ? in + j * 16 : dw_zeros); \
        TAPS(0) TAPS(1) TAPS(2) TAPS(3) TAPS(4) TAPS(5) TAPS(6) TAPS(7) \
    }
            COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4) COLUMN(5) COLUMN(6) COLUMN(7) COLUMN(8) COLUMN(9)
            COLUMN(10) COLUMN(11) COLUMN(12) COLUMN(13) COLUMN(14) COLUMN(15) COLUMN(16) COLUMN(17) COLUMN(18)
#undef COLUMN
#undef TAPS
#undef TAP
        }
        float *out = y + lane;
#define PUT(i) if (i < P) dw_finish(t, a##i, out + i * 16);
        PUT(0) PUT(1) PUT(2) PUT(3) PUT(4) PUT(5) PUT(6) PUT(7)
#undef PUT
    }
}

/* Any kernel, stride and dilation; one pixel. Sums are flushed about every 256 products. */
static void dw_any(const DwTile *t, const float *x, float *y, int64_t row, int64_t col) {
    const int64_t k0 = row < 0 ? (-row + t->DH - 1) / t->DH : 0;
    const int64_t k1 = row + (t->KH - 1) * t->DH < t->IH ? t->KH : (t->IH - row + t->DH - 1) / t->DH;
    const int64_t j0 = col < 0 ? (-col + t->DW - 1) / t->DW : 0;
    const int64_t j1 = col + (t->KW - 1) * t->DW < t->IW ? t->KW : (t->IW - col + t->DW - 1) / t->DW;
    for (int lane = 0; lane < 16; lane += VW) {
        conv_v total = *(const conv_u *)(t->bias + lane), even = {0}, odd = {0};
        int64_t count = 0;
        for (int64_t k = k0; k < k1; k++) {
            const float *in = x + ((row + k * t->DH) * t->IW + col) * 16 + lane, *w = t->w + k * t->KW * 16 + lane;
            for (int64_t j = j0; j < j1; j++) {
                const conv_v product = *(const conv_u *)(in + j * t->DW * 16) * *(const conv_u *)(w + j * 16);
                if (j & 1) odd += product; else even += product;
                if (++count == 256) {
                    total += even + odd;
                    even = odd = (conv_v){0};
                    count = 0;
                }
            }
        }
        dw_finish(t, total + (even + odd), y + lane);
    }
}

#define TILE(P, K, S, INSIDE) \
    static __attribute__((noinline)) void dw_##P##_##K##_##S##_##INSIDE( \
            const DwTile *t, const float *x, float *y, int64_t row, int64_t col) { \
        dw_tile(P, K, S, INSIDE, t, x, y, row, col); \
    }
#define TILES(K, S, I) \
    TILE(1, K, S, I) TILE(2, K, S, I) TILE(3, K, S, I) TILE(4, K, S, I) TILE(5, K, S, I) TILE(6, K, S, I) \
    TILE(7, K, S, I) TILE(8, K, S, I) \
    static const DwTileFn dw_tiles_##K##_##S##_##I[DW_PIXELS + 1] = {NULL, dw_1_##K##_##S##_##I, dw_2_##K##_##S##_##I, \
        dw_3_##K##_##S##_##I, dw_4_##K##_##S##_##I, dw_5_##K##_##S##_##I, dw_6_##K##_##S##_##I, \
        dw_7_##K##_##S##_##I, dw_8_##K##_##S##_##I};
TILES(3, 1, 0) TILES(3, 1, 1) TILES(3, 2, 0) TILES(3, 2, 1) TILES(5, 1, 0) TILES(5, 1, 1) TILES(5, 2, 0) TILES(5, 2, 1)

/* The tiles for this width, stride and dilation, or NULL if only dw_any fits. */
static inline const DwTileFn *dw_tiles(int64_t K, int64_t S, int64_t D, int inside) {
    if (D != 1) return NULL;
    if (K == 3 && S == 1) return inside ? dw_tiles_3_1_1 : dw_tiles_3_1_0;
    if (K == 3 && S == 2) return inside ? dw_tiles_3_2_1 : dw_tiles_3_2_0;
    if (K == 5 && S == 1) return inside ? dw_tiles_5_1_1 : dw_tiles_5_1_0;
    if (K == 5 && S == 2) return inside ? dw_tiles_5_2_1 : dw_tiles_5_2_0;
    return NULL;
}
#endif
