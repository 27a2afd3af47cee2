# isa: base avx2 avx512
"""2-D convolution of float32 in the blocked layout c16: input, output and epilogue tensors are [N][blocks][H][W][16].

Sizes, for every kernel and function here, `n` =
    N, C, IH, IW, O, OH, OW, KH, KW, stride h, w, dilation h, w, pad top, left, groups, count, (kind, operand) * count
C and O count all groups; with groups > 1, C/groups and O/groups must be multiples of 16. Fewer channels per group: run
the largest divisor G of the model's groups for which they are (or 1), with weights packed for G. What the pads at the
bottom and right are follows from OH and OW. C, kernel, strides and dilations are at least 1. `f` = two scalars per
epilogue step. A 1-D convolution has IH = OH = KH = 1. Few input channels in plain layout: stem.pyx. One input channel
per output channel: depthwise.pyx.

f32_conv_c16: p = x, w, bias or None, y, epilogue operands...
    w: from f32_pack_conv_c16. bias: O values, zero-padded to a multiple of 16.
    Channels past C in x may hold any finite value. Channels past O in y are the epilogue of 0.
    y must not overlap x. An ADD operand may be y itself if it is the first step.
    Private scratch: `scratch_bytes(n)`. No shared buffer.
f32_pack_conv_c16: p = w [O][C/g][KH][KW], packed; n = O, C/g, KH, KW, g, G.
    G groups (a divisor of g) will be run by the kernel; products between different true groups get weight zero.
    packed: `packed_floats(n)` floats = [G][ceil(O/G/32)][ceil(C/G/16)][KH][KW][16 in][32 out], zero-filled.

How f32_conv_c16 works. The work is cut into bands of output pixels that fit the second-level cache; a band into
K blocks of at most 256 products; for each K block the input it needs is copied with its zero border to the scratch
(not where there is no border and no stride), then each pair of output blocks meets all pixel tiles of the band while
its weights lie in the first-level cache. A copy puts what one tile reads one after the other: column phases for
strides, and for narrow outputs one copy per kernel column, which makes all rows one long row.
"""
from libc.math cimport INFINITY
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.conv_tile cimport CONV_BLOCKS, CONV_PIXELS, ConvTile, ConvTileFn
from cynfer.ops.kernels.epilogue cimport (
    CYN_ADD, CYN_ADD_CHANNEL, CYN_ADD_SCALAR, CYN_CLIP, CYN_ELU, CYN_GELU, CYN_HARDSIGMOID, CYN_HARDSWISH, CYN_LEAKY,
    CYN_MUL, CYN_MUL_CHANNEL, CYN_MUL_SCALAR, CYN_RELU, CYN_SIGMOID, CYN_SILU, CYN_TANH,
    CynEpilogue, cyn_epilogue, cyn_epilogue_after, cyn_epilogue_rows_f32)

cdef extern from "conv_ukr.h" nogil:
    const ConvTileFn* conv_tiles_1
    const ConvTileFn* conv_tiles_2
    void conv_take(float* to, const float* start, int64_t n, int64_t step) noexcept
    void conv_zero(float* to, int64_t n) noexcept

#: Kinds of epilogue steps; epilogue.h says what each does and which scalars and operand it takes.
EPILOGUE = {
    "relu": CYN_RELU, "clip": CYN_CLIP, "leaky": CYN_LEAKY, "sigmoid": CYN_SIGMOID, "tanh": CYN_TANH,
    "hardsigmoid": CYN_HARDSIGMOID, "hardswish": CYN_HARDSWISH, "silu": CYN_SILU, "elu": CYN_ELU, "gelu": CYN_GELU,
    "add": CYN_ADD, "mul": CYN_MUL, "add_channel": CYN_ADD_CHANNEL, "mul_channel": CYN_MUL_CHANNEL,
    "add_scalar": CYN_ADD_SCALAR, "mul_scalar": CYN_MUL_SCALAR,
}

cdef enum:
    EPILOGUE_AT = 16
    INPUT_BYTES = 400 * 1024     # of one band and K block
    OUTPUT_BYTES = 768 * 1024    # of one band, all channels, where K blocks add to it
    FAR_OUTPUT = 400000          # floats of output that do not stay in the second-level cache
    MIN_TILES = 8                # per band: what must share one panel of weights


cdef struct Plan:
    int64_t N, IH, IW, OH, OW, KH, KW, SH, SW, DH, DW, PT, PL, G
    int64_t C, O                    # per group
    int64_t icb, ocb, panels        # blocks of 16, pairs of blocks; per group
    int64_t ktaps, kicb             # taps and input blocks of one K block
    int64_t tiles                   # per row, or per image if flat
    int64_t tile_pixels, long_tiles # the first long_tiles have a pixel more
    int64_t units                   # rows per image, or tiles if flat
    int64_t band                    # units per band
    int64_t rphases, cphases        # of a copy
    int64_t row                     # pixels of one row of a copy
    bint gather, flat


cdef inline int64_t up(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline int64_t pieces(int64_t total, int64_t most) noexcept nogil:
    """The largest piece when total is cut evenly into pieces of at most `most`."""
    return up(total, up(total, most))


cdef inline bint empty(const int64_t* n) noexcept nogil:
    """Nothing to compute (the output has no elements)."""
    return n[0] == 0 or n[4] == 0 or n[5] == 0 or n[6] == 0


cdef void plan(Plan* s, const int64_t* n) noexcept nogil:
    cdef int64_t taps, in_bytes, out_bytes, across
    s.N = n[0]; s.IH = n[2]; s.IW = n[3]; s.OH = n[5]; s.OW = n[6]; s.KH = n[7]; s.KW = n[8]
    s.SH = n[9]; s.SW = n[10]; s.DH = n[11]; s.DW = n[12]; s.PT = n[13]; s.PL = n[14]; s.G = n[15]
    s.C = n[1] // s.G
    s.O = n[4] // s.G
    s.icb = up(s.C, 16)
    s.ocb = up(s.O, 16)
    s.panels = up(s.ocb, 2)
    taps = s.KH * s.KW
    s.ktaps = pieces(taps, 16)
    s.kicb = pieces(s.icb, max(1, 16 // taps))
    s.gather = (s.PT != 0 or s.PL != 0 or s.SW != 1 or (s.OH - 1) * s.SH + (s.KH - 1) * s.DH + 1 > s.IH
                or s.OW - 1 + (s.KW - 1) * s.DW + 1 > s.IW)
    if s.gather:
        s.flat = s.KW == 1 or (s.OW < 28 and s.OW < 11 * up(s.OW, 14))
    else:
        s.flat = s.KW == 1 and s.SH == 1
    s.rphases = s.cphases = 1
    s.row = s.IW
    if s.gather and s.flat:
        s.rphases = min(s.SH, (s.KH - 1) * s.DH + 1)
        s.cphases = s.KW
        s.row = s.OW
    elif s.gather:
        s.cphases = min(s.SW, (s.KW - 1) * s.DW + 1)
        s.row = s.OW + (s.KW - 1) * s.DW // s.SW
    if s.flat:
        s.tiles = s.units = up(s.OH * s.OW, CONV_PIXELS)
        across = up(s.OH * s.OW, s.units)
    else:
        s.tiles = up(s.OW, CONV_PIXELS)
        s.units = s.OH
        across = s.OW
    s.tile_pixels = (s.OH * s.OW if s.flat else s.OW) // s.tiles
    s.long_tiles = (s.OH * s.OW if s.flat else s.OW) % s.tiles
    in_bytes = across * s.kicb * 64 * s.cphases * (1 if s.flat else s.SH)
    out_bytes = across * (1 if taps == s.ktaps and s.icb == s.kicb else s.O) * 4
    s.band = max(up(MIN_TILES, 1 if s.flat else s.tiles), min(INPUT_BYTES // in_bytes, OUTPUT_BYTES // out_bytes))
    if s.band >= s.units:
        s.band = min(s.N, s.band // s.units) * s.units


cdef inline int64_t tile_start(const Plan* s, int64_t t) noexcept nogil:
    return t * s.tile_pixels + min(t, s.long_tiles)


cdef inline int64_t copied_rows(const Plan* s, int64_t rows) noexcept nogil:
    """Rows of each plane of a copy that serves `rows` output rows."""
    if s.flat:
        return rows + (s.KH - 1) * s.DH // s.SH
    return (rows - 1) * s.SH + (s.KH - 1) * s.DH + 1


cdef int64_t copy_floats(const Plan* s) noexcept nogil:
    cdef int64_t images = max(<int64_t> 1, s.band // s.units), rows = s.OH
    if not s.gather:
        return 0
    if s.band < s.units:
        rows = min(s.OH, s.band * CONV_PIXELS // s.OW + 2) if s.flat else s.band
    return images * s.kicb * s.rphases * s.cphases * copied_rows(s, rows) * s.row * 16


cdef void copy_plane(float* to, const float* x, const Plan* s, int64_t rows, int64_t row0, int64_t row_step,
                     int64_t col0) noexcept nogil:
    """s.row pixels of each of `rows` rows of one image and block, zero outside of the input."""
    cdef int64_t r, at, lo, hi
    lo = min(s.row, max(<int64_t> 0, up(-col0, s.SW) if col0 < 0 else 0))
    hi = min(s.row, max(lo, up(s.IW - col0, s.SW) if s.IW > col0 else 0))
    for r in range(rows):
        at = row0 + r * row_step
        if at < 0 or at >= s.IH:
            conv_zero(to, s.row)
        else:
            conv_zero(to, lo)
            conv_take(to + lo * 16, x + (at * s.IW + col0 + lo * s.SW) * 16, hi - lo, s.SW)
            conv_zero(to + hi * 16, s.row - hi)
        to += s.row * 16


cdef void copy_block(float* to, const float* x, const Plan* s, int64_t y0, int64_t rows) noexcept nogil:
    """All planes of one image and input block for output rows y0 and on."""
    cdef int64_t i, k, planes = copied_rows(s, rows)
    for k in range(s.cphases):
        if s.flat:
            for i in range(s.rphases):
                copy_plane(to, x, s, planes, y0 * s.SH - s.PT + i, s.SH, k * s.DW - s.PL)
                to += planes * s.row * 16
        else:
            copy_plane(to, x, s, planes, y0 * s.SH - s.PT, 1, k - s.PL)
            to += planes * s.row * 16


cdef int64_t tap_offset(const Plan* s, int64_t kh, int64_t kw, int64_t rows) noexcept nogil:
    """Floats from a pixel's place in the input or copy (serving `rows` output rows) to what tap (kh, kw) meets."""
    cdef int64_t planes
    if not s.gather:
        return (kh * s.DH * s.IW + kw * s.DW) * 16
    planes = copied_rows(s, rows)
    if s.flat:
        return (((kw * s.rphases + kh * s.DH % s.SH) * planes + kh * s.DH // s.SH) * s.row) * 16
    return ((kw * s.DW % s.SW * planes + kh * s.DH) * s.row + kw * s.DW // s.SW) * 16


cdef struct Work:
    const Plan* s
    ConvTile* tile
    const CynEpilogue* late    # what the tile does not do in registers
    int64_t images             # of this band
    int64_t first, last        # units of each image
    int64_t y0                 # output row at which the input or copy begins
    int64_t x_image            # floats from one image to the next


cdef void run_panel(const Work* k, const float* x, const float* w, float* y, int64_t blocks, int64_t image_floats,
                    int64_t at, int64_t channel, const char* ahead, int64_t ahead_bytes) noexcept nogil:
    """All pixel tiles of the band for the `blocks` output blocks that start at y (`at` floats into the output).

    Meanwhile the next panel (ahead) comes into the second-level cache, a few lines per tap.
    """
    cdef const Plan* s = k.s
    cdef int64_t i, u, t, b, e, o, c
    cdef int64_t passes = k.tile.nblocks * k.tile.ntaps, lines
    cdef const char* ahead_end = ahead + ahead_bytes
    cdef const float* from_
    cdef float* to
    cdef const ConvTileFn* tiles = conv_tiles_2 if blocks == 2 else conv_tiles_1
    lines = up(ahead_bytes, 64 * passes * k.images * (k.last - k.first) * (1 if s.flat else s.tiles))
    for i in range(k.images):
        for u in range(k.first, k.last):
            if s.flat:
                t = u
                e = tile_start(s, u)
            else:
                t = e = 0
            for t in range(t, u + 1 if s.flat else s.tiles):
                b = e
                e += s.tile_pixels + (t < s.long_tiles)
                if s.flat:
                    from_ = x + (b - k.y0 * s.OW) * 16
                    o = b * 16
                else:
                    from_ = x + ((u - k.y0) * s.SH * s.row + b) * 16
                    o = (u * s.OW + b) * 16
                to = y + o
                tiles[e - b](k.tile, from_, w, to, ahead, lines)
                ahead += lines * passes * 64
                if ahead >= ahead_end:
                    lines = 0
                if k.late.count:
                    for c in range(blocks):
                        cyn_epilogue_rows_f32(k.late, to + c * k.tile.y_block, 16, e - b, 16,
                                              at + o + c * k.tile.y_block, 16, channel + c * 16, 0)
        x += k.x_image
        y += image_floats
        at += image_floats


cdef void split(int64_t units, int64_t panels, int64_t unit_cost, int64_t x_bytes, int64_t w_bytes, int nt,
                int64_t* a, int64_t* b) noexcept nogil:
    """Into a * b = nt parts: a of the units (bands of pixels), b of the panels (output channels)."""
    cdef int64_t i, cost, best = -1
    a[0] = b[0] = 1
    for i in range(1, nt + 1):
        if nt % i == 0:
            cost = up(units, i) * up(panels, nt // i) * unit_cost + (x_bytes // i + w_bytes // (nt // i)) // 8
            if best < 0 or cost < best:
                best = cost
                a[0] = i
                b[0] = nt // i


cdef int f32_conv_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef Plan s
    cdef ConvTile tile
    cdef Work k
    cdef CynEpilogue e = cyn_epilogue(a, EPILOGUE_AT, 0), late, none
    cdef const float* x = <const float*> a.p[0]
    cdef const float* w = <const float*> a.p[1]
    cdef const float* bias = <const float*> a.p[2]
    cdef float* y = <float*> a.p[3]
    cdef int64_t* taps = <int64_t*> a.scratch
    cdef float* copy
    cdef float zeros[32]
    cdef int64_t ta, tb, u0, u1, q0, q1, u, g, q, kb, image, rows, block_floats, image_x, image_y, plane
    cdef int64_t i, j, ntap, t0, t1, ic0, ic1, blocks, c, at, done = 0
    cdef int add = 0, bounds = 0
    cdef float lo = 0, hi = INFINITY
    cdef const float* base
    cdef const float* weights
    if empty(a.n):
        return 0
    plan(&s, a.n)
    ntap = s.KH * s.KW
    copy = <float*> (a.scratch + up(ntap * 8, 64) * 64)
    for i in range(32):
        zeros[i] = 0
    if e.count > done and e.steps[2 * done] == CYN_ADD:
        add = 1
        done += 1
    if e.count > done and e.steps[2 * done] == CYN_RELU:
        bounds = 1
        lo = 0
        done += 1
    elif e.count > done and e.steps[2 * done] == CYN_CLIP:
        bounds = 1
        lo = <float> e.f[2 * done]
        hi = <float> e.f[2 * done + 1]
        done += 1
    late = cyn_epilogue_after(e, done)
    none = e
    none.count = 0
    split(s.N * s.units, s.G * s.panels, s.C * ntap * (CONV_PIXELS if s.flat else s.OW),
          s.N * s.G * s.icb * s.IH * s.IW * 64, s.G * s.O * s.C * ntap * 4, nt, &ta, &tb)
    cyn_share(s.N * s.units, tid // tb, ta, &u0, &u1)
    cyn_share(s.G * s.panels, tid % tb, tb, &q0, &q1)
    image_x = s.G * s.icb * s.IH * s.IW * 16
    plane = s.OH * s.OW * 16
    image_y = s.G * s.ocb * plane
    k.s = &s
    k.tile = &tile
    tile.y_block = plane
    tile.lo = lo
    tile.hi = hi
    u = u0
    while u < u1 and q0 < q1:
        image = u // s.units
        k.first = u % s.units
        k.images = 1
        if k.first == 0 and s.band >= s.units and u1 - u >= s.units:
            k.images = min(s.band, u1 - u) // s.units
            k.last = s.units
        else:
            k.last = min(s.units, k.first + min(s.band, u1 - u))
        u += k.images * (k.last - k.first)
        k.y0 = 0
        rows = s.OH
        if s.gather:
            k.y0 = tile_start(&s, k.first) // s.OW if s.flat else k.first
            rows = (up(tile_start(&s, k.last), s.OW) if s.flat else k.last) - k.y0
        for i in range(s.KH):
            for j in range(s.KW):
                taps[i * s.KW + j] = tap_offset(&s, i, j, rows)
        block_floats = s.rphases * s.cphases * copied_rows(&s, rows) * s.row * 16
        for g in range(q0 // s.panels, (q1 - 1) // s.panels + 1):
            ic0 = 0
            while ic0 < s.icb:
                ic1 = min(s.icb, ic0 + s.kicb)
                base = x + image * image_x + (g * s.icb + ic0) * s.IH * s.IW * 16
                tile.x_block = s.IH * s.IW * 16
                k.x_image = image_x
                if s.gather:
                    tile.x_block = block_floats
                    k.x_image = (ic1 - ic0) * block_floats
                    for i in range(k.images):
                        for j in range(ic1 - ic0):
                            copy_block(copy + i * k.x_image + j * block_floats,
                                       base + i * image_x + j * s.IH * s.IW * 16, &s, k.y0, rows)
                    base = copy
                t0 = 0
                while t0 < ntap:
                    t1 = min(ntap, t0 + s.ktaps)
                    tile.taps = taps + t0
                    tile.ntaps = t1 - t0
                    tile.nblocks = ic1 - ic0
                    kb = ic1 == s.icb and t1 == ntap
                    tile.bounds = bounds if kb else 0
                    tile.far_output = ic0 == 0 and t0 == 0 and s.N * image_y > FAR_OUTPUT
                    tile.adds = add and ic0 == 0 and t0 == 0
                    tile.add = (<float*> a.p[e.steps[1]]) - y if tile.adds else 0
                    k.late = &late if kb else &none
                    for q in range(max(q0, g * s.panels), min(q1, (g + 1) * s.panels)):
                        if cyn_stop(ctl, tid):
                            return 0
                        i = 0
                        while i < 2 and (q - g * s.panels) * 2 + i < s.ocb:
                            blocks = min(<int64_t> CONV_BLOCKS, s.ocb - (q - g * s.panels) * 2 - i)
                            c = (g * s.ocb + (q - g * s.panels) * 2 + i) * 16
                            tile.bias = NULL
                            if ic0 == 0 and t0 == 0:
                                tile.bias = bias + c if bias != NULL else <const float*> zeros
                            at = image * image_y + c // 16 * plane
                            weights = w + ((q * s.icb + ic0) * ntap + t0) * 512 + i * 16
                            run_panel(&k, base, weights, y + at, blocks, image_y, at, c,
                                      <const char*> (weights + s.icb * ntap * 512),
                                      tile.nblocks * tile.ntaps * 2048 if i == 0 and q + 1 < q1 else 0)
                            i += blocks
                    t0 = t1
                ic0 = ic1
    return 0


cdef int f32_pack_conv_c16(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const float* w = <const float*> a.p[0]
    cdef float* packed = <float*> a.p[1]
    cdef int64_t O = a.n[0], CG = a.n[1], taps = a.n[2] * a.n[3], g = a.n[4], G = a.n[5]
    cdef int64_t OG = O // g, merged = g // G, C = CG * merged, OP = O // G
    cdef int64_t panels = up(OP, 32), icb = up(C, 16), lo, hi, q, ib, t, i, j, o, c
    cdef float* to
    cdef const float* w_row
    cyn_share(G * panels * icb, tid, nt, &lo, &hi)
    for q in range(lo, hi):
        if cyn_stop(ctl, tid):
            return 0
        ib = q % icb
        to = packed + q * taps * 512
        if merged == 1 and (ib + 1) * 16 <= C and (q // icb % panels + 1) * 32 <= OP:
            # a whole block: rows of 16 * taps consecutive weights, 32 of them side by side
            w_row = w + ((q // icb // panels * OP + q // icb % panels * 32) * CG + ib * 16) * taps
            for i in range(16):
                for t in range(taps):
                    for j in range(32):
                        to[(t * 16 + i) * 32 + j] = w_row[j * CG * taps + i * taps + t]
            continue
        for t in range(taps):
            for i in range(16):
                c = ib * 16 + i
                for j in range(32):
                    o = q // icb % panels * 32 + j
                    if c < C and o < OP and c // CG == o // OG:
                        to[(t * 16 + i) * 32 + j] = w[((q // icb // panels * OP + o) * CG + c % CG) * taps + t]
                    else:
                        to[(t * 16 + i) * 32 + j] = 0
    return 0


def scratch_bytes(n) -> int:
    """Private scratch that f32_conv_c16 needs per thread."""
    cdef int64_t sizes[16]
    cdef Plan s
    for i in range(16):
        sizes[i] = n[i]
    if empty(sizes):
        return 0
    plan(&s, sizes)
    return up(s.KH * s.KW * 8, 64) * 64 + copy_floats(&s) * 4


def packed_floats(n) -> int:
    """Length of what f32_pack_conv_c16 writes."""
    O, CG, KH, KW, g, G = n[:6]
    return G * -(-O // G // 32) * -(-CG * (g // G) // 16) * KH * KW * 512


KERNELS = {"f32_conv_c16": <size_t> &f32_conv_c16, "f32_pack_conv_c16": <size_t> &f32_pack_conv_c16}
