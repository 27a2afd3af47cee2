/* Epilogue lists: element-wise steps applied to a tile of sums while it is in the cache.
 *
 * In Args: n[at] = count, then (kind, operand) per step; operand = index into p of the step's tensor or vector, or -1.
 * f[f_at + 2 i], f[f_at + 2 i + 1] = the two scalars of step i (unused ones are not read).
 *   kind          meaning                       scalars        operand
 *   RELU          max(x, 0), NaN stays          -              -
 *   CLIP          min(max(x, lo), hi), NaN stays lo, hi        -
 *   LEAKY         x < 0 ? alpha x : x           alpha          -
 *   SIGMOID TANH HARDSWISH SILU GELU (erf)      -              -
 *   HARDSIGMOID   min(max(alpha x + beta,0),1)  alpha, beta    -
 *   ELU           x < 0 ? alpha (e^x - 1) : x   alpha          -
 *   ADD MUL       with a tensor                 -              shape and layout of the output
 *   ADD_CHANNEL MUL_CHANNEL  with a vector      -              one value per channel (padded as the layout is)
 *   ADD_SCALAR MUL_SCALAR                       value          -
 */
#ifndef CYNFER_EPILOGUE_H
#define CYNFER_EPILOGUE_H
#include <math.h>
#include "abi.h"
#include "vmath.h"

enum {
    CYN_RELU = 1, CYN_CLIP, CYN_LEAKY, CYN_SIGMOID, CYN_TANH, CYN_HARDSIGMOID, CYN_HARDSWISH, CYN_SILU, CYN_ELU,
    CYN_GELU, CYN_ADD, CYN_MUL, CYN_ADD_CHANNEL, CYN_MUL_CHANNEL, CYN_ADD_SCALAR, CYN_MUL_SCALAR
};

typedef struct CynEpilogue {
    int64_t count;
    const int64_t *steps;   /* (kind, operand) pairs */
    const double *f;        /* two scalars per step */
    void *const *p;
} CynEpilogue;

static inline CynEpilogue cyn_epilogue(const Args *a, int64_t n_at, int64_t f_at) {
    CynEpilogue e = { a->n[n_at], a->n + n_at + 1, a->f + f_at, a->p };
    return e;
}

/* The list without its first `skip` steps (those that a kernel did in registers). */
static inline CynEpilogue cyn_epilogue_after(CynEpilogue e, int64_t skip) {
    e.count -= skip; e.steps += 2 * skip; e.f += 2 * skip;
    return e;
}

static inline float cyn_epi_silu_f32(float x) { return cyn_swish_f32(x, 1.0f); }
#define CYN_EPI_EXPM1_f32 cyn_expm1_f32
#define CYN_EPI_TANH_f32 cyn_tanh_f32
#define CYN_EPI_GELU_f32 cyn_gelu_f32
#define CYN_EPI_SIGMOID_f32 cyn_sigmoid_f32
#define CYN_EPI_SILU_f32 cyn_epi_silu_f32
static inline double cyn_epi_sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }
static inline double cyn_epi_silu_f64(double x) { return x / (1.0 + exp(-x)); }
static inline double cyn_epi_gelu_f64(double x) { return 0.5 * x * erfc(x * -0.70710678118654752440); }
#define CYN_EPI_EXPM1_f64 expm1
#define CYN_EPI_TANH_f64 tanh
#define CYN_EPI_GELU_f64 cyn_epi_gelu_f64
#define CYN_EPI_SIGMOID_f64 cyn_epi_sigmoid_f64
#define CYN_EPI_SILU_f64 cyn_epi_silu_f64

#define CYN_EPI_T float
#define CYN_EPI_(name) name##_f32
#include "epilogue.h"
#undef CYN_EPI_T
#undef CYN_EPI_
#define CYN_EPI_T double
#define CYN_EPI_(name) name##_f64
#include "epilogue.h"
#undef CYN_EPI_T
#undef CYN_EPI_
#endif

#ifdef CYN_EPI_T
#define T CYN_EPI_T
/* Runs the list over rows x cols values at y (row pitch ld). Element (r, c) meets element at + r * at_ld + c of tensor
 * operands, and channel vectors at channel + (channel_is_row ? r : c). */
static __attribute__((noinline)) void CYN_EPI_(cyn_epilogue_rows)(
        const CynEpilogue *e, T *y, int64_t ld, int64_t rows, int64_t cols,
        int64_t at, int64_t at_ld, int64_t channel, int channel_is_row) {
    for (int64_t s = 0; s < e->count; s++) {
        const int64_t kind = e->steps[2 * s], operand = e->steps[2 * s + 1];
        const T u = (T)(kind == CYN_CLIP || kind == CYN_LEAKY || kind == CYN_ELU || kind == CYN_HARDSIGMOID
                        || kind == CYN_ADD_SCALAR || kind == CYN_MUL_SCALAR ? e->f[2 * s] : 0);
        const T v = (T)(kind == CYN_CLIP || kind == CYN_HARDSIGMOID ? e->f[2 * s + 1] : 0);
        const T *z = operand >= 0 && kind >= CYN_ADD && kind <= CYN_MUL_CHANNEL ? (const T *)e->p[operand] : NULL;
        for (int64_t r = 0; r < rows; r++) {
            T *row = y + r * ld;
            const T *tensor = z + at + r * at_ld, *vector = z + channel;
#define EACH(value) do { for (int64_t c = 0; c < cols; c++) { const T x = row[c]; row[c] = (value); } } while (0)
            switch (kind) {
            case CYN_RELU: EACH(x < 0 ? 0 : x); break;
            case CYN_CLIP: EACH((x < u ? u : x) > v ? v : (x < u ? u : x)); break;
            case CYN_LEAKY: EACH(x < 0 ? u * x : x); break;
            case CYN_SIGMOID: EACH(CYN_EPI_(CYN_EPI_SIGMOID)(x)); break;
            case CYN_TANH: EACH(CYN_EPI_(CYN_EPI_TANH)(x)); break;
            case CYN_HARDSIGMOID:
                EACH((u * x + v < 0 ? 0 : u * x + v) > 1 ? 1 : (u * x + v < 0 ? 0 : u * x + v));
                break;
            case CYN_HARDSWISH: {
                const T sixth = (T)(1.0 / 6.0), half = (T)0.5;
                EACH(x * ((sixth * x + half < 0 ? 0 : sixth * x + half) > 1 ? 1
                          : (sixth * x + half < 0 ? 0 : sixth * x + half)));
                break;
            }
            case CYN_SILU: EACH(CYN_EPI_(CYN_EPI_SILU)(x)); break;
            case CYN_ELU: EACH(x < 0 ? u * CYN_EPI_(CYN_EPI_EXPM1)(x < 0 ? x : 0) : x); break;
            case CYN_GELU: EACH(CYN_EPI_(CYN_EPI_GELU)(x)); break;
            case CYN_ADD: EACH(x + tensor[c]); break;
            case CYN_MUL: EACH(x * tensor[c]); break;
            case CYN_ADD_CHANNEL: if (channel_is_row) EACH(x + vector[r]); else EACH(x + vector[c]); break;
            case CYN_MUL_CHANNEL: if (channel_is_row) EACH(x * vector[r]); else EACH(x * vector[c]); break;
            case CYN_ADD_SCALAR: EACH(x + u); break;
            case CYN_MUL_SCALAR: EACH(x * u); break;
            default: break;
            }
#undef EACH
        }
    }
}
#undef T
#endif
