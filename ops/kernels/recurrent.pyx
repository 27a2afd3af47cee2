# isa: base avx2 avx512
"""The walk over time of RNN, GRU and LSTM.

f32_recurrent, f64_recurrent:
    p = x W^T, R packed gate by gate (pack_b of [directions * gates][hidden][hidden], transposed), biases
        [directions][2 * gates * hidden] or NULL, lengths (int32, batch) or NULL, h or NULL, c or NULL, peepholes
        [directions][3 * hidden] or NULL, y, last h, last c or NULL.
    n = kind (0 RNN, 1 GRU, 2 LSTM), time, batch, directions, hidden, directions that run backwards (bits),
        strides of x for time and batch, of y for time, direction and batch, of the states for direction and batch
        (elements), option (RNN: relu and not tanh; GRU: reset after the product; LSTM: forget = 1 - input).
    scratch: `scratch_bytes(hidden, element size)`.

Gates are sigmoid and tanh. A unit of work is some rows of the batch in one direction, for all of time; how many rows
follows from the sizes. Sums over the state are cut in blocks of 256.
"""
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_fault, cyn_share, cyn_stop
from cynfer.ops.kernels.gemm_ukr cimport CYN_MR, real, row, tile

cdef extern from "recurrent_ukr.h" nogil:
    void cyn_lstm_cell_f32(int64_t n, const float* x, int64_t hidden, const float* s, int64_t pitch, const float* b,
                           const float* p, int coupled, float* c, float* h) noexcept
    void cyn_lstm_cell_f64(int64_t n, const double* x, int64_t hidden, const double* s, int64_t pitch, const double* b,
                           const double* p, int coupled, double* c, double* h) noexcept
    void cyn_rnn_cell_f32(int64_t n, const float* x, const float* s, const float* b, int relu, float* h) noexcept
    void cyn_rnn_cell_f64(int64_t n, const double* x, const double* s, const double* b, int relu, double* h) noexcept
    void cyn_gru_gates_f32(int64_t n, const float* x, int64_t hidden, const float* s, int64_t pitch, const float* b,
                           const float* old, float* z, float* rh) noexcept
    void cyn_gru_gates_f64(int64_t n, const double* x, int64_t hidden, const double* s, int64_t pitch,
                           const double* b, const double* old, double* z, double* rh) noexcept
    void cyn_gru_end_f32(int64_t n, const float* x, const float* s, const float* b, const float* rb, const float* z,
                         const float* old, float* h) noexcept
    void cyn_gru_end_f64(int64_t n, const double* x, const double* s, const double* b, const double* rb,
                         const double* z, const double* old, double* h) noexcept
    void cyn_gru_cell_f32(int64_t n, const float* x, int64_t hidden, const float* s, int64_t pitch, const float* b,
                          const float* rb, const float* old, float* h) noexcept
    void cyn_gru_cell_f64(int64_t n, const double* x, int64_t hidden, const double* s, int64_t pitch,
                          const double* b, const double* rb, const double* old, double* h) noexcept

cdef enum:
    ROWS = 12               # of a unit, at most
    CACHE = 512 << 10       # weights up to this size are cheap to read again for a few rows more
    DEPTH = 256
    RNN = 0
    GRU = 1
    LSTM = 2
    OUT_OF_RANGE = 3        # see ops/faults.py


cdef inline void product(int64_t rows, int64_t cols, int64_t hidden, const real* h, const real* panel,
                         real* sums) noexcept nogil:
    """sums[rows][panel width] = h[rows][hidden] times one panel of columns."""
    cdef int64_t k = 0, r, depth, width = 128 // <int64_t> sizeof(real)
    while k < hidden:
        depth = min(<int64_t> DEPTH, hidden - k)
        if rows == 1:
            row(depth, h + k, panel + k * width, sums, k > 0)
        else:
            r = 0
            while r < rows:
                tile(min(<int64_t> CYN_MR, rows - r), cols, depth, h + r * hidden + k, hidden, panel + k * width, NULL,
                     sums + r * width, k > 0)
                r += CYN_MR
        k += DEPTH


cdef inline void finish(const int64_t* n, int64_t cols, int64_t j, const real* x, const real* s, const real* b,
                        const real* rb, const real* p, const real* old, real* c, real* h) noexcept nogil:
    """Columns j ... of one row of the cells that need all gates at once."""
    cdef int64_t hidden = n[4], pitch = ROWS * (128 // <int64_t> sizeof(real))
    if n[0] == LSTM:
        if real is float:
            cyn_lstm_cell_f32(cols, x + j, hidden, s, pitch, b + j, p + j if p != NULL else NULL, n[13] != 0, c + j,
                              h + j)
        else:
            cyn_lstm_cell_f64(cols, x + j, hidden, s, pitch, b + j, p + j if p != NULL else NULL, n[13] != 0, c + j,
                              h + j)
    elif n[0] == GRU:
        if real is float:
            cyn_gru_cell_f32(cols, x + j, hidden, s, pitch, b + j, rb + j, old + j, h + j)
        else:
            cyn_gru_cell_f64(cols, x + j, hidden, s, pitch, b + j, rb + j, old + j, h + j)
    else:
        if real is float:
            cyn_rnn_cell_f32(cols, x + j, s, b + j, n[13] != 0, h + j)
        else:
            cyn_rnn_cell_f64(cols, x + j, s, b + j, n[13] != 0, h + j)


cdef inline void gru_gates(int64_t cols, int64_t j, int64_t hidden, const real* x, const real* s, const real* b,
                           const real* old, real* z, real* rh) noexcept nogil:
    cdef int64_t pitch = ROWS * (128 // <int64_t> sizeof(real))
    if real is float:
        cyn_gru_gates_f32(cols, x + j, hidden, s, pitch, b + j, old + j, z + j, rh + j)
    else:
        cyn_gru_gates_f64(cols, x + j, hidden, s, pitch, b + j, old + j, z + j, rh + j)


cdef inline void gru_end(int64_t cols, int64_t j, int64_t hidden, const real* x, const real* s, const real* b,
                         const real* rb, const real* z, const real* old, real* h) noexcept nogil:
    if real is float:
        cyn_gru_end_f32(cols, x + 2 * hidden + j, s, b + 2 * hidden + j, rb + j, z + j, old + j, h + j)
    else:
        cyn_gru_end_f64(cols, x + 2 * hidden + j, s, b + 2 * hidden + j, rb + j, z + j, old + j, h + j)


cdef int walk(const Args* a, Ctl* ctl, int tid, int64_t d, int64_t first, int64_t rows,
              const real* start) noexcept nogil:
    """Rows `first` ... of direction d through all of time. start: where x W^T begins."""
    cdef const int64_t* n = a.n
    cdef int64_t time = n[1], hidden = n[4], size = hidden * sizeof(real), width = 128 // <int64_t> sizeof(real)
    cdef int64_t gates = 1 if n[0] == RNN else 3 if n[0] == GRU else 4, panels = (hidden + width - 1) // width
    cdef int64_t item = panels * width * hidden, step, t, r, g, j, q, cols, at, split = n[0] == GRU and not n[13]
    cdef int64_t pitch = ROWS * width
    cdef const real* packed = <const real*> a.p[1] + d * gates * item
    cdef const real* bias = <const real*> a.p[2]
    cdef const int32_t* lengths = <const int32_t*> a.p[3]
    cdef const real* peephole = <const real*> a.p[6]
    cdef const real* x
    cdef real* y = <real*> a.p[7]
    cdef real* sums = <real*> a.scratch                 # [gates][ROWS][width]
    cdef real* b = sums + 4 * pitch                     # [gates][hidden]
    cdef real* rb = b + 4 * hidden                      # the state's bias of a GRU's candidate
    cdef real* h = rb + hidden                          # [ROWS][hidden], and so on
    cdef real* new = h + ROWS * hidden
    cdef real* c = new + ROWS * hidden
    cdef real* z = c + ROWS * hidden
    cdef real* rh = z + ROWS * hidden
    cdef real* swap
    memset(b, 0, 5 * size)
    if bias != NULL:
        bias += d * 2 * gates * hidden
        for j in range(gates * hidden):
            b[j] = bias[j]
            if n[0] == GRU and j >= 2 * hidden:
                rb[j - 2 * hidden] = bias[gates * hidden + j]
            else:
                b[j] += bias[gates * hidden + j]
    if peephole != NULL:
        peephole += d * 3 * hidden
    memset(h, 0, ROWS * size)
    memset(c, 0, ROWS * size)
    for r in range(rows):
        at = d * n[11] + (first + r) * n[12]
        if a.p[4] != NULL:
            memcpy(h + r * hidden, <const real*> a.p[4] + at, size)
        if a.p[5] != NULL:
            memcpy(c + r * hidden, <const real*> a.p[5] + at, size)
    for step in range(time):
        t = time - 1 - step if (n[5] >> d) & 1 else step
        for q in range(panels):
            if cyn_stop(ctl, tid):
                return 0
            j = q * width
            cols = min(width, hidden - j)
            for g in range(2 if split else gates):
                product(rows, cols, hidden, h, packed + g * item + j * hidden, sums + g * pitch)
            for r in range(rows):
                x = start + t * n[6] + (first + r) * n[7] + d * gates * hidden
                if lengths != NULL and t >= lengths[first + r]:
                    memcpy(new + r * hidden + j, h + r * hidden + j, cols * sizeof(real))
                elif split:
                    gru_gates(cols, j, hidden, x, sums + r * width, b, h + r * hidden, z + r * hidden, rh + r * hidden)
                else:
                    finish(n, cols, j, x, sums + r * width, b, rb, peephole, h + r * hidden, c + r * hidden,
                           new + r * hidden)
        if split:
            for q in range(panels):
                if cyn_stop(ctl, tid):
                    return 0
                j = q * width
                cols = min(width, hidden - j)
                product(rows, cols, hidden, rh, packed + 2 * item + j * hidden, sums)
                for r in range(rows):
                    x = start + t * n[6] + (first + r) * n[7] + d * gates * hidden
                    if lengths == NULL or t < lengths[first + r]:
                        gru_end(cols, j, hidden, x, sums + r * width, b, rb, z + r * hidden, h + r * hidden,
                                new + r * hidden)
        swap = h
        h = new
        new = swap
        for r in range(rows):
            at = t * n[8] + d * n[9] + (first + r) * n[10]
            if lengths != NULL and t >= lengths[first + r]:
                memset(y + at, 0, size)
            else:
                memcpy(y + at, h + r * hidden, size)
    for r in range(rows):
        at = d * n[11] + (first + r) * n[12]
        memcpy(<real*> a.p[8] + at, h + r * hidden, size)
        if a.p[9] != NULL:
            memcpy(<real*> a.p[9] + at, c + r * hidden, size)
    return 0


cdef inline int recurrent(const Args* a, Ctl* ctl, int tid, int nt, const real* x) noexcept nogil:
    cdef const int64_t* n = a.n
    cdef int64_t batch = n[2], rows, parts, lo, hi, u, i, first
    cdef const int32_t* lengths = <const int32_t*> a.p[3]
    if lengths != NULL:
        for i in range(batch):
            if lengths[i] < 0 or lengths[i] > n[1]:
                cyn_fault(ctl, tid, OUT_OF_RANGE, i, lengths[i], 0, n[1])
                return 0
    parts = 4 if 4 * n[4] * n[4] * <int64_t> sizeof(real) <= CACHE else 2
    rows = min(<int64_t> ROWS, (batch * n[3] + parts - 1) // parts)
    parts = (batch + rows - 1) // rows
    cyn_share(parts * n[3], tid, nt, &lo, &hi)
    for u in range(lo, hi):
        first = u % parts * rows
        walk(a, ctl, tid, u // parts, first, min(rows, batch - first), x)
    return 0


cdef int f32_recurrent(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return recurrent(a, ctl, tid, nt, <const float*> a.p[0])

cdef int f64_recurrent(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return recurrent(a, ctl, tid, nt, <const double*> a.p[0])


def scratch_bytes(int64_t hidden, int64_t item):
    """Private scratch for states of that size."""
    return 4 * ROWS * 128 + (5 + 5 * ROWS) * hidden * item


KERNELS = {"f32_recurrent": <size_t> &f32_recurrent, "f64_recurrent": <size_t> &f64_recurrent}
