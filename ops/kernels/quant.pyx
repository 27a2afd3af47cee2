# isa: base avx2 avx512
"""QuantizeLinear and DequantizeLinear over [outer][axis][inner] with one scale and zero point for each axis index.

{i8,u8,i16,u16}_quantize          p = x (float32), scale (float32, axis), zero point (axis, type of y) or NULL, y;
    n = outer, axis, inner. Rounds half to even and saturates; NaN becomes the zero point.
{i8,u8,i16,u16,i32}_dequantize    p = x, scale, zero point (axis, type of x) or NULL, y (float32); n = outer, axis,
    inner
A whole tensor with one scale is [1][1][size].
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t
from cynfer.ops.kernels.abi cimport Args, Ctl, cyn_share, cyn_stop

cdef extern from "quant_ukr.h" nogil:
    void quantize_row_i8(const float* x, int8_t* y, int64_t n, float s, int32_t z) noexcept
    void quantize_row_u8(const float* x, uint8_t* y, int64_t n, float s, int32_t z) noexcept
    void quantize_row_i16(const float* x, int16_t* y, int64_t n, float s, int32_t z) noexcept
    void quantize_row_u16(const float* x, uint16_t* y, int64_t n, float s, int32_t z) noexcept
    void quantize_columns_i8(const float* x, int8_t* y, int64_t n, const float* s, const int8_t* z) noexcept
    void quantize_columns_u8(const float* x, uint8_t* y, int64_t n, const float* s, const uint8_t* z) noexcept
    void quantize_columns_i16(const float* x, int16_t* y, int64_t n, const float* s, const int16_t* z) noexcept
    void quantize_columns_u16(const float* x, uint16_t* y, int64_t n, const float* s, const uint16_t* z) noexcept

ctypedef fused narrow:
    int8_t
    uint8_t
    int16_t
    uint16_t

ctypedef fused quantized:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t

cdef enum:
    PIECE = 16384  # elements of one unit


cdef inline void _quantize_row(const float* x, narrow* y, int64_t n, float s, int32_t z) noexcept nogil:
    if narrow is int8_t:
        quantize_row_i8(x, y, n, s, z)
    elif narrow is uint8_t:
        quantize_row_u8(x, y, n, s, z)
    elif narrow is int16_t:
        quantize_row_i16(x, y, n, s, z)
    else:
        quantize_row_u16(x, y, n, s, z)


cdef inline void _quantize_columns(const float* x, narrow* y, int64_t n, const float* s,
                                   const narrow* z) noexcept nogil:
    if narrow is int8_t:
        quantize_columns_i8(x, y, n, s, z)
    elif narrow is uint8_t:
        quantize_columns_u8(x, y, n, s, z)
    elif narrow is int16_t:
        quantize_columns_i16(x, y, n, s, z)
    else:
        quantize_columns_u16(x, y, n, s, z)


cdef int _quantize(const narrow* z, narrow* y, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const float* x = <const float*> a.p[0]
    cdef const float* s = <const float*> a.p[1]
    cdef bint columns = a.n[2] == 1 and a.n[1] > 1
    cdef int64_t rows = a.n[0] if columns else a.n[0] * a.n[1], size = a.n[1] if columns else a.n[2]
    cdef int64_t pieces = (size + PIECE - 1) // PIECE, lo, hi, u, at, j, n, work = 0
    cyn_share(rows * pieces, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        j = u % pieces * PIECE
        n = min(PIECE, size - j)
        at = u // pieces * size + j
        if columns:
            _quantize_columns(x + at, y + at, n, s + j, NULL if z == NULL else z + j)
        else:
            j = u // pieces % a.n[1]
            _quantize_row(x + at, y + at, n, s[j], 0 if z == NULL else <int32_t> z[j])
        work += n
        if work > 16 * PIECE:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef inline void _dequantize_row(const quantized* x, float* y, int64_t n, float s, int32_t z) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if quantized is int32_t:
            y[i] = <float> (<double> x[i] - <double> z) * s  # the difference may exceed 32 bits
        else:
            y[i] = <float> (<int32_t> x[i] - z) * s


cdef inline void _dequantize_columns(const quantized* x, float* y, int64_t n, const float* s,
                                     const quantized* z) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if z == NULL:
            y[i] = <float> x[i] * s[i]
        elif quantized is int32_t:
            y[i] = <float> (<double> x[i] - <double> z[i]) * s[i]
        else:
            y[i] = <float> (<int32_t> x[i] - <int32_t> z[i]) * s[i]


cdef int _dequantize(const quantized* x, const quantized* z, const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    cdef const float* s = <const float*> a.p[1]
    cdef float* y = <float*> a.p[3]
    cdef bint columns = a.n[2] == 1 and a.n[1] > 1
    cdef int64_t rows = a.n[0] if columns else a.n[0] * a.n[1], size = a.n[1] if columns else a.n[2]
    cdef int64_t pieces = (size + PIECE - 1) // PIECE, lo, hi, u, at, j, n, work = 0
    cyn_share(rows * pieces, tid, nt, &lo, &hi)
    for u in range(lo, hi):
        j = u % pieces * PIECE
        n = min(PIECE, size - j)
        at = u // pieces * size + j
        if columns:
            _dequantize_columns(x + at, y + at, n, s + j, NULL if z == NULL else z + j)
        else:
            j = u // pieces % a.n[1]
            _dequantize_row(x + at, y + at, n, s[j], 0 if z == NULL else <int32_t> z[j])
        work += n
        if work > 16 * PIECE:
            work = 0
            if cyn_stop(ctl, tid):
                return 0
    return 0


cdef int i8_quantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _quantize(<const int8_t*> a.p[2], <int8_t*> a.p[3], a, ctl, tid, nt)


cdef int u8_quantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _quantize(<const uint8_t*> a.p[2], <uint8_t*> a.p[3], a, ctl, tid, nt)


cdef int i16_quantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _quantize(<const int16_t*> a.p[2], <int16_t*> a.p[3], a, ctl, tid, nt)


cdef int u16_quantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _quantize(<const uint16_t*> a.p[2], <uint16_t*> a.p[3], a, ctl, tid, nt)


cdef int i8_dequantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _dequantize(<const int8_t*> a.p[0], <const int8_t*> a.p[2], a, ctl, tid, nt)


cdef int u8_dequantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _dequantize(<const uint8_t*> a.p[0], <const uint8_t*> a.p[2], a, ctl, tid, nt)


cdef int i16_dequantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _dequantize(<const int16_t*> a.p[0], <const int16_t*> a.p[2], a, ctl, tid, nt)


cdef int u16_dequantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _dequantize(<const uint16_t*> a.p[0], <const uint16_t*> a.p[2], a, ctl, tid, nt)


cdef int i32_dequantize(const Args* a, Ctl* ctl, int tid, int nt) noexcept nogil:
    return _dequantize(<const int32_t*> a.p[0], <const int32_t*> a.p[2], a, ctl, tid, nt)


KERNELS = {
    "i8_quantize": <size_t> &i8_quantize,
    "u8_quantize": <size_t> &u8_quantize,
    "i16_quantize": <size_t> &i16_quantize,
    "u16_quantize": <size_t> &u16_quantize,
    "i8_dequantize": <size_t> &i8_dequantize,
    "u8_dequantize": <size_t> &u8_dequantize,
    "i16_dequantize": <size_t> &i16_dequantize,
    "u16_dequantize": <size_t> &u16_dequantize,
    "i32_dequantize": <size_t> &i32_dequantize,
}
