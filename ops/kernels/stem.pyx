# isa: base avx2 avx512
"""First convolutions: float32, plain input [N][C][IH][IW] with few channels (C < 16), output in layout c16.

f32_conv_stem: p = x, w, bias or None (zero-padded to a multiple of 16), y, epilogue operands...; n and f as for
    f32_conv_c16 (conv.pyx), with groups = 1. Channels past O in y are the epilogue of 0. y must not overlap x; an ADD
    operand may be y itself if it is the first step. Private scratch: `scratch_bytes(n)`.
f32_pack_conv_stem: p = w [O][C][KH][KW], packed; n = O, C, KH, KW.
    packed = [ceil(O/32)][C][KH][KW][32 out], zero-filled.

A band of rows is copied with its border to the scratch, columns in phases of the stride, so that what the pixels of a
tile read lies in consecutive floats. Sums are flushed every 256 products.
"""
from libc.math cimport INFINITY
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memset
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.conv_tile cimport CONV_BLOCKS, CONV_PIXELS, ConvTile, ConvTileFn
from cynfer.ops.kernels.epilogue cimport (
    CYN_ADD, CYN_CLIP, CYN_RELU, CynEpilogue, cyn_epilogue, cyn_epilogue_after, cyn_epilogue_rows_f32)

cdef extern from "stem_ukr.h" nogil:
    const ConvTileFn* stem_tiles_1
    const ConvTileFn* stem_tiles_2
    void stem_take(float* to, const float* start, int64_t n, int64_t step) noexcept

cdef enum:
    EPILOGUE_AT = 16
    COPY_BYTES = 128 * 1024
    PRODUCTS = 256


cdef struct Plan:
    int64_t N, C, IH, IW, O, OH, OW, KH, KW, SH, SW, DH, DW, PT, PL
    int64_t K, phases, row, band    # products; column phases and pixels per row of a copy; output rows per band


cdef inline int64_t up(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline int64_t copied_rows(const Plan* s, int64_t rows) noexcept nogil:
    return (rows - 1) * s.SH + (s.KH - 1) * s.DH + 1


cdef inline bint empty(const int64_t* n) noexcept nogil:
    """Nothing to compute (the output has no elements)."""
    return n[0] == 0 or n[4] == 0 or n[5] == 0 or n[6] == 0


cdef void plan(Plan* s, const int64_t* n) noexcept nogil:
    cdef int64_t row_bytes
    s.N = n[0]; s.C = n[1]; s.IH = n[2]; s.IW = n[3]; s.O = n[4]; s.OH = n[5]; s.OW = n[6]; s.KH = n[7]; s.KW = n[8]
    s.SH = n[9]; s.SW = n[10]; s.DH = n[11]; s.DW = n[12]; s.PT = n[13]; s.PL = n[14]
    s.K = s.C * s.KH * s.KW
    s.phases = min(s.SW, (s.KW - 1) * s.DW + 1)
    s.row = s.OW + (s.KW - 1) * s.DW // s.SW
    row_bytes = s.C * s.phases * s.row * 4
    s.band = min(s.OH, max(<int64_t> 1, (COPY_BYTES // row_bytes - (s.KH - 1) * s.DH) // s.SH))


cdef int64_t copy_floats(const Plan* s) noexcept nogil:
    return s.C * s.phases * copied_rows(s, s.band) * s.row


cdef void copy_band(float* to, const float* x, const Plan* s, int64_t y0, int64_t rows) noexcept nogil:
    """[C][phase][row][column] with zeros outside of the input; x is one image."""
    cdef int64_t c, p, r, at, col0, lo, hi
    for c in range(s.C):
        for p in range(s.phases):
            col0 = p - s.PL
            lo = min(s.row, up(-col0, s.SW) if col0 < 0 else 0)
            hi = min(s.row, max(lo, up(s.IW - col0, s.SW) if s.IW > col0 else 0))
            for r in range(copied_rows(s, rows)):
                at = y0 * s.SH - s.PT + r
                if at < 0 or at >= s.IH:
                    memset(to, 0, s.row * 4)
                else:
                    memset(to, 0, lo * 4)
                    stem_take(to + lo, x + (c * s.IH + at) * s.IW + col0 + lo * s.SW, hi - lo, s.SW)
                    memset(to + hi, 0, (s.row - hi) * 4)
                to += s.row


cdef int f32_conv_stem(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef Plan s
    cdef ConvTile tile
    cdef const ConvTileFn* tiles
    cdef CynEpilogue e = cyn_epilogue(a, EPILOGUE_AT, 0), late
    cdef const float* x = <const float*> a.p[0]
    cdef const float* w = <const float*> a.p[1]
    cdef const float* bias = <const float*> a.p[2]
    cdef float* y = <float*> a.p[3]
    cdef int64_t* taps = <int64_t*> a.scratch
    cdef float* copy
    cdef float zeros[32]
    cdef int64_t u, u0, u1, image, y0, rows, i, j, k, c, r, t, b, q, ntiles, ocb, plane, at, k0, blocks, done = 0
    cdef int add = 0, bounds = 0, last
    if empty(a.n):
        return 0
    plan(&s, a.n)
    copy = <float*> (a.scratch + up(s.K * 8, 64) * 64)
    for i in range(32):
        zeros[i] = 0
    tile.lo = 0
    tile.hi = INFINITY
    if e.count and e.steps[0] == CYN_ADD:
        add = 1
        done = 1
    if e.count > done and (e.steps[2 * done] == CYN_RELU or e.steps[2 * done] == CYN_CLIP):
        bounds = 1
        if e.steps[2 * done] == CYN_CLIP:
            tile.lo = <float> e.f[2 * done]
            tile.hi = <float> e.f[2 * done + 1]
        done += 1
    late = cyn_epilogue_after(e, done)
    ocb = up(s.O, 16)
    plane = s.OH * s.OW * 16
    tile.y_block = plane
    tile.nblocks = 1
    tile.far_output = 0
    tile.x_block = 0
    tile.add = (<float*> a.p[e.steps[1]]) - y if add else 0
    ntiles = up(s.OW, CONV_PIXELS)
    cyn_share(s.N * s.OH, tid, nt, &u0, &u1)
    u = u0
    while u < u1:
        image = u // s.OH
        y0 = u % s.OH
        rows = min(min(s.band, u1 - u), s.OH - y0)
        u += rows
        copy_band(copy, x + image * s.C * s.IH * s.IW, &s, y0, rows)
        for c in range(s.C):
            for i in range(s.KH):
                for j in range(s.KW):
                    taps[(c * s.KH + i) * s.KW + j] = (((c * s.phases + j * s.DW % s.SW) * copied_rows(&s, rows)
                                                        + i * s.DH) * s.row + j * s.DW // s.SW)
        for k in range(up(s.K, PRODUCTS)):
            k0 = k * PRODUCTS
            last = k0 + PRODUCTS >= s.K
            tile.taps = taps + k0
            tile.ntaps = min(s.K - k0, <int64_t> PRODUCTS)
            tile.bounds = bounds and last
            tile.adds = add and k0 == 0
            for c in range(up(ocb, CONV_BLOCKS)):
                q = c * CONV_BLOCKS
                blocks = min(<int64_t> CONV_BLOCKS, ocb - q)
                tiles = stem_tiles_2 if blocks == 2 else stem_tiles_1
                tile.bias = NULL
                if k0 == 0:
                    tile.bias = bias + q * 16 if bias != NULL else <const float*> zeros
                for r in range(rows):
                    if cyn_stop(ctl, tid):
                        return 0
                    for t in range(ntiles):
                        b = s.OW * t // ntiles
                        i = s.OW * (t + 1) // ntiles - b
                        at = (image * ocb + q) * plane + ((y0 + r) * s.OW + b) * 16
                        tiles[i](&tile, copy + r * s.SH * s.row + b, w + (q // 2 * s.K + k0) * 32 + q % 2 * 16, y + at,
                                 NULL, 0)
                        if last and late.count:
                            for j in range(blocks):
                                cyn_epilogue_rows_f32(&late, y + at + j * plane, 16, i, 16, at + j * plane, 16,
                                                      (q + j) * 16, 0)
    return 0


cdef int f32_pack_conv_stem(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const float* w = <const float*> a.p[0]
    cdef float* packed = <float*> a.p[1]
    cdef int64_t O = a.n[0], K = a.n[1] * a.n[2] * a.n[3], lo, hi, q, k, j
    cyn_share(up(O, 32), tid, nt, &lo, &hi)
    for q in range(lo, hi):
        for k in range(K):
            for j in range(32):
                packed[(q * K + k) * 32 + j] = w[(q * 32 + j) * K + k] if q * 32 + j < O else 0
    return 0


def scratch_bytes(n) -> int:
    """Private scratch that f32_conv_stem needs per thread."""
    cdef int64_t sizes[16]
    cdef Plan s
    for i in range(16):
        sizes[i] = n[i]
    if empty(sizes):
        return 0
    plan(&s, sizes)
    return up(s.K * 8, 64) * 64 + copy_floats(&s) * 4


def packed_floats(n) -> int:
    """Length of what f32_pack_conv_stem writes."""
    O, C, KH, KW = n[:4]
    return -(-O // 32) * C * KH * KW * 32


KERNELS = {"f32_conv_stem": <size_t> &f32_conv_stem, "f32_pack_conv_stem": <size_t> &f32_pack_conv_stem}
