/* Kernels made from one loop over contiguous elements, and tables of them. */
#ifndef CYNFER_SPREAD_H
#define CYNFER_SPREAD_H
#include "abi.h"

typedef struct CynKernel { const char *name; size_t address; } CynKernel;

/* y[0:count] from x[0:count]; y may be x. */
typedef void (*CynSpan)(const void *x, void *y, int64_t count, const Args *a);

#define CYN_CHUNK 4096

/* Shares n[0] elements over threads in chunks that depend on nothing else. */
static inline int cyn_spread(CynSpan span, int64_t x_size, int64_t y_size, const Args *a, Ctl *ctl, int tid, int nt) {
    const char *x = (const char *)a->p[0];
    char *y = (char *)a->p[1];
    int64_t size = a->n[0], lo, hi;
    cyn_share((size + CYN_CHUNK - 1) / CYN_CHUNK, tid, nt, &lo, &hi);
    for (int64_t c = lo; c < hi; c++) {
        int64_t at = c * CYN_CHUNK, count = size - at < CYN_CHUNK ? size - at : CYN_CHUNK;
        if ((c - lo) % 4 == 3 && cyn_stop(ctl, tid)) return 0;
        span(x + at * x_size, y + at * y_size, count, a);
    }
    return 0;
}

/* A kernel prefix_name with one statement for each element, which sets y from x. ivdep: y may be x, so the compiler
 * must not guard the loop against overlap. `before` comes ahead of the loop. */
#define CYN_SPAN(prefix, TX, TY, name, before, statement) \
    static void prefix##_##name##_span(const void *xv, void *yv, int64_t count, const Args *a) { \
        const TX *xs = (const TX *)xv; \
        TY *ys = (TY *)yv; \
        before \
        _Pragma("GCC ivdep") \
        for (int64_t i = 0; i < count; i++) { const TX x = xs[i]; TY y; statement; ys[i] = y; } \
    } \
    static int prefix##_##name(const Args *a, Ctl *ctl, int tid, int nt) { \
        return cyn_spread(prefix##_##name##_span, sizeof(TX), sizeof(TY), a, ctl, tid, nt); \
    }
#endif
