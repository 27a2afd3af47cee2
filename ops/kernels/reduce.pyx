# isa: base avx2 avx512
"""Reductions over the middle axis of [outer][reduced][inner]. Empty ones give the identity; NaN wins in max and min.

{f32,f64,i32,i64}_reduce_sum    p = x, y; n = outer, reduced, inner, chunks, map, last, divisor; f = power
    map: what is added, 0 x, 1 |x|, 2 x*x, 3 |x|**power (floats); last: done to the sum, 0 nothing, 1 divide by
    divisor (0 gives NaN, of integers 0), 2 square root, 3 logarithm, 4 the power's root (floats)
{f32,f64,i32,i64}_reduce_prod   p = x, y; n = outer, reduced, inner, chunks
{f32,f64}_reduce_log_sum_exp    p = x, y; n = outer, reduced, inner, chunks
{f32,f64,i8,u8,i16,u16,i32,u32,i64,u64}_reduce_max, _reduce_min    p = x, y; n = outer, reduced, inner, chunks

y is [outer][chunks][inner]. chunks is 1, or, where outer and inner leave too little for all threads, a number that
depends on the shape alone (at most 16): then a second call over [outer][chunks][inner] with one chunk joins the parts.
Sums take the map in the first call and `last` in the second. Integer sums wrap.
"""
from libc.math cimport INFINITY, NAN, log, pow, sqrt
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop
from cynfer.ops.kernels.fold cimport FOLD_EXP, extreme_columns, extreme_row, fold_columns, fold_row, real

ctypedef fused number:
    float
    double
    int32_t
    int64_t

ctypedef fused integer:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t

cdef enum:
    COLUMNS = 64
    POLL = 1 << 18


ctypedef struct Unit:
    int64_t x       # where the unit's elements begin
    int64_t y
    int64_t rows
    int64_t width


cdef inline Unit _unit(const int64_t* n, int64_t u) noexcept nogil:
    """Unit u of the grid outer x chunks x blocks of columns."""
    cdef int64_t inner = n[2], blocks = (inner + COLUMNS - 1) // COLUMNS, column = 0, chunk, start, end
    cdef Unit r
    # Short rows would spend most of their time in divisions.
    if blocks > 1:
        column = u % blocks * COLUMNS
        u = u // blocks
    if n[3] == 1:
        r.x = u * n[1] * inner + column
        r.rows = n[1]
    else:
        chunk = u % n[3]
        cyn_share(n[1], <int> chunk, <int> n[3], &start, &end)
        r.x = (u // n[3] * n[1] + start) * inner + column
        r.rows = end - start
    r.y = u * inner + column
    r.width = min(COLUMNS, inner - column)
    return r


cdef inline int64_t _units(const int64_t* n) noexcept nogil:
    return n[0] * n[3] * ((n[2] + COLUMNS - 1) // COLUMNS)


cdef inline double _last(double total, const Args* a) noexcept nogil:
    if a.n[5] == 1:
        return total / <double> a.n[6] if a.n[6] else NAN
    elif a.n[5] == 2:
        return sqrt(total)
    elif a.n[5] == 3:
        return log(total)
    elif a.n[5] == 4:
        return pow(total, 1 / a.f[0])
    return total


cdef inline void _sum_integers(const number* x, number* y, Unit r, const Args* a) noexcept nogil:
    cdef int64_t inner = a.n[2], i, j
    cdef uint64_t[COLUMNS] total  # unsigned: wraps without undefined behaviour
    cdef int64_t v
    for j in range(r.width):
        total[j] = 0
    for i in range(r.rows):
        for j in range(r.width):
            v = <int64_t> x[i * inner + j]
            if a.n[4] == 1:
                v = <int64_t> (0 - <uint64_t> v) if v < 0 else v
            total[j] += <uint64_t> v * <uint64_t> v if a.n[4] == 2 else <uint64_t> v
    for j in range(r.width):
        v = <int64_t> total[j]
        if a.n[5] == 1:
            v = v // a.n[6] if a.n[6] > 0 else 0
        elif a.n[5] == 2 or a.n[5] == 3:
            v = <int64_t> _last(<double> v, a) if v > 0 else 0
        y[j] = <number> v


cdef int _reduce_sum(const number* x, number* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t lo, hi, u, j, work = 0
    cdef double[COLUMNS] total
    cdef double p = a.f[0] if a.n[4] == 3 else 0
    cdef Unit r
    cyn_share(_units(a.n), tid, nt, &lo, &hi)
    for u in range(lo, hi):
        r = _unit(a.n, u)
        if number is float or number is double:
            if a.n[2] == 1:
                total[0] = fold_row(<int> a.n[4], x + r.x, r.rows, p)
            else:
                fold_columns(<int> a.n[4], x + r.x, r.rows, a.n[2], r.width, p, x, total)
            for j in range(r.width):
                y[r.y + j] = <number> _last(total[j], a)
        else:
            _sum_integers(x + r.x, y + r.y, r, a)
        work += r.rows * r.width
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _reduce_prod(const number* x, number* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t lo, hi, u, i, j, work = 0
    cdef double[COLUMNS] real_product  # float64 keeps products of float32 from overflowing halfway
    cdef uint64_t[COLUMNS] product
    cdef Unit r
    cyn_share(_units(a.n), tid, nt, &lo, &hi)
    for u in range(lo, hi):
        r = _unit(a.n, u)
        if number is float or number is double:
            for j in range(r.width):
                real_product[j] = 1
            for i in range(r.rows):
                for j in range(r.width):
                    real_product[j] *= x[r.x + i * a.n[2] + j]
            for j in range(r.width):
                y[r.y + j] = <number> real_product[j]
        else:
            for j in range(r.width):
                product[j] = 1
            for i in range(r.rows):
                for j in range(r.width):
                    product[j] *= <uint64_t> x[r.x + i * a.n[2] + j]
            for j in range(r.width):
                y[r.y + j] = <number> product[j]
        work += r.rows * r.width
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _log_sum_exp(const real* x, real* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef int64_t lo, hi, u, j, work = 0
    cdef double[COLUMNS] total
    cdef real[COLUMNS] m
    cdef Unit r
    cyn_share(_units(a.n), tid, nt, &lo, &hi)
    for u in range(lo, hi):
        r = _unit(a.n, u)
        if a.n[2] == 1:
            m[0] = extreme_row(False, x + r.x, r.rows)
            total[0] = fold_row(FOLD_EXP, x + r.x, r.rows, m[0])
        else:
            extreme_columns(False, x + r.x, r.rows, a.n[2], r.width, m)
            fold_columns(FOLD_EXP, x + r.x, r.rows, a.n[2], r.width, 0, m, total)
        for j in range(r.width):
            # An infinite maximum is the result; inf - inf above made the sum NaN.
            y[r.y + j] = m[j] if m[j] == INFINITY or m[j] == -INFINITY else <real> (m[j] + log(total[j]))
        work += r.rows * r.width
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int _reduce_extreme(const real* x, real* y, const Args* a, Ctl* ctl, int tid, int nt, bint least) noexcept nogil:
    cdef int64_t lo, hi, u, work = 0
    cdef Unit r
    cyn_share(_units(a.n), tid, nt, &lo, &hi)
    for u in range(lo, hi):
        r = _unit(a.n, u)
        if a.n[2] == 1:
            y[r.y] = extreme_row(least, x + r.x, r.rows)
        else:
            extreme_columns(least, x + r.x, r.rows, a.n[2], r.width, y + r.y)
        work += r.rows * r.width
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef inline integer _end(integer unused, bint highest) noexcept nogil:
    """The highest or lowest value of an integer type."""
    cdef uint64_t bits = 8 * sizeof(integer)
    cdef bint signed = <integer> -1 < 0
    if highest:
        return <integer> ((<uint64_t> -1) >> (64 - bits + signed))
    return <integer> (<uint64_t> 1 << (bits - 1)) if signed else <integer> 0


cdef int _integer_extreme(const integer* x, integer* y, const Args* a, Ctl* ctl, int tid, int nt,
                          bint least) noexcept nogil:
    cdef int64_t lo, hi, u, i, j, work = 0
    cdef integer[COLUMNS] m
    cdef integer v, first = _end(<integer> 0, least)
    cdef const integer* s
    cdef Unit r
    cyn_share(_units(a.n), tid, nt, &lo, &hi)
    for u in range(lo, hi):
        r = _unit(a.n, u)
        s = x + r.x
        if a.n[2] == 1:
            v = first
            if least:
                for i in range(r.rows):
                    v = s[i] if s[i] < v else v
            else:
                for i in range(r.rows):
                    v = s[i] if s[i] > v else v
            y[r.y] = v
        else:
            for j in range(r.width):
                m[j] = first
            for i in range(r.rows):
                if least:
                    for j in range(r.width):
                        m[j] = s[i * a.n[2] + j] if s[i * a.n[2] + j] < m[j] else m[j]
                else:
                    for j in range(r.width):
                        m[j] = s[i * a.n[2] + j] if s[i * a.n[2] + j] > m[j] else m[j]
            for j in range(r.width):
                y[r.y + j] = m[j]
        work += r.rows * r.width
        if work > POLL:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int f32_reduce_sum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_sum(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt)


cdef int f64_reduce_sum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_sum(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt)


cdef int i32_reduce_sum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_sum(<const int32_t*> a.p[0], <int32_t*> a.p[1], a, ctl, tid, nt)


cdef int i64_reduce_sum(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_sum(<const int64_t*> a.p[0], <int64_t*> a.p[1], a, ctl, tid, nt)


cdef int f32_reduce_prod(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_prod(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt)


cdef int f64_reduce_prod(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_prod(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt)


cdef int i32_reduce_prod(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_prod(<const int32_t*> a.p[0], <int32_t*> a.p[1], a, ctl, tid, nt)


cdef int i64_reduce_prod(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_prod(<const int64_t*> a.p[0], <int64_t*> a.p[1], a, ctl, tid, nt)


cdef int f32_reduce_log_sum_exp(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _log_sum_exp(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt)


cdef int f64_reduce_log_sum_exp(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _log_sum_exp(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt)


cdef int f32_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_extreme(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt, False)


cdef int f64_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_extreme(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt, False)


cdef int i8_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int8_t*> a.p[0], <int8_t*> a.p[1], a, ctl, tid, nt, False)


cdef int u8_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint8_t*> a.p[0], <uint8_t*> a.p[1], a, ctl, tid, nt, False)


cdef int i16_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int16_t*> a.p[0], <int16_t*> a.p[1], a, ctl, tid, nt, False)


cdef int u16_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint16_t*> a.p[0], <uint16_t*> a.p[1], a, ctl, tid, nt, False)


cdef int i32_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int32_t*> a.p[0], <int32_t*> a.p[1], a, ctl, tid, nt, False)


cdef int u32_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint32_t*> a.p[0], <uint32_t*> a.p[1], a, ctl, tid, nt, False)


cdef int i64_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int64_t*> a.p[0], <int64_t*> a.p[1], a, ctl, tid, nt, False)


cdef int u64_reduce_max(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint64_t*> a.p[0], <uint64_t*> a.p[1], a, ctl, tid, nt, False)


cdef int f32_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_extreme(<const float*> a.p[0], <float*> a.p[1], a, ctl, tid, nt, True)


cdef int f64_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _reduce_extreme(<const double*> a.p[0], <double*> a.p[1], a, ctl, tid, nt, True)


cdef int i8_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int8_t*> a.p[0], <int8_t*> a.p[1], a, ctl, tid, nt, True)


cdef int u8_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint8_t*> a.p[0], <uint8_t*> a.p[1], a, ctl, tid, nt, True)


cdef int i16_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int16_t*> a.p[0], <int16_t*> a.p[1], a, ctl, tid, nt, True)


cdef int u16_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint16_t*> a.p[0], <uint16_t*> a.p[1], a, ctl, tid, nt, True)


cdef int i32_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int32_t*> a.p[0], <int32_t*> a.p[1], a, ctl, tid, nt, True)


cdef int u32_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint32_t*> a.p[0], <uint32_t*> a.p[1], a, ctl, tid, nt, True)


cdef int i64_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const int64_t*> a.p[0], <int64_t*> a.p[1], a, ctl, tid, nt, True)


cdef int u64_reduce_min(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _integer_extreme(<const uint64_t*> a.p[0], <uint64_t*> a.p[1], a, ctl, tid, nt, True)


KERNELS = {
    "f32_reduce_sum": <size_t> &f32_reduce_sum,
    "f64_reduce_sum": <size_t> &f64_reduce_sum,
    "i32_reduce_sum": <size_t> &i32_reduce_sum,
    "i64_reduce_sum": <size_t> &i64_reduce_sum,
    "f32_reduce_prod": <size_t> &f32_reduce_prod,
    "f64_reduce_prod": <size_t> &f64_reduce_prod,
    "i32_reduce_prod": <size_t> &i32_reduce_prod,
    "i64_reduce_prod": <size_t> &i64_reduce_prod,
    "f32_reduce_log_sum_exp": <size_t> &f32_reduce_log_sum_exp,
    "f64_reduce_log_sum_exp": <size_t> &f64_reduce_log_sum_exp,
    "f32_reduce_max": <size_t> &f32_reduce_max,
    "f64_reduce_max": <size_t> &f64_reduce_max,
    "i8_reduce_max": <size_t> &i8_reduce_max,
    "u8_reduce_max": <size_t> &u8_reduce_max,
    "i16_reduce_max": <size_t> &i16_reduce_max,
    "u16_reduce_max": <size_t> &u16_reduce_max,
    "i32_reduce_max": <size_t> &i32_reduce_max,
    "u32_reduce_max": <size_t> &u32_reduce_max,
    "i64_reduce_max": <size_t> &i64_reduce_max,
    "u64_reduce_max": <size_t> &u64_reduce_max,
    "f32_reduce_min": <size_t> &f32_reduce_min,
    "f64_reduce_min": <size_t> &f64_reduce_min,
    "i8_reduce_min": <size_t> &i8_reduce_min,
    "u8_reduce_min": <size_t> &u8_reduce_min,
    "i16_reduce_min": <size_t> &i16_reduce_min,
    "u16_reduce_min": <size_t> &u16_reduce_min,
    "i32_reduce_min": <size_t> &i32_reduce_min,
    "u32_reduce_min": <size_t> &u32_reduce_min,
    "i64_reduce_min": <size_t> &i64_reduce_min,
    "u64_reduce_min": <size_t> &u64_reduce_min,
}
