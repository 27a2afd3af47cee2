"""Quantisation against float64 NumPy: rounding, saturation, NaN."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
NARROW = {"i8": np.dtype("i1"), "u8": np.dtype("u1"), "i16": np.dtype("i2"), "u16": np.dtype("u2")}
SHAPES = [(1, 1, 50001), (2, 3, 33), (3, 70, 1), (1, 1, 1), (2, 2, 0)]


def run(isa, kernel, operands, shape, dtype):
    first = None
    for threads in (1, 2, 3, 7):
        y = np.full(shape, 77, dtype)
        Machine(isa).call(kernel, [*operands, y], shape, threads=threads)
        first = y if first is None else first
        assert y.tobytes() == first.tobytes()
    return first


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("zero", [False, True])
def test_quantize(isa, name, zero):
    info = np.iinfo(NARROW[name])
    for shape in SHAPES:
        rng = np.random.default_rng(0)
        scale = rng.choice(np.float32([0.5, 0.25, 2]), shape[1])  # exact quotients: many ties
        x = np.round(rng.standard_normal(shape) * info.max).astype(np.float32) / 8
        for i, special in enumerate((np.nan, np.inf, -np.inf, 3e38, -3e38, -0.0, 1e-45)):
            x.ravel()[i + 5:i + 6] = special
        point = rng.integers(info.min, info.max, shape[1], NARROW[name], endpoint=True) if zero else None
        offset = point.astype(np.float64)[:, None] if zero else 0
        want = np.rint(x.astype(np.float64) / scale[:, None]) + offset
        want = np.where(np.isnan(want), offset, np.clip(want, info.min, info.max)).astype(NARROW[name])
        got = run(isa, f"{name}_quantize", [x, scale, point], shape, NARROW[name])
        np.testing.assert_array_equal(got, want)


def test_zero_scale_saturates():
    x = np.float32([1, -1, 0, np.nan])
    got = run(None, "i8_quantize", [x, np.zeros(1, np.float32), np.int8([3])], (1, 1, 4), np.int8)
    np.testing.assert_array_equal(got.ravel(), [127, -128, 3, 3])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", {**NARROW, "i32": np.dtype("i4")})
@pytest.mark.parametrize("zero", [False, True])
def test_dequantize(isa, name, zero):
    dtype = {**NARROW, "i32": np.dtype("i4")}[name]
    info = np.iinfo(dtype)
    for shape in SHAPES:
        rng = np.random.default_rng(0)
        x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        scale = rng.random(shape[1]).astype(np.float32)
        point = rng.integers(info.min, info.max, shape[1], dtype, endpoint=True) if zero else None
        difference = x.astype(np.int64) - (point.astype(np.int64)[:, None] if zero else 0)
        got = run(isa, f"{name}_dequantize", [x, scale, point], shape, np.float32)
        np.testing.assert_array_equal(got, difference.astype(np.float32) * scale[:, None])
