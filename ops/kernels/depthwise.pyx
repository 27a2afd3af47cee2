# isa: base avx2 avx512
"""Depthwise convolution (one input channel per output channel, groups = C = O) of float32 in the blocked layout c16.

f32_conv_dw_c16: p = x, w, bias or None (zero-padded to a multiple of 16), y, epilogue operands...; n and f as for
    f32_conv_c16 (conv.pyx): C = O = groups there. Channels past C in x may hold any finite value. y must not overlap x;
    an ADD operand may be y itself if it is the first step. No scratch.
f32_pack_conv_dw: p = w [C][1][KH][KW], packed; n = C, KH, KW. packed = [ceil(C/16)][KH][KW][16], zero-filled.

Rows of three and five taps at stride 1 and 2 have tiles of their own; anything else goes pixel by pixel. Columns
outside of the input read zeros; rows outside are left out.
"""
from libc.math cimport INFINITY
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.epilogue cimport (
    CYN_ADD, CYN_CLIP, CYN_RELU, CynEpilogue, cyn_epilogue, cyn_epilogue_after, cyn_epilogue_rows_f32)

cdef extern from "depthwise_ukr.h" nogil:
    enum:
        DW_PIXELS
    ctypedef struct DwTile:
        int64_t IH, IW, KH, KW, SW, DH, DW
        const float* w
        const float* bias
        int64_t add
        int adds, bounds
        float lo, hi
    ctypedef void (*DwTileFn)(const DwTile*, const float*, float*, int64_t, int64_t) noexcept
    const float* dw_zeros
    void dw_any(const DwTile* t, const float* x, float* y, int64_t row, int64_t col) noexcept
    const DwTileFn* dw_tiles(int64_t K, int64_t S, int64_t D, int inside) noexcept

cdef enum:
    EPILOGUE_AT = 16
    BAND = 16       # output rows


cdef int f32_conv_dw_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef DwTile t
    cdef CynEpilogue e = cyn_epilogue(a, EPILOGUE_AT, 0), late
    cdef const float* x = <const float*> a.p[0]
    cdef const float* w = <const float*> a.p[1]
    cdef const float* bias = <const float*> a.p[2]
    cdef const float* plane
    cdef float* y = <float*> a.p[3]
    cdef float* to
    cdef const int64_t* n = a.n
    cdef int64_t OH = n[5], OW = n[6], SH = n[9], PT = n[13], PL = n[14]
    cdef int64_t blocks = (n[1] + 15) // 16, bands = (OH + BAND - 1) // BAND, ntiles = (OW + DW_PIXELS - 1) // DW_PIXELS
    cdef int64_t u, lo, hi, b, i, j, k, r, at, row, col, done = 0
    cdef const DwTileFn* inside
    cdef const DwTileFn* edge
    t.IH = n[2]; t.IW = n[3]; t.KH = n[7]; t.KW = n[8]; t.SW = n[10]; t.DH = n[11]; t.DW = n[12]
    t.lo = 0
    t.hi = INFINITY
    t.bounds = 0
    t.adds = e.count > 0 and e.steps[0] == CYN_ADD
    t.add = (<float*> a.p[e.steps[1]]) - y if t.adds else 0
    done = t.adds
    if e.count > done and (e.steps[2 * done] == CYN_RELU or e.steps[2 * done] == CYN_CLIP):
        t.bounds = 1
        if e.steps[2 * done] == CYN_CLIP:
            t.lo = <float> e.f[2 * done]
            t.hi = <float> e.f[2 * done + 1]
        done += 1
    late = cyn_epilogue_after(e, done)
    inside = dw_tiles(t.KW, t.SW, t.DW, 1)
    edge = dw_tiles(t.KW, t.SW, t.DW, 0)
    cyn_share(n[0] * blocks * bands, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        if cyn_stop(ctl, tid):
            return 0
        b = u // bands % blocks
        plane = x + u // bands * t.IH * t.IW * 16
        t.w = w + b * t.KH * t.KW * 16
        t.bias = bias + b * 16 if bias != NULL else dw_zeros
        for r in range(u % bands * BAND, min(OH, (u % bands + 1) * BAND)):
            row = r * SH - PT
            to = y + (u // bands * OH + r) * OW * 16
            for i in range(ntiles):
                j = OW * i // ntiles
                k = OW * (i + 1) // ntiles
                col = j * t.SW - PL
                if inside == NULL:
                    while j < k:
                        dw_any(&t, plane, to + j * 16, row, j * t.SW - PL)
                        j += 1
                elif col >= 0 and (k - 1) * t.SW - PL + t.KW <= t.IW:
                    inside[k - j](&t, plane, to + j * 16, row, col)
                else:
                    edge[k - j](&t, plane, to + j * 16, row, col)
            if late.count:
                at = to - y
                cyn_epilogue_rows_f32(&late, to, 16, OW, 16, at, 16, b * 16, 0)
    return 0


cdef int f32_pack_conv_dw(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const float* w = <const float*> a.p[0]
    cdef float* packed = <float*> a.p[1]
    cdef int64_t C = a.n[0], taps = a.n[1] * a.n[2], lo, hi, b, k, c
    cyn_share((C + 15) // 16, tid, nt, &lo, &hi)
    for b in range(lo, hi):
        for k in range(taps):
            for c in range(16):
                packed[(b * taps + k) * 16 + c] = w[(b * 16 + c) * taps + k] if b * 16 + c < C else 0
    return 0


KERNELS = {"f32_conv_dw_c16": <size_t> &f32_conv_dw_c16, "f32_pack_conv_dw": <size_t> &f32_pack_conv_dw}
