"""Positions of extremes and running sums against NumPy."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
DTYPES = {"f32": np.dtype("f4"), "f64": np.dtype("f8"),
          **{f"{k}{b}": np.dtype(f"{k}{b // 8}") for k in "iu" for b in (8, 16, 32, 64)}}
SHAPES = [(1, 1, 1), (5, 37, 1), (1, 5000, 1), (2, 9, 3), (2, 30, 130), (0, 3, 2), (2, 3, 0)]


def run(isa, kernel, x, dtype, shape, n):
    first = None
    for threads in (1, 2, 3, 7):
        y = np.full(shape, 77, dtype)
        Machine(isa).call(kernel, [x, y], [*x.shape, *n], threads=threads)
        first = y if first is None else first
        np.testing.assert_array_equal(y, first)
    return first


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("what", ["argmax", "argmin"])
def test_arg(isa, name, what):
    for shape in SHAPES:
        x = np.random.default_rng(0).integers(0, 20, shape).astype(DTYPES[name])  # many equals
        if name[0] == "i":
            x -= 10
        for last in (0, 1):
            got = run(isa, f"{name}_{what}", x, np.int64, (shape[0], shape[2]), [last])
            want = shape[1] - 1 - getattr(x[:, ::-1], what)(1) if last else getattr(x, what)(1)
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("what", ["argmax", "argmin"])
@pytest.mark.parametrize("inner", [1, 3])
def test_first_nan_wins(isa, what, inner):
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = rng.standard_normal((2, 8, inner)).astype(np.float32)
        x[rng.random(x.shape) < 0.2] = np.nan
        for last in (0, 1):
            got = run(isa, f"f32_{what}", x, np.int64, (2, inner), [last])
            np.testing.assert_array_equal(got, getattr(x, what)(1))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["f32", "f64", "i32", "u32", "i64", "u64"])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumsum(isa, name, exclusive, reverse):
    dtype = DTYPES[name]
    for shape in SHAPES:
        rng = np.random.default_rng(0)
        if name[0] == "f":
            x = rng.standard_normal(shape).astype(dtype)
        else:
            x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype)
        d = x[:, ::-1] if reverse else x
        want = np.cumsum(d, 1, dtype=np.float64 if name[0] == "f" else dtype)
        if exclusive:
            want = np.concatenate([np.zeros_like(want[:, :1]), want[:, :-1]], 1)
        want = want[:, ::-1] if reverse else want
        got = run(isa, f"{name}_cumsum", x, dtype, shape, [exclusive, reverse])
        np.testing.assert_array_equal(got, want.astype(dtype))
