/* Linear quantisation of a row: round half to even, saturate, NaN becomes the zero point. */
#ifndef CYNFER_QUANT_UKR_H
#define CYNFER_QUANT_UKR_H
#include <math.h>
#include <stdint.h>

/* The float is clamped before it becomes an integer; 2^17 exceeds every 16-bit value and zero point together. */
#define QUANT_ONE(y, x, s, z, low, high) do { \
    float q = (x) / (s); \
    int32_t i; \
    q = q != q ? 0.0f : q; \
    q = q > 131072.0f ? 131072.0f : q; \
    q = q < -131072.0f ? -131072.0f : q; \
    i = (int32_t)rintf(q) + (z); \
    i = i > (high) ? (high) : i; \
    (y) = i < (low) ? (low) : i; \
} while (0)

#define QUANT_TYPE(T, t, low, high) \
static inline void quantize_row_##t(const float *x, T *y, int64_t n, float s, int32_t z) { \
    for (int64_t j = 0; j < n; j++) QUANT_ONE(y[j], x[j], s, z, low, high); \
} \
static inline void quantize_columns_##t(const float *x, T *y, int64_t n, const float *s, const T *z) { \
    if (z) for (int64_t j = 0; j < n; j++) QUANT_ONE(y[j], x[j], s[j], z[j], low, high); \
    else for (int64_t j = 0; j < n; j++) QUANT_ONE(y[j], x[j], s[j], 0, low, high); \
}
QUANT_TYPE(int8_t, i8, -128, 127)
QUANT_TYPE(uint8_t, u8, 0, 255)
QUANT_TYPE(int16_t, i16, -32768, 32767)
QUANT_TYPE(uint16_t, u16, 0, 65535)
#endif
