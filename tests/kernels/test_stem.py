"""First convolutions (plain input, few channels) against float64 NumPy."""

import numpy as np
import pytest
from kernels.test_conv import blocked, plain, reference, sizes

from cynfer.ops.kernels import _conv_base as conv
from cynfer.ops.kernels import _stem_base as stem
from cynfer.ops.machine import Machine, runnable

E = conv.EPILOGUE
CASES = {  # N, C, H, W, O, kernel, stride, dilation, pads
    "7x7 stride 2": (1, 3, 50, 57, 64, (7, 7), (2, 2), (1, 1), (3, 3, 3, 3)),
    "3x3 stride 2": (2, 3, 33, 64, 32, (3, 3), (2, 2), (1, 1), (0, 0, 1, 1)),
    "3x3": (1, 1, 28, 28, 20, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    "11x11 stride 4": (1, 3, 60, 63, 70, (11, 11), (4, 4), (1, 1), (2, 2, 2, 2)),
    "5x5 stride 3 dilated": (1, 15, 40, 41, 33, (5, 5), (3, 3), (2, 3), (4, 5, 4, 5)),
    "1x1": (3, 4, 9, 10, 16, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    "stride above kernel": (1, 2, 20, 30, 16, (2, 2), (5, 6), (1, 1), (1, 1, 1, 1)),
    "padding beyond the input": (1, 2, 2, 3, 16, (3, 3), (1, 1), (1, 1), (4, 5, 4, 5)),
    "many bands": (1, 12, 300, 150, 16, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_stem_matches_float64_at_any_thread_count(case):
    n, c, h, w, o, kernel, stride, dilation, pads = CASES[case]
    rng = np.random.default_rng(len(case))
    x = rng.standard_normal((n, c, h, w), np.float32)
    weights = rng.standard_normal((o, c, *kernel), np.float32)
    bias = rng.standard_normal(o, np.float32)
    want = reference(x, weights, bias, stride, dilation, pads, 1)
    size = reference(abs(x), abs(weights), abs(bias), stride, dilation, pads, 1)
    z = rng.standard_normal(want.shape).astype(np.float32)
    full = np.zeros(-(-o // 16) * 16, np.float32)
    full[:o] = bias
    pack = [o, c, *kernel]
    for steps, operands, scalars, expected in (
        ([], [], (), want),
        ([E["add"], 4, E["clip"], -1], [blocked(z)], (0, 0, -2, 3), np.clip(want + z, -2, 3)),
        ([E["relu"], -1, E["add"], 4], [blocked(z)], (0, 0, 0, 0), np.maximum(want, 0) + z),
    ):
        numbers = [*sizes(x, weights, want.shape, stride, dilation, pads, 1), len(steps) // 2, *steps]
        for isa in runnable():
            machine, first = Machine(isa), None
            for threads in (1, 2, 3, 7):
                packed = np.full(stem.packed_floats(pack), np.nan, np.float32)
                machine.call("f32_pack_conv_stem", [weights, packed], pack, threads=threads)
                y = np.full(blocked(z).shape, np.nan, np.float32)
                machine.call("f32_conv_stem", [x, packed, full, y, *operands], numbers, scalars,
                             scratch=stem.scratch_bytes(numbers), threads=threads)
                if first is None:
                    first = y
                    assert (abs(plain(y, o) - expected) / (size + abs(z))).max() < 2e-6, isa
                assert np.array_equal(first.view(np.int32), y.view(np.int32)), (isa, threads)
