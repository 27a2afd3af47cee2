/* Register tiles for one element type; included by gemm_ukr.h with CYN_T (the type) and CYN_S (its suffix) set.
 *
 * A tile is up to CYN_MR rows by two vectors of columns. Sums start from zero and run over k in order, one chain per
 * element (or CYN_CHAINS chains for one and two rows), so an element's bits do not depend on the tile's row count
 * beyond that choice. Named accumulators: gcc 12 spills an array of them.
 */
#define CYN_CAT_(a, b) a##_##b
#define CYN_CAT(a, b) CYN_CAT_(a, b)
#define CYN_N(name) CYN_CAT(name, CYN_S)
#define VEC CYN_N(cyn_vec)
#define QUAD CYN_N(cyn_quad)
#define VL ((int64_t)(CYN_VB / sizeof(CYN_T)))
#define NR ((int64_t)(128 / sizeof(CYN_T)))

typedef CYN_T VEC __attribute__((vector_size(CYN_VB), aligned(4), may_alias));
typedef CYN_T QUAD __attribute__((vector_size(4 * sizeof(CYN_T)), aligned(4), may_alias));
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)

#define DECL(i, p, j) VEC x##i = {0}, y##i = {0};
#define STEP(i, p, j) { CYN_T t = p[j * lda]; x##i += t * b0; y##i += t * b1; }
#define PUT(i, p, j) *(VEC *)(c + i * NR) = x##i; *(VEC *)(c + i * NR + VL) = y##i;
#define ADD(i, p, j) *(VEC *)(c + i * NR) += x##i; *(VEC *)(c + i * NR + VL) += y##i;

#define DECL1(i, p, j) VEC x##i = {0};
#define STEP1(i, p, j) x##i += p[j * lda] * b0;
#define PUT1(i, p, j) *(VEC *)(c + i * NR) = x##i;
#define ADD1(i, p, j) *(VEC *)(c + i * NR) += x##i;

/* NEXT sets q to row k of B: the panel's, or for tiles read in place the one at b + at[k]. */
#define TILE(name, rows, ROWS, NEXT, DECL, STEP, PUT, ADD) \
static __attribute__((noinline)) void CYN_N(name##rows)(int64_t kc, const CYN_T *p0, int64_t lda, const CYN_T *b, \
                                                       const int64_t *at, CYN_T *c, int add) { \
    const CYN_T *p1 = p0 + 3 * lda, *p2 = p0 + 6 * lda, *p3 = p0 + 9 * lda, *p4 = p0 + 12 * lda; \
    (void)p1; (void)p2; (void)p3; (void)p4; \
    ROWS(DECL) \
    for (int64_t k = 0; k < kc; k++) { \
        NEXT \
        VEC b0 = *(const VEC *)q, b1 = *(const VEC *)(q + VL); \
        (void)b1; \
        ROWS(STEP) \
        p0++; p1++; p2++; p3++; p4++; \
        CYN_KEEP(p0, p1, p2, p3, p4); \
    } \
    if (add) { ROWS(ADD) } else { ROWS(PUT) } \
}
#define IN_PANEL const CYN_T *q = b; b += NR; __builtin_prefetch(q + 16 * NR); \
                 if (CYN_VB == 64) __builtin_prefetch(q + 16 * NR + VL);
#define IN_PLACE const CYN_T *q = b + at[k];
#define BOTH(rows, ROWS) TILE(tile, rows, ROWS, IN_PANEL, DECL, STEP, PUT, ADD) \
                         TILE(tile_at, rows, ROWS, IN_PLACE, DECL, STEP, PUT, ADD) \
                         TILE(tile_half, rows, ROWS, IN_PANEL, DECL1, STEP1, PUT1, ADD1)

BOTH(1, CYN_R1) BOTH(2, CYN_R2) BOTH(3, CYN_R3) BOTH(4, CYN_R4) BOTH(5, CYN_R5) BOTH(6, CYN_R6)
#if CYN_MR > 6
BOTH(7, CYN_R7) BOTH(8, CYN_R8) BOTH(9, CYN_R9) BOTH(10, CYN_R10) BOTH(11, CYN_R11) BOTH(12, CYN_R12)
BOTH(13, CYN_R13) BOTH(14, CYN_R14)
#define UP_TO_14(name) , CYN_N(name##7), CYN_N(name##8), CYN_N(name##9), CYN_N(name##10), CYN_N(name##11), \
                       CYN_N(name##12), CYN_N(name##13), CYN_N(name##14)
#else
#define UP_TO_14(name)
#endif
#define UP_TO_MR(name) { 0, CYN_N(name##1), CYN_N(name##2), CYN_N(name##3), CYN_N(name##4), CYN_N(name##5), \
                         CYN_N(name##6) UP_TO_14(name) }

/* c[rows][NR] (+)= a[rows][kc] * b[kc][NR] for one panel of NR columns; row k of b is b + k * NR, or b + at[k].
 * Only the first `cols` columns are wanted. */
static inline void CYN_N(cyn_tile)(int64_t rows, int64_t cols, int64_t kc, const CYN_T *a, int64_t lda,
                                   const CYN_T *b, const int64_t *at, CYN_T *c, int add) {
    typedef void (*Tile)(int64_t, const CYN_T *, int64_t, const CYN_T *, const int64_t *, CYN_T *, int);
    static const Tile panel[] = UP_TO_MR(tile), place[] = UP_TO_MR(tile_at), half[] = UP_TO_MR(tile_half);
    for (int64_t s = 0; s < cols; s += 2 * VL)
        (at != NULL ? place : cols - s > VL ? panel : half)[rows](kc, a, lda, b + s, at, c + s, add);
}

/* One row of a panel times a vector: four chains over k, because two would wait for each other. */
static inline void CYN_N(cyn_row)(int64_t kc, const CYN_T *a, const CYN_T *b, CYN_T *c, int add) {
    for (int64_t s = 0; s < NR; s += 2 * VL) {
        const CYN_T *q = b + s;
        VEC x0 = {0}, x1 = {0}, x2 = {0}, x3 = {0}, y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0};
        int64_t k = 0;
#define CHAIN(i) { CYN_T t = a[k + i]; x##i += t * *(const VEC *)(q + i * NR); \
                   y##i += t * *(const VEC *)(q + i * NR + VL); }
        for (; k + 4 <= kc; k += 4, q += 4 * NR) { CHAIN(0) CHAIN(1) CHAIN(2) CHAIN(3) }
        for (; k < kc; k++, q += NR) CHAIN(0)
#undef CHAIN
        x0 = (x0 + x1) + (x2 + x3);
        y0 = (y0 + y1) + (y2 + y3);
        if (add) { x0 += *(VEC *)(c + s); y0 += *(VEC *)(c + s + VL); }
        *(VEC *)(c + s) = x0;
        *(VEC *)(c + s + VL) = y0;
    }
}

/* c[i * NR + j] (+)= sum over k of a[i * lda + k] * b[j * ldb + k] for up to four rows and two columns: sums side
 * by side in a vector, for products of few columns. Missing rows and columns repeat the last one. */
static inline void CYN_N(cyn_dots)(int64_t rows, int64_t cols, int64_t kc, const CYN_T *a0, int64_t lda,
                                   const CYN_T *b0, int64_t ldb, CYN_T *c, int add) {
    const CYN_T *a1 = a0 + (rows > 1) * lda, *a2 = a1 + (rows > 2) * lda, *a3 = a2 + (rows > 3) * lda;
    const CYN_T *b1 = b0 + (cols > 1) * ldb;
    VEC s[8] = {{0}}, x0, x1, x2, x3, y0, y1;
#define SUM s[0] += x0 * y0; s[1] += x1 * y0; s[2] += x2 * y0; s[3] += x3 * y0; \
            s[4] += x0 * y1; s[5] += x1 * y1; s[6] += x2 * y1; s[7] += x3 * y1;
    int64_t k = 0;
    for (; k + VL <= kc; k += VL) {
        x0 = *(const VEC *)(a0 + k); x1 = *(const VEC *)(a1 + k);
        x2 = *(const VEC *)(a2 + k); x3 = *(const VEC *)(a3 + k);
        y0 = *(const VEC *)(b0 + k); y1 = *(const VEC *)(b1 + k);
        SUM
    }
    if (k < kc) {
        const size_t rest = (kc - k) * sizeof(CYN_T);
        x0 = x1 = x2 = x3 = y0 = y1 = (VEC){0};
        memcpy(&x0, a0 + k, rest); memcpy(&x1, a1 + k, rest); memcpy(&x2, a2 + k, rest); memcpy(&x3, a3 + k, rest);
        memcpy(&y0, b0 + k, rest); memcpy(&y1, b1 + k, rest);
        SUM
    }
#undef SUM
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++) {
            VEC v = s[4 * j + i];
            CYN_T e[VL];
            memcpy(e, &v, sizeof v);
            for (int64_t h = VL / 2; h > 0; h /= 2)
                for (int64_t l = 0; l < h; l++) e[l] += e[l + h];
            c[i * NR + j] = add ? c[i * NR + j] + e[0] : e[0];
        }
}

/* c[i * ldc + j] = alpha * x[i * ldx + j] + beta * d[i * d_row + j * d_col], j < cols; d may be NULL. */
static inline __attribute__((always_inline)) void CYN_N(cyn_scale)(
        int64_t rows, int64_t cols, CYN_T alpha, const CYN_T *restrict x, int64_t ldx, CYN_T beta,
        const CYN_T *restrict d, int64_t d_row, int64_t d_col, CYN_T *restrict c, int64_t ldc) {
    for (int64_t i = 0; i < rows; i++, x += ldx, c += ldc) {
        if (d == NULL) {
            for (int64_t j = 0; j < cols; j++) c[j] = alpha * x[j];
        } else if (d_col == 0) {
            CYN_T t = beta * d[i * d_row];
            for (int64_t j = 0; j < cols; j++) c[j] = alpha * x[j] + t;
        } else if (d_col == 1) {
            for (int64_t j = 0; j < cols; j++) c[j] = alpha * x[j] + beta * d[i * d_row + j];
        } else {
            for (int64_t j = 0; j < cols; j++) c[j] = alpha * x[j] + beta * d[i * d_row + j * d_col];
        }
    }
}

static __attribute__((noinline)) void CYN_N(cyn_scale_rows)(
        int64_t rows, int64_t cols, CYN_T alpha, const CYN_T *x, int64_t ldx, CYN_T beta, const CYN_T *d,
        int64_t d_row, int64_t d_col, CYN_T *c, int64_t ldc) {
    if (cols == NR) CYN_N(cyn_scale)(rows, NR, alpha, x, ldx, beta, d, d_row, d_col, c, ldc);
    else CYN_N(cyn_scale)(rows, cols, alpha, x, ldx, beta, d, d_row, d_col, c, ldc);
}

/* y[i * ld + j] = x[i * rs + j * cs]. A transpose (rs = 1) goes through 4 x 4 blocks. */
static inline void CYN_N(cyn_copy)(int64_t rows, int64_t cols, const CYN_T *restrict x, int64_t rs, int64_t cs,
                                   CYN_T *restrict y, int64_t ld) {
    int64_t i = 0, j;
    if (cs == 1) {
        for (; i < rows; i++) memcpy(y + i * ld, x + i * rs, cols * sizeof(CYN_T));
        return;
    }
    if (rs == 1) {
        for (; i + 4 <= rows; i += 4) {
            for (j = 0; j + 4 <= cols; j += 4) {
                const CYN_T *p = x + i + j * cs;
                CYN_T *q = y + i * ld + j;
                QUAD a = *(const QUAD *)p, b = *(const QUAD *)(p + cs);
                QUAD c = *(const QUAD *)(p + 2 * cs), d = *(const QUAD *)(p + 3 * cs);
                QUAD e = MIX(a, b, 0, 4, 1, 5), f = MIX(a, b, 2, 6, 3, 7);
                QUAD g = MIX(c, d, 0, 4, 1, 5), h = MIX(c, d, 2, 6, 3, 7);
                *(QUAD *)q = MIX(e, g, 0, 1, 4, 5);
                *(QUAD *)(q + ld) = MIX(e, g, 2, 3, 6, 7);
                *(QUAD *)(q + 2 * ld) = MIX(f, h, 0, 1, 4, 5);
                *(QUAD *)(q + 3 * ld) = MIX(f, h, 2, 3, 6, 7);
            }
            for (; j < cols; j++)
                for (int r = 0; r < 4; r++) y[(i + r) * ld + j] = x[i + r + j * cs];
        }
    }
    for (; i < rows; i++)
        for (j = 0; j < cols; j++) y[i * ld + j] = x[i * rs + j * cs];
}

/* y[j] = x[j * step], j < n. Writes up to a vector past y[n - 1]; reads only below end. */
static inline __attribute__((always_inline)) void CYN_N(cyn_take)(int64_t n, const CYN_T *x, int64_t step,
                                                                  const CYN_T *end, CYN_T *y) {
    int64_t j = 0;
    if (step == 1) {
        if (end - x >= n + VL) {
            for (; j < n; j += VL) *(VEC *)(y + j) = *(const VEC *)(x + j);
            return;
        }
    } else if (step == 2) {
        if (end - x >= 2 * (n + VL)) {
            for (; j < n; j += 4) {
                QUAD a = *(const QUAD *)(x + 2 * j), b = *(const QUAD *)(x + 2 * j + 4);
                *(QUAD *)(y + j) = MIX(a, b, 0, 2, 4, 6);
            }
            return;
        }
    }
    for (; j < n; j++) y[j] = x[j * step];
}

/* y[j] = 0, j < n. Writes up to a vector past y[n - 1]. */
static inline __attribute__((always_inline)) void CYN_N(cyn_zero)(int64_t n, CYN_T *y) {
    for (int64_t j = 0; j < n; j += VL) *(VEC *)(y + j) = (VEC){0};
}

/* Rows k0... of a panel: row k is channel k / taps, tap k % taps. `runs` holds NR runs for each tap, or for each row if
 * there are more than CYN_TAPS taps; `counts` says how many are used. A row may spill into the next, written later. */
static inline void CYN_N(cyn_pack_runs)(int64_t kc, int64_t k0, int64_t taps, const CynRun *runs,
                                        const int32_t *counts, const CYN_T *x, int64_t channel, int64_t step,
                                        const CYN_T *end, CYN_T *y) {
    int64_t t = k0 % taps;
    x += k0 / taps * channel;
    for (int64_t k = 0; k < kc; k++, y += NR) {
        const int64_t u = taps > CYN_TAPS ? k : t;
        const CynRun *r = runs + u * NR, *last = r + counts[u];
        for (; r < last; r++) {
            if (r->from < 0) CYN_N(cyn_zero)(r->size, y + r->to);
            else CYN_N(cyn_take)(r->size, x + r->from, step, end, y + r->to);
        }
        if (++t == taps) { t = 0; x += channel; }
    }
}

/* y[q] (+)= sum over taps of w[t] * x[q + at[t]], q < n rounded up to four vectors: x and y have room for that. */
static inline void CYN_N(cyn_taps)(int64_t n, int64_t taps, const int64_t *at, const CYN_T *w, const CYN_T *x,
                                   CYN_T *y, int add) {
    for (int64_t q = 0; q < n; q += 4 * VL) {
        VEC s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (int64_t t = 0; t < taps; t++) {
            const CYN_T *p = x + q + at[t];
            s0 += w[t] * *(const VEC *)p;
            s1 += w[t] * *(const VEC *)(p + VL);
            s2 += w[t] * *(const VEC *)(p + 2 * VL);
            s3 += w[t] * *(const VEC *)(p + 3 * VL);
        }
        VEC *z = (VEC *)(y + q);
        if (add) { s0 += z[0]; s1 += z[1]; s2 += z[2]; s3 += z[3]; }
        z[0] = s0; z[1] = s1; z[2] = s2; z[3] = s3;
    }
}

#undef DECL
#undef STEP
#undef PUT
#undef ADD
#undef DECL1
#undef STEP1
#undef PUT1
#undef ADD1
#undef TILE
#undef IN_PANEL
#undef IN_PLACE
#undef BOTH
#undef UP_TO_14
#undef UP_TO_MR
#undef VEC
#undef QUAD
#undef MIX
#undef VL
#undef NR
#undef CYN_N
#undef CYN_CAT
#undef CYN_CAT_
#undef CYN_T
#undef CYN_S
