"""Depthwise convolution in the blocked layout against float64 NumPy."""

import numpy as np
import pytest
from kernels.test_conv import blocked, plain, reference, sizes

from cynfer.ops.kernels import _conv_base as conv
from cynfer.ops.machine import Machine, runnable

E = conv.EPILOGUE
CASES = {  # N, C, H, W, kernel, stride, dilation, pads
    "3x3": (1, 32, 28, 28, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    "3x3 narrow": (2, 40, 7, 7, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    "3x3 valid": (1, 17, 40, 19, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0)),
    "3x3 stride 2": (1, 24, 29, 56, (3, 3), (2, 2), (1, 1), (0, 0, 1, 1)),
    "3x3 stride 2 narrow": (1, 16, 13, 14, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
    "3x3 dilated": (1, 20, 21, 23, (3, 3), (1, 1), (2, 3), (2, 3, 2, 3)),
    "3x3 dilated rows": (1, 20, 21, 23, (3, 3), (1, 1), (4, 1), (4, 1, 4, 1)),
    "5x5": (1, 32, 14, 28, (5, 5), (1, 1), (1, 1), (2, 2, 2, 2)),
    "5x5 stride 2": (1, 32, 14, 33, (5, 5), (2, 2), (1, 1), (2, 1, 2, 2)),
    "5x3": (1, 8, 9, 9, (5, 3), (2, 1), (1, 1), (4, 2, 4, 2)),
    "1x5, one pixel": (1, 16, 1, 1, (1, 5), (1, 1), (1, 1), (0, 2, 0, 2)),
    "7x7": (1, 32, 14, 15, (7, 7), (1, 1), (1, 1), (3, 3, 3, 3)),
    "31x31": (1, 16, 14, 15, (31, 31), (1, 1), (1, 1), (15, 15, 15, 15)),
    "1-D": (1, 24, 1, 100, (1, 9), (1, 3), (1, 2), (0, 8, 0, 8)),
    "padding beyond the input": (1, 16, 2, 3, (3, 3), (2, 2), (1, 1), (5, 6, 5, 6)),
    "tall": (1, 16, 100, 9, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_depthwise_matches_float64_at_any_thread_count(case):
    n, c, h, w, kernel, stride, dilation, pads = CASES[case]
    rng = np.random.default_rng(len(case))
    x = rng.standard_normal((n, c, h, w), np.float32)
    weights = rng.standard_normal((c, 1, *kernel), np.float32)
    bias = rng.standard_normal(c, np.float32)
    want = reference(x, weights, bias, stride, dilation, pads, c)
    size = reference(abs(x), abs(weights), abs(bias), stride, dilation, pads, c)
    z = rng.standard_normal(want.shape).astype(np.float32)
    full = np.zeros(-(-c // 16) * 16, np.float32)
    full[:c] = bias
    packed = np.full((len(full) // 16, *kernel, 16), np.nan, np.float32)
    for steps, operands, scalars, expected in (
        ([], [], (), want),
        ([E["add"], 4, E["clip"], -1], [blocked(z)], (0, 0, -2, 3), np.clip(want + z, -2, 3)),
        ([E["relu"], -1, E["add"], 4], [blocked(z)], (0, 0, 0, 0), np.maximum(want, 0) + z),
    ):
        numbers = [*sizes(x, weights, want.shape, stride, dilation, pads, c), len(steps) // 2, *steps]
        for isa in runnable():
            machine, first = Machine(isa), None
            for threads in (1, 2, 3, 7):
                machine.call("f32_pack_conv_dw", [weights, packed], [c, *kernel], threads=threads)
                y = np.full(blocked(z).shape, np.nan, np.float32)
                machine.call("f32_conv_dw_c16", [blocked(x), packed, full, y, *operands], numbers, scalars,
                             threads=threads)
                if first is None:
                    first = y
                    assert (abs(plain(y, c) - expected) / (size + abs(z))).max() < 2e-6, isa
                assert np.array_equal(first.view(np.int32), y.view(np.int32)), (isa, threads)


@pytest.mark.parametrize("case", ["3x3", "7x7"])
def test_nan_reaches_its_window_and_nothing_else(case):
    n, c, h, w, kernel, stride, dilation, pads = CASES[case]
    x = np.ones((n, c, h, w), np.float32)
    x[0, 5, 6, 0] = np.nan
    x[0, 6, 7, w - 1] = np.inf
    weights = np.ones((c, 1, *kernel), np.float32)
    numbers = [*sizes(x, weights, x.shape, stride, dilation, pads, c), 1, E["relu"], -1]
    k = kernel[0] // 2
    want = np.zeros(x.shape, bool)
    want[0, 5, 6 - k: 7 + k, : k + 1] = True
    for isa in runnable():
        packed, y = np.empty((c // 16, *kernel, 16), np.float32), np.empty(blocked(x).shape, np.float32)
        Machine(isa).call("f32_pack_conv_dw", [weights, packed], [c, *kernel])
        Machine(isa).call("f32_conv_dw_c16", [blocked(x), packed, None, y], numbers, [0, 0])
        assert np.array_equal(np.isnan(plain(y, c)), want), isa
