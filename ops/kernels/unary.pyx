# isa: base avx2 avx512
"""Elementwise functions of one operand over contiguous elements.

All kernels: p = x, y (y may be x); n = [count, ...]; f = parameters.

f32 and f64, x and y of that type (parameters in brackets, in the order of f):
relu, leaky_relu [alpha], elu [alpha], celu [alpha], selu [alpha, gamma], sigmoid, hard_sigmoid [alpha, beta],
hard_swish, tanh, softplus, softsign, gelu, gelu_tanh, silu, swish [beta], mish, thresholded_relu [alpha],
shrink [bias, lambd], clip [low, high], erf, exp, expm1, log, log1p, sqrt, rsqrt, reciprocal, square, abs, neg, sign,
floor, ceil, round (half to even), sin, cos, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh.
NaN comes out as NaN (but shrink gives 0, as ONNX defines it). Where clip's bounds cross, high wins.

f32 and f64 to b8: isnan, isinf [detect_negative, detect_positive].
i8 to u64: relu, abs, neg, sign, clip [low, high], bitwise_not; arithmetic wraps. b8: not.

The table itself is in unary_ops.h, the loop in spread.h. Values depend on the element alone.
"""

cdef extern from "unary_ops.h":
    ctypedef struct CynKernel:
        const char* name
        size_t address
    const CynKernel cyn_unary_table[1]


def _kernels():
    found = {}
    cdef int i = 0
    while cyn_unary_table[i].name != NULL:
        found[cyn_unary_table[i].name.decode()] = cyn_unary_table[i].address
        i += 1
    return found


KERNELS = _kernels()
