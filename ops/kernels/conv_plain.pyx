# isa: base avx2 avx512
"""Convolutions of 1 to 3 dimensions on plain layout (N, C, D, H, W), and their transposes.

f32_conv_plain, f64_conv_plain: any groups, strides, dilations and pads.
f32_conv_transpose_plain, f64_conv_transpose_plain: ConvTranspose.
    p = x (N, C, ID, IH, IW), w, bias (M) or NULL, y (N, M, OD, OH, OW), epilogue operands...
        w is (M, C / groups, KD, KH, KW) for a convolution, (C, M / groups, KD, KH, KW) for a transposed one.
    n = N, C, M, groups, ID, IH, IW, OD, OH, OW, KD, KH, KW, stride D, H, W, dilation D, H, W, pad before D, H, W,
        then the epilogue list of epilogue.h (n[22], f[0]); channels are those of y. Missing dimensions have size 1,
        stride 1, dilation 1 and pad 0. Pads after and output padding follow from the output size.
    scratch: SCRATCH bytes.

A convolution is a matrix product: rows of A are output channels, k runs over (channel, tap), columns are output
positions. A panel of columns is gathered into scratch just before use, in blocks of 256 k; each block's sum starts from
zero and is added to the sum so far. A transposed convolution of stride s is one ordinary convolution for each position
modulo s. The bits of an element depend on the sizes of its sum alone: work may be cut by thread count.
"""
from libc.stdint cimport int64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.conv_parts cimport Conv, backward, conv, lay_flat, part
from cynfer.ops.kernels.epilogue cimport CynEpilogue, cyn_epilogue
from cynfer.ops.kernels.gemm_ukr cimport CYN_MR, ceil_div, epilogue_rows, real


cdef inline int transpose(const Args* a, Ctl* ctl, int tid, int nt, real* kind) noexcept nogil:
    cdef int64_t NR = 128 // <int64_t> sizeof(real)
    cdef const int64_t* n = a.n
    cdef const real* x = <const real*> a.p[0]
    cdef const real* w = <const real*> a.p[1]
    cdef const real* bias = <const real*> a.p[2]
    cdef const real* own
    cdef int64_t groups = n[3], items = n[0] * n[3], chunks, chunk, lo, hi, u, item, g, m, phase, t1, at, i
    cdef bint apart = n[13] * n[14] * n[15] > 1
    cdef CynEpilogue e = cyn_epilogue(a, 22, 0), later = e
    cdef Conv v
    if apart:
        e.count = 0
    v.C, v.M = n[1] // groups, n[2] // groups
    v.x_channel, v.y_channel = n[4] * n[5] * n[6], n[7] * n[8] * n[9]
    if items * v.M * v.y_channel == 0:
        return 0
    v.w_m = n[10] * n[11] * n[12]
    v.w_c = v.M * v.w_m
    v.near = 1
    v.height = ceil_div(v.M, ceil_div(v.M, CYN_MR))
    v.tiles = ceil_div(v.M, v.height)
    # Channels are shared out, not positions: an epilogue over all phases follows.
    chunks = min(v.tiles, ceil_div(4 * nt, items)) if nt > 1 else 1
    chunk = ceil_div(v.tiles, chunks)
    chunks = ceil_div(v.tiles, chunk)
    cyn_share(items * chunks, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        item = u // chunks
        g = item % groups
        m = u % chunks
        t1 = min(v.tiles, (m + 1) * chunk)
        own = bias + g * v.M if bias != NULL else NULL
        for phase in range(n[13] * n[14] * n[15]):
            v.d = backward(n[4], n[7], n[10], n[13], n[16], n[19], phase // (n[14] * n[15]))
            v.h = backward(n[5], n[8], n[11], n[14], n[17], n[20], phase // n[15] % n[14])
            v.w = backward(n[6], n[9], n[12], n[15], n[18], n[21], phase % n[15])
            v.taps = v.d.taps * v.h.taps * v.w.taps
            v.K = v.C * v.taps
            lay_flat(&v, NR)
            if part[real](a, ctl, tid, &v, &e, x + item * v.C * v.x_channel, x + items * v.C * v.x_channel,
                          w + g * v.C * v.w_c, own, <real*> a.p[3], item * v.M * v.y_channel, g * v.M, m * chunk, t1,
                          0, ceil_div(v.positions, NR)):
                return 0
        if apart and later.count:
            for i in range(m * chunk * v.height, min(v.M, t1 * v.height)):
                at = (item * v.M + i) * v.y_channel
                if cyn_stop(ctl, tid):
                    return 0
                epilogue_rows[real](&later, <real*> a.p[3] + at, v.y_channel, 1, v.y_channel, at, v.y_channel,
                                    g * v.M + i, 1)
    return 0


cdef int f32_conv_plain(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return conv[float](a, ctl, tid, nt, NULL)

cdef int f64_conv_plain(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return conv[double](a, ctl, tid, nt, NULL)

cdef int f32_conv_transpose_plain(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return transpose[float](a, ctl, tid, nt, NULL)

cdef int f64_conv_transpose_plain(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return transpose[double](a, ctl, tid, nt, NULL)


KERNELS = {
    "f32_conv_plain": <size_t> &f32_conv_plain,
    "f64_conv_plain": <size_t> &f64_conv_plain,
    "f32_conv_transpose_plain": <size_t> &f32_conv_transpose_plain,
    "f64_conv_transpose_plain": <size_t> &f64_conv_transpose_plain,
}

#: Private scratch of every kernel here, in bytes.
SCRATCH = 1507328
