# Convolution as a matrix product, part by part: what conv_plain.pyx says, shared with its relatives.
from libc.stdint cimport int32_t, int64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.epilogue cimport CynEpilogue, cyn_epilogue
from cynfer.ops.kernels.gemm_ukr cimport (
    CYN_MR, CYN_TAPS, CynRun, ceil_div, copy, epilogue_rows, pack_runs, real, scale_rows, take, tile, zero)

cdef enum:
    KB = 256                # the longest sum without an intermediate one
    MC = 252                # rows of copied weights: a multiple of every tile height
    LDA = KB + 16           # their row stride: rows of one tile in different sets of the L1 cache
    NEAR = 548352           # bytes of copied weights: MC * (KB + 16) float64
    PANELS = 262144         # bytes of gathered panels
    ACC = 524288            # bytes of sums kept between blocks of k
    ROWS = 2048             # most rows at once, two panels of sums of which fit
    FLAT = 64               # most channels that do not repay gathering
    SPILL = 256             # bytes that a row may spill behind the last panel


cdef struct Axis:           # positions q < count read x[q * stride + off - tap * back] and write y[first + q * step]
    int64_t size, kernel, out
    int64_t count, taps, stride, off, back, first, step, tap_first, tap_step


cdef struct Conv:           # one group of one image, for the positions of its axes
    Axis d, h, w
    int64_t C, M, K, taps, height, tiles, x_channel, y_channel, w_m, w_c
    int64_t pitch, positions            # see lay_flat; pitch 0: panels are gathered
    int near


cdef inline Axis forward(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                         int64_t pad) noexcept nogil:
    cdef Axis a
    a.size, a.out, a.kernel, a.count, a.taps = size, out, kernel, out, kernel
    a.stride, a.off, a.back = stride, -pad, -dilation
    a.first, a.step, a.tap_first, a.tap_step = 0, 1, 0, 1
    return a


cdef inline Axis backward(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad,
                          int64_t phase) noexcept nogil:
    """The outputs phase, phase + stride, ...: which taps reach them, and from where."""
    cdef Axis a
    cdef int64_t t, second
    a.size, a.out, a.kernel, a.stride, a.first, a.step = size, out, kernel, 1, phase, stride
    a.count = ceil_div(out - phase, stride) if out > phase else 0
    a.taps, a.tap_first, a.tap_step, a.off, a.back = 0, 0, 1, 0, 0
    for t in range(min(kernel, stride)):
        if (phase + pad - t * dilation) % stride == 0:
            second = t + 1
            while second * dilation % stride != t * dilation % stride:
                second += 1
            a.tap_first = t
            a.tap_step = second - t
            a.taps = ceil_div(kernel - t, a.tap_step)
            a.off = (phase + pad - t * dilation) // stride
            a.back = a.tap_step * dilation // stride
            break
    return a


cdef inline int emit(CynRun* runs, int count, int64_t start, int64_t to, int64_t size, int64_t step) noexcept nogil:
    """Appends a run, or lengthens the last one; returns the new count."""
    cdef CynRun* last
    if size <= 0:
        return count
    if count:
        last = runs + count - 1
        if start < 0 and last.start < 0 or start >= 0 and last.start >= 0 and last.start + last.size * step == start:
            last.size += <int32_t> size
            return count
    runs[count].start = start
    runs[count].to = <int32_t> to
    runs[count].size = <int32_t> size
    return count + 1


cdef inline int runs_of(const Conv* v, int64_t tap, int64_t pixel, int64_t cols, int64_t NR,
                        CynRun* runs) noexcept nogil:
    """The runs of one panel row: positions pixel... of the output as seen by one tap."""
    cdef int64_t kw = tap % v.w.taps, kh = tap // v.w.taps % v.h.taps, kd = tap // (v.w.taps * v.h.taps)
    cdef int64_t qw = pixel % v.w.count, qh = pixel // v.w.count % v.h.count, qd = pixel // (v.w.count * v.h.count)
    cdef int64_t to = 0, size, z, y, x, lo, hi
    cdef int count = 0
    while to < cols:
        size = min(v.w.count - qw, cols - to)
        z = qd * v.d.stride + v.d.off - kd * v.d.back
        y = qh * v.h.stride + v.h.off - kh * v.h.back
        if z < 0 or z >= v.d.size or y < 0 or y >= v.h.size:
            count = emit(runs, count, -1, to, size, v.w.stride)
        else:
            x = qw * v.w.stride + v.w.off - kw * v.w.back
            lo = 0 if x >= 0 else min(size, ceil_div(-x, v.w.stride))
            hi = 0 if x >= v.w.size else min(size, (v.w.size - 1 - x) // v.w.stride + 1)
            hi = max(lo, hi)
            count = emit(runs, count, -1, to, lo, v.w.stride)
            count = emit(runs, count, (z * v.h.size + y) * v.w.size + x + lo * v.w.stride, to + lo, hi - lo, v.w.stride)
            count = emit(runs, count, -1, to + hi, size - hi, v.w.stride)
        to += size
        qw = 0
        qh += 1
        if qh == v.h.count:
            qh = 0
            qd += 1
    return emit(runs, count, -1, cols, NR - cols, v.w.stride)


cdef inline void gather(const Conv* v, const real* x, const real* end, int64_t k, int64_t kc, int64_t pixel,
                        int64_t cols, CynRun* runs, int32_t* counts, real* y) noexcept nogil:
    """Rows k to k + kc of the panel of positions pixel..."""
    cdef int64_t NR = 128 // <int64_t> sizeof(real), u, n = v.taps
    if v.taps > CYN_TAPS:
        n = kc
    for u in range(n):
        counts[u] = runs_of(v, (k + u) % v.taps if v.taps > CYN_TAPS else u, pixel, cols, NR, runs + u * NR)
    pack_runs[real](kc, k, v.taps, runs, counts, x, v.x_channel, v.w.stride, end, y)


cdef inline int64_t lowest(const Axis* a) noexcept nogil:
    """Where the first position's window begins."""
    return a.off - max(<int64_t> 0, (a.taps - 1) * a.back)


cdef inline int64_t reach(const Axis* a) noexcept nogil:
    """How many positions later, in units of the stride, a window ends."""
    return max((a.taps - 1) * a.back, -(a.taps - 1) * a.back) // a.stride


cdef inline void lay_flat(Conv* v, int64_t NR) noexcept nogil:
    """Chooses between gathered panels and panels read in place.

    In place: channels are copied once with zeros around, split by position modulo stride; positions are numbered along
    these rows, so that every tap sees consecutive ones at a fixed distance. The positions beyond the right edge are
    wasted, and rows begin anywhere in a cache line, which pays while the channels are few.
    """
    cdef int64_t count = v.d.count * v.h.count * v.w.count, flat
    v.pitch, v.positions = 0, count
    if v.taps < 2 or v.taps > CYN_TAPS or v.d.size * v.d.out * v.d.kernel != 1 or v.d.off != 0 or count == 0:
        return
    flat = (v.h.count - 1) * (v.w.count + reach(&v.w)) + v.w.count
    if v.M <= FLAT and ceil_div(flat, NR) * v.M <= ceil_div(count, NR) * (v.M + 24) and plane_bytes(v, 1, NR) <= PANELS:
        v.pitch, v.positions = v.w.count + reach(&v.w), flat


cdef inline int64_t plane_bytes(const Conv* v, int64_t panels, int64_t NR) noexcept nogil:
    """Room for the channels of one block of k behind so many panels, and what a tile reads behind them."""
    cdef int64_t pitch = v.w.count + reach(&v.w)
    cdef int64_t rows = min(v.h.count, (panels * NR - 1) // pitch + 2) + reach(&v.h) + 1
    cdef int64_t channels = min(v.C, KB // v.taps + 2)
    return (channels * v.h.stride * v.w.stride * rows + 1) * pitch * (128 // NR) + 2 * 128


cdef inline void lay(const Conv* v, const real* x, const real* end, int64_t k, int64_t kc, int64_t row, int64_t rows,
                     int64_t* at, real* y) noexcept nogil:
    """Channels of rows k to k + kc of B, rows row... of the output, and where each row of B begins."""
    cdef int64_t plane = rows * v.pitch, c, py, px, r, iy, ix, j0, j1, u, t, dy, dx
    cdef int64_t channel = plane * v.h.stride * v.w.stride, first = k // v.taps
    cdef const real* source
    cdef real* to = y
    for c in range(first, (k + kc - 1) // v.taps + 1):
        source = x + c * v.x_channel
        for py in range(v.h.stride):
            for px in range(v.w.stride):
                ix = lowest(&v.w) + px
                j0 = 0 if ix >= 0 else min(v.pitch, ceil_div(-ix, v.w.stride))
                j1 = 0 if ix >= v.w.size else min(v.pitch, (v.w.size - 1 - ix) // v.w.stride + 1)
                for r in range(rows):  # in rising order: a row may spill into the next
                    iy = (row + r) * v.h.stride + py + lowest(&v.h)
                    if iy < 0 or iy >= v.h.size or j1 <= j0:
                        zero[real](v.pitch, to)
                    else:
                        zero[real](j0, to)
                        take[real](j1 - j0, source + iy * v.w.size + ix + j0 * v.w.stride, v.w.stride, end, to + j0)
                        zero[real](v.pitch - j1, to + j1)
                    to += v.pitch
    zero[real](v.pitch + 256 // <int64_t> sizeof(real), to)
    for u in range(kc):
        t = (k + u) % v.taps
        dy = v.h.off - t // v.w.taps * v.h.back - lowest(&v.h)
        dx = v.w.off - t % v.w.taps * v.w.back - lowest(&v.w)
        at[u] = (((k + u) // v.taps - first) * channel + (dy % v.h.stride * v.w.stride + dx % v.w.stride) * plane
                 + dy // v.h.stride * v.pitch + dx // v.w.stride)


cdef inline void copy_weights(const Conv* v, const real* w, int64_t i0, int64_t i1, int64_t k, int64_t kc,
                              real* y) noexcept nogil:
    """Rows i0 to i1 of A, columns k to k + kc."""
    if v.w_c == v.taps:
        copy[real](i1 - i0, kc, w + i0 * v.w_m + k, v.w_m, 1, y, LDA)
        return
    cdef int64_t u, t, i, at
    cdef const real* p
    for u in range(kc):
        t = (k + u) % v.taps
        at = ((t // (v.w.taps * v.h.taps) * v.d.tap_step + v.d.tap_first) * v.h.kernel
              + t // v.w.taps % v.h.taps * v.h.tap_step + v.h.tap_first) * v.w.kernel
        at += t % v.w.taps * v.w.tap_step + v.w.tap_first
        p = w + (k + u) // v.taps * v.w_c + at
        for i in range(i0, i1):
            y[(i - i0) * LDA + u] = p[i * v.w_m]


cdef inline void finish(const Conv* v, const CynEpilogue* e, real* sums, int64_t rows, int64_t i, int64_t pixel,
                        int64_t cols, const real* bias, real* y, int64_t y_at, int64_t channel) noexcept nogil:
    """Writes rows i... of the output at positions pixel..."""
    cdef int64_t j, stop, qw, qh
    if v.pitch:
        # Cut into the pieces that lie inside the rows.
        j = 0
        while j < cols:
            qw, qh = (pixel + j) % v.pitch, (pixel + j) // v.pitch
            stop = min(cols - j, v.w.count - qw)
            if stop > 0:
                place[real](v, e, sums + j, rows, i, qh * v.w.count + qw, stop, bias, y, y_at, channel)
            j += v.pitch - qw
    else:
        place[real](v, e, sums, rows, i, pixel, cols, bias, y, y_at, channel)


cdef inline void place(const Conv* v, const CynEpilogue* e, real* sums, int64_t rows, int64_t i, int64_t pixel,
                       int64_t cols, const real* bias, real* y, int64_t y_at, int64_t channel) noexcept nogil:
    """Writes sums of consecutive positions."""
    cdef int64_t NR = 128 // <int64_t> sizeof(real), r, j, stop, qw, qh, qd
    cdef real* row
    cdef real* to
    cdef real plus
    if bias != NULL:
        bias += i
    y_at += i * v.y_channel
    if v.d.step == 1 and v.h.step == 1 and v.w.step == 1:
        scale_rows[real](rows, cols, 1, sums, NR, 1, bias, 1, 0, y + y_at + pixel, v.y_channel)
        if e.count:
            epilogue_rows[real](e, y + y_at + pixel, v.y_channel, rows, cols, y_at + pixel, v.y_channel, channel + i, 1)
        return
    for r in range(rows):
        plus = bias[r] if bias != NULL else <real> 0
        qw, qh, qd = pixel % v.w.count, pixel // v.w.count % v.h.count, pixel // (v.w.count * v.h.count)
        row = y + y_at + r * v.y_channel
        j = 0
        while j < cols:
            to = row + ((qd * v.d.step + v.d.first) * v.h.out + qh * v.h.step + v.h.first) * v.w.out + v.w.first
            stop = min(cols, j + v.w.count - qw)
            while j < stop:
                to[qw * v.w.step] = sums[r * NR + j] + plus
                qw += 1
                j += 1
            qw = 0
            qh += 1
            if qh == v.h.count:
                qh = 0
                qd += 1


cdef inline int part(const Args* a, Ctl* ctl, int tid, const Conv* v, const CynEpilogue* e, const real* x,
                     const real* end, const real* w, const real* bias, real* y, int64_t y_at, int64_t channel,
                     int64_t t0, int64_t t1, int64_t p0, int64_t p1) noexcept nogil:
    """Tiles t0 to t1 of channels, panels p0 to p1 of positions. Returns 1 if asked to stop."""
    cdef int64_t NR = 128 // <int64_t> sizeof(real)
    cdef int64_t pixels = v.positions, row = 0
    cdef int64_t k, kc, p, p2, t, s, s1, i, rows, cols, lda, most
    cdef char* room = a.scratch
    cdef real* acc = <real*> room
    cdef real* near = <real*> (room + ACC)
    cdef real* panels = <real*> (room + ACC + NEAR)
    cdef CynRun* runs = <CynRun*> (room + ACC + NEAR + PANELS + SPILL)
    cdef int32_t* counts = <int32_t*> (runs + CYN_TAPS * NR)
    cdef int64_t* at = <int64_t*> runs      # for panels read in place, which need no runs
    cdef real* sums
    cdef const real* weights
    if t1 - t0 > ROWS // v.height:
        for t in range(t0, t1):
            if (t - t0) % (ROWS // v.height) == 0 and part[real](
                    a, ctl, tid, v, e, x, end, w, bias, y, y_at, channel, t, min(t1, t + ROWS // v.height), p0, p1):
                return 1
        return 0
    most = min(min(<int64_t> ACC // ((t1 - t0) * v.height * 128), PANELS // (KB * 128)), p1 - p0)
    while v.pitch and plane_bytes(v, most, NR) > PANELS:
        most -= 1
    while p0 < p1:
        p2 = min(p1, p0 + most)
        k = 0
        while k < v.K or k == 0:
            kc = min(<int64_t> KB, v.K - k)
            if v.pitch:
                if cyn_stop(ctl, tid):
                    return 1
                row = p0 * NR // v.pitch
                rows = (min(p2 * NR, pixels) - 1) // v.pitch - row + 1 + reach(&v.h)
                lay[real](v, x, end, k, kc, row, rows, at, panels)
            for p in range(p0, p2 if v.pitch == 0 else p0):
                if cyn_stop(ctl, tid):
                    return 1
                if kc:
                    gather[real](v, x, end, k, kc, p * NR, min(NR, pixels - p * NR), runs, counts,
                                 panels + (p - p0) * KB * NR)
            s = t0
            while s < t1:
                s1 = min(t1, s + MC // v.height)
                weights = w + s * v.height * v.w_m + k
                lda = v.w_m
                if v.near:
                    copy_weights[real](v, w, s * v.height, min(v.M, s1 * v.height), k, kc, near)
                    weights = near
                    lda = LDA
                for t in range(s, s1):
                    if cyn_stop(ctl, tid):
                        return 1
                    i = t * v.height
                    rows = min(v.height, v.M - i)
                    for p in range(p0, p2):
                        cols = min(NR, pixels - p * NR)
                        sums = acc
                        if v.K > KB:
                            sums = acc + ((p - p0) * (t1 - t0) + t - t0) * v.height * NR
                        if v.pitch:
                            tile[real](rows, cols, kc, weights + (t - s) * v.height * lda, lda,
                                       panels + p * NR - row * v.pitch, at, sums, k > 0)
                        else:
                            tile[real](rows, cols, kc, weights + (t - s) * v.height * lda, lda,
                                       panels + (p - p0) * KB * NR, NULL, sums, k > 0)
                        if k + kc == v.K:
                            finish[real](v, e, sums, rows, i, p * NR, cols, bias, y, y_at, channel)
                s = s1
            k += KB
        p0 = p2
    return 0


cdef inline int conv(const Args* a, Ctl* ctl, int tid, int nt, real* kind) noexcept nogil:
    cdef int64_t NR = 128 // <int64_t> sizeof(real)
    cdef const int64_t* n = a.n
    cdef const real* x = <const real*> a.p[0]
    cdef const real* w = <const real*> a.p[1]
    cdef const real* bias = <const real*> a.p[2]
    cdef const real* own
    cdef int64_t groups = n[3], items = n[0] * n[3], panels, chunks, chunk, lo, hi, u, item, g, m, p, p1
    cdef CynEpilogue e = cyn_epilogue(a, 22, 0)
    cdef Conv v
    v.d = forward(n[4], n[7], n[10], n[13], n[16], n[19])
    v.h = forward(n[5], n[8], n[11], n[14], n[17], n[20])
    v.w = forward(n[6], n[9], n[12], n[15], n[18], n[21])
    v.C, v.M, v.taps = n[1] // groups, n[2] // groups, n[10] * n[11] * n[12]
    v.K, v.x_channel, v.y_channel = v.C * v.taps, n[4] * n[5] * n[6], n[7] * n[8] * n[9]
    if items * v.M * v.y_channel == 0:
        return 0
    v.w_c = v.taps
    v.w_m = v.K
    # Strides of whole pages would put a tile's rows in one set of the L1 cache.
    v.near = v.M > 8 and v.K * <int64_t> sizeof(real) % 4096 == 0
    v.height = ceil_div(v.M, ceil_div(v.M, CYN_MR))
    v.tiles = ceil_div(v.M, v.height)
    lay_flat(&v, NR)
    panels = ceil_div(v.positions, NR)
    chunks = 1
    if items * panels < 4 * nt and nt > 1:
        chunks = min(v.tiles, ceil_div(4 * nt, items * panels))
    chunk = ceil_div(v.tiles, chunks)
    chunks = ceil_div(v.tiles, chunk)
    cyn_share(items * chunks * panels, tid, nt, &lo, &hi)
    u = lo
    while u < hi:
        item = u // (chunks * panels)
        g = item % groups
        m = u // panels % chunks
        p = u % panels
        p1 = min(panels, p + hi - u)
        u += p1 - p
        own = bias + g * v.M if bias != NULL else NULL
        if part[real](a, ctl, tid, &v, &e, x + item * v.C * v.x_channel, x + items * v.C * v.x_channel,
                      w + g * v.M * v.K, own, <real*> a.p[3], item * v.M * v.y_channel, g * v.M,
                      m * chunk, min(v.tiles, (m + 1) * chunk), p, p1):
            return 0
    return 0
