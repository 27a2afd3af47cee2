# isa: base avx2
"""Casts between element types.

cast_<from>_<to> for any two of b8, i8, u8, i16, u16, i32, u32, i64, u64, f16, bf16, f32, f64 (also to itself, where NaN
becomes quiet and a truth value 0 or 1): p = x, y (y may be x for types of one size); n = [count].

The rules stand in cast_ops.h; they hold on every instruction set alike.
"""

cdef extern from "cast_ops.h":
    ctypedef struct CynKernel:
        const char* name
        size_t address
    const CynKernel cyn_cast_table[1]


def _kernels():
    found = {}
    cdef int i = 0
    while cyn_cast_table[i].name != NULL:
        found[cyn_cast_table[i].name.decode()] = cyn_cast_table[i].address
        i += 1
    return found


KERNELS = _kernels()
