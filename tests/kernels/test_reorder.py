"""Plain layout to blocked layout and back."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 513), (1, 16, 49), (3, 17, 100), (2, 40, 1030), (1, 64, 31)])
def test_there_and_back(dtype, shape):
    n, c, m = shape
    x = np.random.default_rng(c).standard_normal(shape).astype({"f32": np.float32, "f64": np.float64}[dtype])
    want = np.zeros((n, -(-c // 16) * 16, m), x.dtype)
    want[:, :c] = x
    want = want.reshape(n, -1, 16, m).transpose(0, 1, 3, 2)
    for isa in runnable():
        machine = Machine(isa)
        for threads in (1, 2, 3, 7):
            y = np.full(want.shape, np.nan, x.dtype)
            machine.call(f"{dtype}_to_c16", [x, y], shape, threads=threads)
            assert np.array_equal(y, want), isa
            if c % 16:
                y[:, -1, :, c % 16:] = np.nan
            back = np.full_like(x, np.nan)
            machine.call(f"{dtype}_from_c16", [y, back], shape, threads=threads)
            assert np.array_equal(back, x), isa
