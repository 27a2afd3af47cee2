/* Register tiles of the blocked convolution: up to CONV_PIXELS pixels by CONV_BLOCKS blocks of 16 output channels.
 *
 * A tile sums at most 256 products per value (a "K block": some input blocks by some taps) from the bias or zero, and
 * adds the sums of all but the first K block to what is in the output, so that rounding errors stay those of blocked
 * sums. Weights: 512 floats per (input block, tap), [16 in][32 out]; a machine whose tile has one block reads one half
 * of each line pair.
 */
#ifndef CYNFER_CONV_UKR_H
#define CYNFER_CONV_UKR_H
#include "vec_conv.h"
#if VW == 16
#define CONV_PIXELS 14
#define CONV_BLOCKS 2
#elif VW == 8
#define CONV_PIXELS 6
#define CONV_BLOCKS 1
#else
#define CONV_PIXELS 2
#define CONV_BLOCKS 1
#endif

typedef struct ConvTile {
    const int64_t *taps;     /* element offset of each tap of this K block in the input */
    int64_t ntaps, nblocks;  /* taps; input blocks */
    int64_t x_block;         /* floats from one input block to the next */
    int64_t y_block;         /* floats from one output block to the next */
    const float *bias;       /* 32 values for the first K block, NULL for the later ones (which add to the output) */
    int64_t add;             /* floats from the output to the tensor to add */
    int adds, bounds;        /* nonzero: add it; clip to lo, hi */
    float lo, hi;
    int far_output;          /* nonzero: y is in memory or the last cache; prefetch what later tiles will write */
} ConvTile;

/* Prefetches `lines` cache lines from next on with every (input block, tap). */
typedef void (*ConvTileFn)(
    const ConvTile *t, const float *x, const float *w, float *y, const char *next, int64_t lines);

#define CONV_ALL(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13)

/* PLAIN: the input is one plane of single floats per tap (ntaps of them), not blocks of 16. */
static inline __attribute__((always_inline)) void conv_tile(
        const int P, const int B, const int PLAIN, const ConvTile *t, const float *x, const float *w, float *y,
        const char *next, int64_t lines) {
    const int NV = B * 16 / VW;
    const conv_v zero = {0};
    conv_v b_0 = zero, b_1 = zero, b_2 = zero, b_3 = zero;
    if (t->bias) {
        b_0 = *(const conv_u *)t->bias;
        if (NV > 1) b_1 = *(const conv_u *)(t->bias + VW);
        if (NV > 2) { b_2 = *(const conv_u *)(t->bias + 2 * VW); b_3 = *(const conv_u *)(t->bias + 3 * VW); }
    }
#define DECL(i) conv_v a##i = b_0, b##i = b_1, c##i = b_2, d##i = b_3;
    CONV_ALL(DECL)
#undef DECL
    const int64_t o1 = B == 2 && VW == 16 ? t->y_block : VW;   /* from vector 0 of a pixel to vector 1 */
    if (t->far_output) {
        const float *far = y + 6 * P * 16;
        for (int i = 0; i < P * 16; i += 16) {
            __builtin_prefetch(far + i, 0, 2);
            if (B == 2) __builtin_prefetch(far + o1 + i, 0, 2);
        }
    }
    const int64_t *taps = t->taps;
    const int64_t ntaps = t->ntaps;
#define FMA(i) \
    if (i < P) { \
        const conv_v v = SPLAT(xp[i * (PLAIN ? 1 : 16) + k]); \
        a##i += v * w0; \
        if (NV > 1) b##i += v * w1; \
        if (NV > 2) { c##i += v * w2; d##i += v * w3; } \
    }
#define STEP(kk) { \
        const int k = kk; \
        const conv_v w0 = *(const conv_u *)(w + k * 32); \
        const conv_v w1 = NV > 1 ? *(const conv_u *)(w + k * 32 + VW) : zero; \
        const conv_v w2 = NV > 2 ? *(const conv_u *)(w + k * 32 + 2 * VW) : zero; \
        const conv_v w3 = NV > 3 ? *(const conv_u *)(w + k * 32 + 3 * VW) : zero; \
        CONV_ALL(FMA) }
    if (PLAIN) {
        for (int64_t tap = 0; tap < ntaps; tap++) {
            const float *xp = x + taps[tap];
            STEP(0)
            w += 32;
        }
    } else {
        for (int64_t block = t->nblocks; block > 0; block--, x += t->x_block) {
            for (int64_t tap = 0; tap < ntaps; tap++) {
                const float *xp = x + taps[tap];
                const float *end = xp + 16;
                for (int64_t i = 0; i < lines; i++, next += 64) __builtin_prefetch(next, 0, 2);
                do {
                    STEP(0) STEP(1) STEP(2) STEP(3)
                    xp += 4;
                    w += 128;
                } while (xp != end);
            }
        }
    }
#undef STEP
#undef FMA
#define AT(i, j) ((conv_u *)(yy + i * 16 + (j == 0 ? 0 : j == 1 ? o1 : j * VW)))
#define LOAD(i) \
    if (i < P) { \
        a##i += *AT(i, 0); \
        if (NV > 1) b##i += *AT(i, 1); \
        if (NV > 2) { c##i += *AT(i, 2); d##i += *AT(i, 3); } \
    }
    if (!t->bias) {
        const float *yy = y;
        CONV_ALL(LOAD)
    }
    if (t->adds) {
        const float *yy = y + t->add;
        CONV_ALL(LOAD)
    }
#undef LOAD
    if (t->bounds) {
        const conv_v lo = SPLAT(t->lo), hi = SPLAT(t->hi);
#define BOUND(i) \
    if (i < P) { \
        a##i = VMIN(hi, VMAX(lo, a##i)); \
        if (NV > 1) b##i = VMIN(hi, VMAX(lo, b##i)); \
        if (NV > 2) { c##i = VMIN(hi, VMAX(lo, c##i)); d##i = VMIN(hi, VMAX(lo, d##i)); } \
    }
        CONV_ALL(BOUND)
#undef BOUND
    }
    float *yy = y;
#define STORE(i) \
    if (i < P) { \
        *AT(i, 0) = a##i; \
        if (NV > 1) *AT(i, 1) = b##i; \
        if (NV > 2) { *AT(i, 2) = c##i; *AT(i, 3) = d##i; } \
    }
    CONV_ALL(STORE)
#undef STORE
#undef AT
}

#define TILE(P, B, KIND, PLAIN) \
    static __attribute__((noinline)) void KIND##_##P##x##B( \
            const ConvTile *t, const float *x, const float *w, float *y, const char *next, int64_t lines) { \
        conv_tile(P, B, PLAIN, t, x, w, y, next, lines); \
    }
#if CONV_PIXELS == 14
#define TILES(B, K, PLAIN) \
    TILE(1, B, K, PLAIN) TILE(2, B, K, PLAIN) TILE(3, B, K, PLAIN) TILE(4, B, K, PLAIN) TILE(5, B, K, PLAIN) \
    TILE(6, B, K, PLAIN) TILE(7, B, K, PLAIN) TILE(8, B, K, PLAIN) TILE(9, B, K, PLAIN) TILE(10, B, K, PLAIN) \
    TILE(11, B, K, PLAIN) TILE(12, B, K, PLAIN) TILE(13, B, K, PLAIN) TILE(14, B, K, PLAIN) \
    static const ConvTileFn K##_##B[15] = {NULL, K##_1x##B, K##_2x##B, K##_3x##B, K##_4x##B, K##_5x##B, K##_6x##B, \
        K##_7x##B, K##_8x##B, K##_9x##B, K##_10x##B, K##_11x##B, K##_12x##B, K##_13x##B, K##_14x##B};
#elif CONV_PIXELS == 6
#define TILES(B, K, PLAIN) \
    TILE(1, B, K, PLAIN) TILE(2, B, K, PLAIN) TILE(3, B, K, PLAIN) TILE(4, B, K, PLAIN) TILE(5, B, K, PLAIN) \
    TILE(6, B, K, PLAIN) \
    static const ConvTileFn K##_##B[7] = {NULL, K##_1x##B, K##_2x##B, K##_3x##B, K##_4x##B, K##_5x##B, K##_6x##B};
#else
#define TILES(B, K, PLAIN) \
    TILE(1, B, K, PLAIN) TILE(2, B, K, PLAIN) \
    static const ConvTileFn K##_##B[3] = {NULL, K##_1x##B, K##_2x##B};
#endif
#ifdef CONV_STEM
TILES(1, stem_tiles, 1)
#if CONV_BLOCKS == 2
TILES(2, stem_tiles, 1)
#else
#define stem_tiles_2 stem_tiles_1
#endif
#else
TILES(1, conv_tiles, 0)
#if CONV_BLOCKS == 2
TILES(2, conv_tiles, 0)
#else
#define conv_tiles_2 conv_tiles_1
#endif
#endif

/* n pixels of 16 floats, every step-th one, to consecutive places. */
static inline void conv_take(float *to, const float *from, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 16; j += VW) *(conv_u *)(to + i * 16 + j) = *(const conv_u *)(from + i * step * 16 + j);
}

static inline void conv_zero(float *to, int64_t n) {
    const conv_u zero = {0};
    for (int64_t i = 0; i < n * 16; i += VW) *(conv_u *)(to + i) = zero;
}
#endif
