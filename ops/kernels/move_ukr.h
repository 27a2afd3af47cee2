/* Strided copies of items of 1 to 64 bytes, and transposes of small tiles. Nothing needs to be aligned. */
#ifndef CYNFER_MOVE_UKR_H
#define CYNFER_MOVE_UKR_H
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

static inline void copy_run(char *y, const char *x, int64_t bytes) {
    switch (bytes) {
    case 1: *y = *x; return;
    case 2: memcpy(y, x, 2); return;
    case 4: memcpy(y, x, 4); return;
    case 8: memcpy(y, x, 8); return;
    case 16: memcpy(y, x, 16); return;
    case 64: memcpy(y, x, 64); return;
    default: memcpy(y, x, (size_t)bytes);
    }
}

#define MOVE_ITEMS(B) \
static inline void copy_strided_##B(const char *x, int64_t xs, char *y, int64_t ys, int64_t count) { \
    if (xs == 0 && ys == B) { \
        char v[B]; \
        memcpy(v, x, B); \
        for (int64_t i = 0; i < count; i++) memcpy(y + i * B, v, B); \
    } else if (xs == B) { \
        for (int64_t i = 0; i < count; i++) memcpy(y + i * ys, x + i * B, B); \
    } else if (xs == 2 * B && ys == B) { \
        for (int64_t i = 0; i < count; i++) memcpy(y + i * B, x + i * 2 * B, B); \
    } else { \
        for (int64_t i = 0; i < count; i++) memcpy(y + i * ys, x + i * xs, B); \
    } \
} \
/* y[r][c] = x[c][r]; xs and ys are the distances of the rows of x and y. */ \
static inline void transpose_plain_##B(const char *x, int64_t xs, char *y, int64_t ys, int64_t rows, int64_t cols) { \
    for (int64_t r = 0; r < rows; r++) \
        for (int64_t c = 0; c < cols; c++) memcpy(y + r * ys + c * B, x + c * xs + r * B, B); \
}
MOVE_ITEMS(1)
MOVE_ITEMS(2)
MOVE_ITEMS(4)
MOVE_ITEMS(8)
MOVE_ITEMS(16)
MOVE_ITEMS(64)

static inline void copy_strided(int64_t item, const char *x, int64_t xs, char *y, int64_t ys, int64_t count) {
    switch (item) {
    case 1: copy_strided_1(x, xs, y, ys, count); return;
    case 2: copy_strided_2(x, xs, y, ys, count); return;
    case 4: copy_strided_4(x, xs, y, ys, count); return;
    case 8: copy_strided_8(x, xs, y, ys, count); return;
    case 16: copy_strided_16(x, xs, y, ys, count); return;
    case 64: copy_strided_64(x, xs, y, ys, count); return;
    default: for (int64_t i = 0; i < count; i++) memcpy(y + i * ys, x + i * xs, (size_t)item);
    }
}

/* N x N squares in registers: pairs of lanes change places at distance 1, 2, 4 ... */
#if defined(__AVX__)
static inline void transpose_square_4(const char *x, int64_t xs, char *y, int64_t ys) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps((const float *)(x + i * xs));
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        a[4 * i] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0x44);
        a[4 * i + 1] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0xee);
        a[4 * i + 2] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0x44);
        a[4 * i + 3] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(y + i * ys), _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps((float *)(y + (i + 4) * ys), _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}
static inline void transpose_square_8(const char *x, int64_t xs, char *y, int64_t ys) {
    __m256d a[4], b[4];
    for (int i = 0; i < 4; i++) a[i] = _mm256_loadu_pd((const double *)(x + i * xs));
    for (int i = 0; i < 2; i++) {
        b[2 * i] = _mm256_unpacklo_pd(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm256_unpackhi_pd(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        _mm256_storeu_pd((double *)(y + i * ys), _mm256_permute2f128_pd(b[i], b[i + 2], 0x20));
        _mm256_storeu_pd((double *)(y + (i + 2) * ys), _mm256_permute2f128_pd(b[i], b[i + 2], 0x31));
    }
}
#define MOVE_SQUARE_4 8
#define MOVE_SQUARE_8 4
#elif defined(__SSE2__)
static inline void transpose_square_4(const char *x, int64_t xs, char *y, int64_t ys) {
    __m128 a[4];
    for (int i = 0; i < 4; i++) a[i] = _mm_loadu_ps((const float *)(x + i * xs));
    _MM_TRANSPOSE4_PS(a[0], a[1], a[2], a[3]);
    for (int i = 0; i < 4; i++) _mm_storeu_ps((float *)(y + i * ys), a[i]);
}
#define MOVE_SQUARE_4 4
#endif
#if defined(__SSE2__)
static inline void transpose_square_2(const char *x, int64_t xs, char *y, int64_t ys) {
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)(x + i * xs));
    for (int i = 0; i < 4; i++) {
        b[i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[i + 4] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 2; i++) {
            a[4 * h + i] = _mm_unpacklo_epi16(b[4 * h + i], b[4 * h + i + 2]);
            a[4 * h + i + 2] = _mm_unpackhi_epi16(b[4 * h + i], b[4 * h + i + 2]);
        }
    for (int h = 0; h < 4; h++) {
        _mm_storeu_si128((__m128i *)(y + 2 * h * ys), _mm_unpacklo_epi16(a[2 * h], a[2 * h + 1]));
        _mm_storeu_si128((__m128i *)(y + (2 * h + 1) * ys), _mm_unpackhi_epi16(a[2 * h], a[2 * h + 1]));
    }
}
#define MOVE_SQUARE_2 8
#endif

#define MOVE_TILE(B, N) \
static inline void transpose_tile_##B(const char *x, int64_t xs, char *y, int64_t ys, int64_t rows, int64_t cols) { \
    int64_t r = 0, c, full = cols / N * N; \
    for (; r + N <= rows; r += N) \
        for (c = 0; c < full; c += N) transpose_square_##B(x + c * xs + r * B, xs, y + r * ys + c * B, ys); \
    transpose_plain_##B(x + full * xs, xs, y + full * B, ys, r, cols - full); \
    transpose_plain_##B(x + r * B, xs, y + r * ys, ys, rows - r, cols); \
}
#ifdef MOVE_SQUARE_2
MOVE_TILE(2, MOVE_SQUARE_2)
#else
#define transpose_tile_2 transpose_plain_2
#endif
#ifdef MOVE_SQUARE_4
MOVE_TILE(4, MOVE_SQUARE_4)
#else
#define transpose_tile_4 transpose_plain_4
#endif
#ifdef MOVE_SQUARE_8
MOVE_TILE(8, MOVE_SQUARE_8)
#else
#define transpose_tile_8 transpose_plain_8
#endif

static inline void transpose_tile(int64_t item, const char *x, int64_t xs, char *y, int64_t ys, int64_t rows,
                                  int64_t cols) {
    switch (item) {
    case 1: transpose_plain_1(x, xs, y, ys, rows, cols); return;
    case 2: transpose_tile_2(x, xs, y, ys, rows, cols); return;
    case 4: transpose_tile_4(x, xs, y, ys, rows, cols); return;
    case 8: transpose_tile_8(x, xs, y, ys, rows, cols); return;
    default: transpose_plain_16(x, xs, y, ys, rows, cols);
    }
}
#endif
