# isa: base avx2 avx512
"""Depthwise convolutions of 1 to 3 dimensions on plain layout (N, C, D, H, W).

f32_conv_dw_plain, f64_conv_dw_plain: operands, sizes, epilogue and scratch as in conv_plain.pyx, with C = groups and M
any multiple of C. (Anything else, or a window too large for the scratch, runs as the general convolution.)

A band of the image is copied with zeros around, split by position modulo stride: every tap then reads consecutive
values at a fixed distance. A unit of work is a band of one channel, whatever the thread count; taps are summed in
blocks of 256.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.conv_parts cimport KB, conv
from cynfer.ops.kernels.epilogue cimport CynEpilogue, cyn_epilogue
from cynfer.ops.kernels.gemm_ukr cimport ceil_div, epilogue_rows, real, scale_rows, take, taps_of, zero

cdef enum:
    BAND = 16384            # values of a depthwise band that are aimed at
    BAND_MOST = 49152       # and the most
    WIDE = 2048             # columns of a depthwise band


cdef inline int64_t phases_of(int64_t count, int64_t kernel, int64_t stride, int64_t dilation) noexcept nogil:
    """Values of one phase (every stride-th) that `count` outputs need."""
    return count + (kernel - 1) * dilation // stride


cdef inline int depthwise(const Args* a, Ctl* ctl, int tid, int nt, real* kind) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef const real* x = <const real*> a.p[0]
    cdef const real* w = <const real*> a.p[1]
    cdef const real* bias = <const real*> a.p[2]
    cdef real* y = <real*> a.p[3]
    cdef int64_t M = n[2], each = n[2] // n[3], ID = n[4], IH = n[5], IW = n[6], OD = n[7], OH = n[8], OW = n[9]
    cdef int64_t KD = n[10], KH = n[11], KW = n[12], SH = n[14], SW = n[15], DH = n[17], DW = n[18]
    cdef int64_t taps = KD * KH * KW, wide, high, pitch, rows, plane, bands, strips, lo, hi, u, m, od, oh, ow, r1, c1
    cdef int64_t t, t1, kd, kh, kw, z, iy, ix, py, px, r, j0, j1, y_at, image, known = -1
    cdef CynEpilogue e = cyn_epilogue(a, 22, 0)
    cdef int64_t* at = <int64_t*> a.scratch
    cdef real* padded = <real*> (a.scratch + 2048)
    cdef real* sums
    cdef real* row
    cdef const real* source
    cdef const real* end = x + n[0] * n[1] * ID * IH * IW
    if n[0] * M * OD * OH * OW == 0:
        return 0
    wide = min(OW, <int64_t> WIDE)
    pitch = phases_of(wide, KW, SW, DW)
    high = OH
    while high > 1 and KD * SH * SW * phases_of(high, KH, SH, DH) * pitch > BAND:
        high = (high + 1) // 2
    rows = phases_of(high, KH, SH, DH)
    plane = rows * pitch
    if KD * SH * SW * plane > BAND_MOST or n[1] != n[3]:
        return conv[real](a, ctl, tid, nt, kind)
    sums = padded + KD * SH * SW * plane
    memset(sums, 0, (pitch + 256) * sizeof(real))  # read behind the band, into sums that nobody uses: no slow denormals
    sums += pitch + 256
    bands, strips = ceil_div(OH, high), ceil_div(OW, wide)
    cyn_share(n[0] * M * OD * bands * strips, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        if cyn_stop(ctl, tid):
            return 0
        ow = u % strips * wide
        oh = u // strips % bands * high
        od = u // (strips * bands) % OD
        m = u // (strips * bands * OD) % M
        image = u // (strips * bands * OD * M)
        r1, c1 = min(high, OH - oh), min(wide, OW - ow)
        # The part of the image that the band needs, with zeros around, split by position modulo stride.
        for kd in range(KD):
            z = od * n[13] + kd * n[16] - n[19]
            for py in range(SH):
                for px in range(SW):
                    ix = ow * SW + px - n[21]
                    j0 = 0 if ix >= 0 else min(pitch, ceil_div(-ix, SW))
                    j1 = 0 if ix >= IW else min(pitch, (IW - 1 - ix) // SW + 1)
                    for r in range(rows):  # in rising order: a row may spill into the next
                        iy = (oh + r) * SH + py - n[20]
                        row = padded + ((kd * SH + py) * SW + px) * plane + r * pitch
                        if z < 0 or z >= ID or iy < 0 or iy >= IH or j1 <= j0:
                            zero[real](pitch, row)
                            continue
                        source = x + (((image * n[1] + m // each) * ID + z) * IH + iy) * IW + ix
                        zero[real](j0, row)
                        take[real](j1 - j0, source + j0 * SW, SW, end, row + j0)
                        zero[real](pitch - j1, row + j1)
        t = 0
        while t < taps or t == 0:
            t1 = min(taps, t + KB)
            if t1 - t != known or taps > KB:
                known = t1 - t
                for r in range(t, t1):
                    kw, kh, kd = r % KW * DW, r // KW % KH * DH, r // (KW * KH)
                    at[r - t] = ((kd * SH + kh % SH) * SW + kw % SW) * plane + kh // SH * pitch + kw // SW
            taps_of[real](r1 * pitch, t1 - t, at, w + m * taps + t, padded, sums, t > 0)
            t += KB
        y_at = ((image * M + m) * OD + od) * OH * OW + oh * OW + ow
        scale_rows[real](r1, c1, 1, sums, pitch, 1, bias + m if bias != NULL else NULL, 0, 0, y + y_at, OW)
        if e.count:
            for r in range(r1):
                epilogue_rows[real](&e, y + y_at + r * OW, OW, 1, c1, y_at + r * OW, OW, m, 1)
    return 0


cdef int f32_conv_dw_plain(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return depthwise[float](a, ctl, tid, nt, NULL)

cdef int f64_conv_dw_plain(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return depthwise[double](a, ctl, tid, nt, NULL)


KERNELS = {
    "f32_conv_dw_plain": <size_t> &f32_conv_dw_plain,
    "f64_conv_dw_plain": <size_t> &f64_conv_dw_plain,
}

#: Private scratch of every kernel here, in bytes.
SCRATCH = 1507328
