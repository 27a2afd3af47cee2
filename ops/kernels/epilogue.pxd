# See epilogue.h, which explains each part.
from libc.stdint cimport int64_t
from cynfer.ops.kernels.abi cimport Args

cdef extern from "epilogue.h" nogil:
    enum:
        CYN_RELU, CYN_CLIP, CYN_LEAKY, CYN_SIGMOID, CYN_TANH, CYN_HARDSIGMOID, CYN_HARDSWISH, CYN_SILU, CYN_ELU
        CYN_GELU, CYN_ADD, CYN_MUL, CYN_ADD_CHANNEL, CYN_MUL_CHANNEL, CYN_ADD_SCALAR, CYN_MUL_SCALAR
    ctypedef struct CynEpilogue:
        int64_t count
        const int64_t* steps
        const double* f
        void** p
    CynEpilogue cyn_epilogue(const Args* a, int64_t n_at, int64_t f_at) noexcept
    CynEpilogue cyn_epilogue_after(CynEpilogue e, int64_t skip) noexcept
    void cyn_epilogue_rows_f32(const CynEpilogue* e, float* y, int64_t ld, int64_t rows, int64_t cols, int64_t at,
                               int64_t at_ld, int64_t channel, int channel_is_row) noexcept
    void cyn_epilogue_rows_f64(const CynEpilogue* e, double* y, int64_t ld, int64_t rows, int64_t cols, int64_t at,
                               int64_t at_ld, int64_t channel, int channel_is_row) noexcept
