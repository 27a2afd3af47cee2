# isa: base avx2 avx512
"""Elementwise functions of two operands with NumPy's broadcasting.

p = x, y, z (z contiguous; it may be x or y where that has z's shape and element size).
n = [rank, dims of z ..., strides of x ..., strides of y ...], strides counted in elements, 0 along broadcast axes; rank
at most 32. Merge axes first: the last one is the inner loop. Its strides may be anything; (1, 1), (1, 0) and (0, 1)
have vector loops.

f32, f64: add, sub, mul, div, max, min (NaN wins), pow, mod (sign of y), fmod (sign of x), prelu (y is the slope).
i8 to u64: the same. Arithmetic wraps; the smallest number divided by -1 is itself; a negative power of anything but 1
and -1 is 0; a division by zero is a fault, DIVISION_BY_ZERO with the position in z.
i8 to u64: bit_and, bit_or, bit_xor, shift_left, shift_right (arithmetic; a count outside the width shifts all out).
All of them to b8: equal, less, less_equal, greater, greater_equal.
b8: and, or, xor, equal.

One value for each channel, f32 and f64:

add_c16, sub_c16, mul_c16, max_c16, min_c16, prelu_c16: p = x [N][blocks][pixels][16], y [N or 1][blocks][16], z (may be
x); n = [N, blocks, pixels, whether y has N].
affine_c16: p = x, gamma, beta (both like y above), z; n likewise; z = gamma x + beta.
affine: p = x [outer][channels][inner], gamma [channels], beta [channels], z; n = [outer, channels, inner].

The tables are in binary_ops.h. Values depend on the pair alone.
"""

cdef extern from "binary_ops.h":
    ctypedef struct CynKernel:
        const char* name
        size_t address
    const CynKernel cyn_binary_table[1]


def _kernels():
    found = {}
    cdef int i = 0
    while cyn_binary_table[i].name != NULL:
        found[cyn_binary_table[i].name.decode()] = cyn_binary_table[i].address
        i += 1
    return found


KERNELS = _kernels()
