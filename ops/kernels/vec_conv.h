/* Vectors of the widest registers of the build, for the convolution tiles. */
#ifndef CYNFER_VEC_CONV_H
#define CYNFER_VEC_CONV_H
#include "epilogue.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VW 16
typedef float conv_v __attribute__((vector_size(64)));
#define VMAX(a, b) ((conv_v)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define VMIN(a, b) ((conv_v)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define SPLAT(s) ((conv_v)_mm512_set1_ps(s))
#elif defined(__AVX2__)
#define VW 8
typedef float conv_v __attribute__((vector_size(32)));
#define VMAX(a, b) ((conv_v)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define VMIN(a, b) ((conv_v)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define SPLAT(s) ((conv_v)_mm256_set1_ps(s))
#else
#define VW 4
typedef float conv_v __attribute__((vector_size(16)));
#if defined(__x86_64__)
#define VMAX(a, b) ((conv_v)_mm_max_ps((__m128)(a), (__m128)(b)))
#define VMIN(a, b) ((conv_v)_mm_min_ps((__m128)(a), (__m128)(b)))
#else
typedef int32_t conv_i __attribute__((vector_size(16)));
static inline conv_v conv_select(conv_i m, conv_v a, conv_v b) { return (conv_v)((m & (conv_i)a) | (~m & (conv_i)b)); }
#define VMAX(a, b) conv_select((a) > (b), a, b)
#define VMIN(a, b) conv_select((a) < (b), a, b)
#endif
#define SPLAT(s) ((conv_v){(s), (s), (s), (s)})
#endif
/* VMAX(bound, x) and VMIN(bound, x) keep a NaN in x; with the operands swapped they would swallow it. */

typedef float conv_u __attribute__((vector_size(VW * 4), aligned(4)));   /* in memory: need not be aligned */
#endif
