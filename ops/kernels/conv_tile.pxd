# The tiles of conv_ukr.h. The module that takes them names its own header: the stem's has the same ones, set up otherwise.
from libc.stdint cimport int64_t

cdef extern from * nogil:
    enum:
        CONV_PIXELS, CONV_BLOCKS
    ctypedef struct ConvTile:
        const int64_t* taps
        int64_t ntaps, nblocks, x_block, y_block
        const float* bias
        int64_t add
        int adds, bounds
        float lo, hi
        int far_output
    ctypedef void (*ConvTileFn)(const ConvTile*, const float*, const float*, float*, const char*, int64_t) noexcept
