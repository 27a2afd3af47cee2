# isa: base avx2 avx512
"""Matrix products of integers, exact or wrapping, on plain row-major operands.

i32_gemm, u32_gemm, i64_gemm, u64_gemm: C = A B, wrapping.
    p = A, B, C, table or NULL.
    n = batch, M, N, K, row stride of A, of B, of C, stride between batch items of A, B and C (elements).
u8u8_gemm, u8i8_gemm, i8u8_gemm, i8i8_gemm (types of A and B): C (int32, wrapping) = (A - za) (B - zb).
    p = A, B, C, table or NULL, za or NULL, zb or NULL. n as above, then step of za along the rows of A and of zb along
    the columns of B (0 = one value for all), strides of za and zb between batch items.
    table: int64 [batch][3], offsets of A, B and C for each batch item; their batch strides are then ignored.
    scratch: 32768 bytes.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

ctypedef fused word:
    uint32_t
    uint64_t

ctypedef fused left:
    uint8_t
    int8_t

ctypedef fused right:
    uint8_t
    int8_t

cdef enum:
    COLS = 128              # columns of a block of C
    ROWS = 4                # its rows: each row of B that is read serves them all
    DEPTH = 64              # rows of B between questions whether to stop


cdef inline void place(const Args* a, int64_t item, int64_t* at) noexcept nogil:
    """Offsets of A, B and C for a batch item."""
    cdef const int64_t* table = <const int64_t*> a.p[3]
    cdef int i
    for i in range(3):
        at[i] = table[3 * item + i] if table != NULL else item * a.n[7 + i]


cdef inline void add_rows(int64_t rows, int64_t cols, int64_t depth, const word* a, int64_t lda, const word* b,
                          int64_t ldb, word* c) noexcept nogil:
    """c[rows][COLS] += a b, for up to four rows at a time."""
    cdef int64_t k, j
    cdef word a0, a1, a2, a3
    for k in range(depth):
        a0 = a[k]
        a1 = a[lda + k] if rows > 1 else 0
        a2 = a[2 * lda + k] if rows > 2 else 0
        a3 = a[3 * lda + k] if rows > 3 else 0
        for j in range(cols):
            c[j] += a0 * b[j]
            c[COLS + j] += a1 * b[j]
            c[2 * COLS + j] += a2 * b[j]
            c[3 * COLS + j] += a3 * b[j]
        b += ldb


cdef inline int wrapping(const Args* a, Ctl* ctl, int tid, int nt, word* kind) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef int64_t M = n[1], N = n[2], K = n[3], high, wide, lo, hi, u, i, j, k, r, c, rows, cols
    cdef int64_t at[3]
    cdef word* sums = <word*> a.scratch
    cdef word* y
    high, wide = (M + ROWS - 1) // ROWS, (N + COLS - 1) // COLS
    cyn_share(n[0] * high * wide, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        place(a, u // (high * wide), at)
        # Columns outermost, so that a strip of B stays in the cache.
        i, j = u % high * ROWS, u // high % wide * COLS
        rows, cols = min(<int64_t> ROWS, M - i), min(<int64_t> COLS, N - j)
        memset(sums, 0, ROWS * COLS * sizeof(word))
        k = 0
        while k < K:
            if cyn_stop(ctl, tid):
                return 0
            add_rows[word](rows, cols, min(<int64_t> DEPTH, K - k), <const word*> a.p[0] + at[0] + i * n[4] + k, n[4],
                           <const word*> a.p[1] + at[1] + k * n[5] + j, n[5], sums)
            k += DEPTH
        y = <word*> a.p[2] + at[2] + i * n[6] + j
        for r in range(rows):
            for c in range(cols):
                y[r * n[6] + c] = sums[r * COLS + c]
    return 0


cdef inline int small(const Args* a, Ctl* ctl, int tid, int nt, left* kind, right* other) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef int64_t M = n[1], N = n[2], K = n[3], high, wide, lo, hi, u, i, j, k, r, c, rows, cols, item, depth, q
    cdef int64_t at[3]
    cdef int32_t za[4]
    cdef uint32_t* sums = <uint32_t*> a.scratch
    cdef int16_t* zb = <int16_t*> (sums + ROWS * COLS)
    cdef int16_t* bs = zb + COLS            # two rows of B less zb, value by value side by side
    cdef const left* x
    cdef const right* b
    cdef const left* z
    cdef const right* w
    cdef int32_t* y
    cdef int16_t p0, p1
    cdef uint32_t* s
    high, wide = (M + ROWS - 1) // ROWS, (N + COLS - 1) // COLS
    cyn_share(n[0] * high * wide, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        item = u // (high * wide)
        place(a, item, at)
        i, j = u % high * ROWS, u // high % wide * COLS
        rows, cols = min(<int64_t> ROWS, M - i), min(<int64_t> COLS, N - j)
        z, w = <const left*> a.p[4], <const right*> a.p[5]
        for r in range(rows):
            za[r] = z[item * n[12] + (i + r) * n[10]] if z != NULL else 0
        for c in range(cols):
            zb[c] = w[item * n[13] + (j + c) * n[11]] if w != NULL else 0
        memset(sums, 0, ROWS * COLS * sizeof(uint32_t))
        k = 0
        while k < K:
            if k % DEPTH == 0 and cyn_stop(ctl, tid):
                return 0
            b = <const right*> a.p[1] + at[1] + k * n[5] + j
            depth = min(<int64_t> 2, K - k)
            for c in range(cols):
                bs[2 * c] = <int16_t> (b[c] - zb[c])
                bs[2 * c + 1] = <int16_t> (b[n[5] + c] - zb[c]) if depth > 1 else 0
            for r in range(rows):
                x = <const left*> a.p[0] + at[0] + (i + r) * n[4] + k
                p0 = <int16_t> (x[0] - za[r])
                p1 = <int16_t> (x[1] - za[r]) if depth > 1 else 0
                s = sums + r * COLS
                # 16-bit pairs: at most 2 * 255 * 255, and gcc knows the instruction for a pair.
                for c in range(cols):
                    s[c] += <uint32_t> (<int32_t> p0 * <int32_t> bs[2 * c] + <int32_t> p1 * <int32_t> bs[2 * c + 1])
            k += 2
        y = <int32_t*> a.p[2] + at[2] + i * n[6] + j
        for r in range(rows):
            for c in range(cols):
                y[r * n[6] + c] = <int32_t> sums[r * COLS + c]
    return 0


cdef int u32_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return wrapping[uint32_t](a, ctl, tid, nt, NULL)

cdef int u64_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return wrapping[uint64_t](a, ctl, tid, nt, NULL)

cdef int u8u8_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return small[uint8_t, uint8_t](a, ctl, tid, nt, NULL, NULL)

cdef int u8i8_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return small[uint8_t, int8_t](a, ctl, tid, nt, NULL, NULL)

cdef int i8u8_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return small[int8_t, uint8_t](a, ctl, tid, nt, NULL, NULL)

cdef int i8i8_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return small[int8_t, int8_t](a, ctl, tid, nt, NULL, NULL)


# Wrapping products have the same bits with and without sign.
KERNELS = {
    "i32_gemm": <size_t> &u32_gemm, "u32_gemm": <size_t> &u32_gemm,
    "i64_gemm": <size_t> &u64_gemm, "u64_gemm": <size_t> &u64_gemm,
    "u8u8_gemm": <size_t> &u8u8_gemm, "u8i8_gemm": <size_t> &u8i8_gemm,
    "i8u8_gemm": <size_t> &i8u8_gemm, "i8i8_gemm": <size_t> &i8i8_gemm,
}
