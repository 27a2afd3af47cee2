# isa: base avx2 avx512
"""Between plain layout [N][C][M] and the blocked layout c16 [N][ceil(C/16)][M][16], M = all spatial positions.

n = N, C, M for all. Threads share (image, block, chunk of positions).
f32_to_c16: p = plain, blocked; channels past C become zero.
f32_from_c16: p = blocked, plain.
f64_to_c16, f64_from_c16: the same for float64.
"""
from libc.stdint cimport int64_t
from libc.stddef cimport size_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

cdef extern from "reorder_ukr.h" nogil:
    void reorder_4x4(const float* start, int64_t rows, float* to, int64_t columns) noexcept

ctypedef fused real:
    float
    double

cdef enum:
    CHUNK = 512


cdef void blocked(const real* x, real* y, int64_t channels, int64_t M, int64_t count) noexcept nogil:
    """count positions of `channels` planes of M values to pixels of 16."""
    cdef int64_t i, c, whole = 0, fast = 0
    cdef const real* row
    if real is float:
        whole = channels & ~3
        fast = count & ~3
        for i in range(fast // 4):
            for c in range(whole // 4):
                reorder_4x4(x + c * 4 * M + i * 4, M, y + i * 64 + c * 4, 16)
    for c in range(channels):
        row = x + c * M
        for i in range(fast if c < whole else 0, count):
            y[i * 16 + c] = row[i]
    for i in range(count):
        for c in range(channels, 16):
            y[i * 16 + c] = 0


cdef void plain(const real* x, real* y, int64_t channels, int64_t M, int64_t count) noexcept nogil:
    cdef int64_t i, c, whole = 0, fast = 0
    cdef real* row
    if real is float:
        whole = channels & ~3
        fast = count & ~3
        for c in range(whole // 4):
            for i in range(fast // 4):
                reorder_4x4(x + i * 64 + c * 4, 16, y + c * 4 * M + i * 4, M)
    for c in range(channels):
        row = y + c * M
        for i in range(fast if c < whole else 0, count):
            row[i] = x[i * 16 + c]


cdef void reorder(const real* x, real* y, const Args* a, Ctl* ctl, int tid, int nt, bint back) noexcept nogil:
    cdef int64_t N = a.n[0], C = a.n[1], M = a.n[2], blocks = (C + 15) // 16, chunks = (M + CHUNK - 1) // CHUNK
    cdef int64_t lo, hi, u, n, b, m, channels, count, flat, tiled
    cyn_share(N * blocks * chunks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        if cyn_stop(ctl, tid):
            return
        n = u // chunks // blocks
        b = u // chunks % blocks
        m = u % chunks * CHUNK
        channels = min(<int64_t> 16, C - b * 16)
        count = min(<int64_t> CHUNK, M - m)
        flat = (n * C + b * 16) * M + m
        tiled = ((n * blocks + b) * M + m) * 16
        if back:
            plain(x + tiled, y + flat, channels, M, count)
        else:
            blocked(x + flat, y + tiled, channels, M, count)


cdef int f32_to_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    reorder(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt, False)
    return 0


cdef int f32_from_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    reorder(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt, True)
    return 0


cdef int f64_to_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    reorder(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt, False)
    return 0


cdef int f64_from_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    reorder(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt, True)
    return 0


KERNELS = {
    "f32_to_c16": <size_t> &f32_to_c16, "f32_from_c16": <size_t> &f32_from_c16,
    "f64_to_c16": <size_t> &f64_to_c16, "f64_from_c16": <size_t> &f64_from_c16,
}
