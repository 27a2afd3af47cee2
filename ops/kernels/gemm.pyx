# isa: base avx2 avx512
"""Matrix products of float32 and float64 with a packed right operand.

Packed format: panels [ceil(N / NR)][K][NR], zero past column N; NR = 32 for float32 ("kn32"), 16 for float64 ("kn16").
All sizes and strides count elements. A matrix has two strides, (row, column), so that a transposed one is just read
with its strides swapped; one of the two should be 1.

f32_pack_b, f64_pack_b: p = B, packed. n = batch, K, N, row stride of B (along K), column stride of B (along N),
    stride of B between batch items. Packed items follow each other, ceil(N / NR) * K * NR elements each.

f32_gemm, f64_gemm: C = epilogue(alpha * A B + beta * D), for every batch item.
    p = A, packed B, C, D or NULL, table or NULL, epilogue operands...
    n = batch, M, N, K, A row stride, A column stride, C row stride, D row stride, D column stride (0 = broadcast),
        then the strides between batch items of A, B (ceil(N / NR) * K * NR, or 0), C and D.
    n and f go on with the epilogue list of epilogue.h (n[13], f[2]); channels are columns.
    f = alpha, beta.
    table: int64 [batch][4], offsets of A, B, C and D for each batch item; the four batch strides are then ignored.
    scratch: SCRATCH bytes.

Each sum over K is cut in blocks of 256 (a block's sum starts from zero and is added to the sum so far), so an element
of C has bits that depend on the sizes alone: the cutting of work may follow the thread count freely. With at most 8
columns, 16 KiB of K are summed in as many chains as a vector has lanes, none longer than 256 for float32.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.epilogue cimport CynEpilogue, cyn_epilogue
from cynfer.ops.kernels.gemm_ukr cimport (
    CYN_MR, ceil_div, copy, dots, epilogue_rows, real, row, scale_rows, tile)

cdef enum:
    KB = 256                # the longest sum without an intermediate one
    MC = 252                # rows of A that are kept near: a multiple of every tile height
    LDA = KB + 16           # row stride of copied A: rows of one tile in different sets of the L1 cache
    FEW = 8                 # columns that are summed along K, with vectors of k
    ACC = 262144            # bytes of sums kept between blocks of K
    GROUP = 8               # panels of B that pass by a tile's rows of A, which stay in the L1 cache


cdef inline int pack_b(const Args* a, Ctl* ctl, int tid, int nt, real* kind) noexcept nogil:
    cdef int64_t NR = 128 // <int64_t> sizeof(real)
    cdef const real* b = <const real*> a.p[0]
    cdef real* y = <real*> a.p[1]
    cdef int64_t batch = a.n[0], K = a.n[1], N = a.n[2], rs = a.n[3], cs = a.n[4], stride = a.n[5]
    cdef int64_t panels = ceil_div(N, NR), lo, hi, u, k, k1, cols
    cdef const real* x
    cdef real* q
    cyn_share(batch * panels, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        x = b + u // panels * stride + u % panels * NR * cs
        cols = min(NR, N - u % panels * NR)
        k = 0
        while k < K:
            if cyn_stop(ctl, tid):
                return 0
            k1 = min(K, k + 1024)
            q = y + (u * K + k) * NR
            if cols < NR:
                memset(q, 0, (k1 - k) * NR * sizeof(real))
            copy[real](k1 - k, cols, x + k * rs, rs, cs, q, NR)
            k = k1
    return 0


cdef struct Job:                # what one batch item's product needs
    int64_t M, N, K, lda, a_col, ldc, d_row, d_col, height, tiles, near


cdef inline void finish(const Args* a, const Job* j, const CynEpilogue* e, real* acc, int64_t rows, int64_t i,
                        int64_t col, int64_t cols, real* c, const real* d, int64_t c_at) noexcept nogil:
    """Rows i... and columns col... of C, from their sums."""
    c_at += i * j.ldc + col
    if d != NULL:
        d += i * j.d_row + col * j.d_col
    scale_rows[real](rows, cols, <real> a.f[0], acc, 128 // <int64_t> sizeof(real), <real> a.f[1], d, j.d_row, j.d_col,
                     c + c_at, j.ldc)
    if e.count:
        epilogue_rows[real](e, c + c_at, j.ldc, rows, cols, c_at, j.ldc, col, 0)


cdef inline int block(const Args* args, Ctl* ctl, int tid, const Job* j, const real* a, const real* b, real* c,
                      const real* d, int64_t c_at, int64_t t0, int64_t t1, int64_t p0, int64_t p1) noexcept nogil:
    """Tiles t0 to t1 of rows, panels p0 to p1 of columns. Returns 1 if asked to stop."""
    cdef int64_t NR = 128 // <int64_t> sizeof(real)
    cdef int64_t i0 = t0 * j.height, i1 = min(j.M, t1 * j.height), k, kc, p, p2, t, i, rows, cols, lda
    cdef real* acc = <real*> args.scratch
    cdef real* near = acc + ACC // <int64_t> sizeof(real)
    cdef real* sums
    cdef const real* x
    cdef const real* y
    cdef int64_t group = min(<int64_t> GROUP, ACC // (128 * (i1 - i0)))
    cdef CynEpilogue e = cyn_epilogue(args, 13, 2)
    while p0 < p1:
        p2 = min(p1, p0 + group)
        k = 0
        while k < j.K or k == 0:
            kc = min(<int64_t> KB, j.K - k)
            x = a + i0 * j.lda + k * j.a_col
            lda = j.lda
            if j.near:
                copy[real](i1 - i0, kc, x, lda, j.a_col, near, LDA)
                x = near
                lda = LDA
            for t in range(t0, t1):
                i = t * j.height
                rows = min(j.height, j.M - i)
                if cyn_stop(ctl, tid):
                    return 1
                for p in range(p0, p2):
                    cols = min(NR, j.N - p * NR)
                    y = b + (p * j.K + k) * NR
                    sums = acc
                    if j.K > KB:
                        sums = acc + ((p - p0) * (i1 - i0) + i - i0) * NR
                    if j.M == 1:
                        row[real](kc, x, y, sums, k > 0)
                    else:
                        tile[real](rows, cols, kc, x + (i - i0) * lda, lda, y, NULL, sums, k > 0)
                    if k + kc == j.K:
                        finish[real](args, j, &e, sums, rows, i, p * NR, cols, c, d, c_at)
            k += KB
        p0 = p2
    return 0


cdef inline int narrow(const Args* args, Ctl* ctl, int tid, const Job* j, const real* a, const real* b, real* c,
                       const real* d, int64_t c_at, int64_t t0, int64_t t1) noexcept nogil:
    """As `block`, for a few columns: sums run side by side in a vector, so that no lane is wasted."""
    cdef int64_t NR = 128 // <int64_t> sizeof(real), most = 16384 // <int64_t> sizeof(real)
    cdef int64_t i0 = t0 * j.height, i1 = min(j.M, t1 * j.height), i, k = 0, kc, col
    cdef real* acc = <real*> args.scratch
    cdef real* columns = acc + ACC // <int64_t> sizeof(real)
    cdef CynEpilogue e = cyn_epilogue(args, 13, 2)
    while k < j.K:
        kc = min(most, j.K - k)
        copy[real](j.N, kc, b + k * NR, 1, NR, columns, most)
        i = i0
        while i < i1:
            if i % 16 == 0 and cyn_stop(ctl, tid):
                return 1
            col = 0
            while col < j.N:
                dots[real](min(<int64_t> 4, i1 - i), min(<int64_t> 2, j.N - col), kc, a + i * j.lda + k, j.lda,
                           columns + col * most, most, acc + (i - i0) * NR + col, k > 0)
                col += 2
            i += 4
        k += kc
    finish[real](args, j, &e, acc, i1 - i0, i0, 0, j.N, c, d, c_at)
    return 0


cdef inline int gemm(const Args* a, Ctl* ctl, int tid, int nt, real* kind) noexcept nogil:
    cdef int64_t NR = 128 // <int64_t> sizeof(real)
    cdef const int64_t* n = a.n
    cdef const int64_t* table = <const int64_t*> a.p[4]
    cdef const int64_t* at
    cdef int64_t own[4]
    cdef int64_t batch = n[0], panels = ceil_div(n[2], NR), chunks, chunk, lo, hi, u, item, m, p, p1, s
    cdef Job j
    cdef const real* d
    j.M, j.N, j.K, j.lda, j.a_col, j.ldc, j.d_row, j.d_col = n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]
    if batch == 0 or j.M == 0 or j.N == 0:
        return 0
    j.height = ceil_div(j.M, ceil_div(j.M, CYN_MR))
    j.tiles = ceil_div(j.M, j.height)
    # Strides of whole pages would put a tile's rows in one set of the L1 cache.
    j.near = j.a_col != 1 and j.K > 1 or j.M > 8 and j.lda * <int64_t> sizeof(real) % 2048 == 0
    chunks = ceil_div(j.M, MC)
    if batch * chunks * panels < 4 * nt and nt > 1:
        chunks = min(j.tiles, ceil_div(4 * nt, batch * panels))
    chunk = ceil_div(j.tiles, chunks)
    chunks = ceil_div(j.tiles, chunk)
    cyn_share(batch * chunks * panels, tid, nt, &lo, &hi)
    u = lo
    while u < hi:
        item = u // (chunks * panels)
        m = u // panels % chunks
        p = u % panels
        p1 = min(panels, p + hi - u)
        u += p1 - p
        at = own
        if table != NULL:
            at = table + 4 * item
        else:
            for s in range(4):
                own[s] = item * n[9 + s]
        d = <const real*> a.p[3]
        if d != NULL:
            d += at[3]
        if j.N <= FEW and j.M >= FEW and j.a_col == 1 and j.K > 0:
            if narrow[real](a, ctl, tid, &j, <const real*> a.p[0] + at[0], <const real*> a.p[1] + at[1],
                            <real*> a.p[2], d, at[2], m * chunk, min(j.tiles, (m + 1) * chunk)):
                return 0
        elif block[real](a, ctl, tid, &j, <const real*> a.p[0] + at[0], <const real*> a.p[1] + at[1],
                       <real*> a.p[2], d, at[2], m * chunk, min(j.tiles, (m + 1) * chunk), p, p1):
            return 0
    return 0


cdef int f32_pack_b(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return pack_b[float](a, ctl, tid, nt, NULL)

cdef int f64_pack_b(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return pack_b[double](a, ctl, tid, nt, NULL)

cdef int f32_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return gemm[float](a, ctl, tid, nt, NULL)

cdef int f64_gemm(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return gemm[double](a, ctl, tid, nt, NULL)


KERNELS = {
    "f32_pack_b": <size_t> &f32_pack_b, "f64_pack_b": <size_t> &f64_pack_b,
    "f32_gemm": <size_t> &f32_gemm, "f64_gemm": <size_t> &f64_gemm,
}

#: Private scratch of a product of each type, in bytes.
SCRATCH = {"f32": 655360, "f64": 917504}
