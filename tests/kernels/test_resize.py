"""Resizing by tables against the same tables as matrices."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
REAL = {"f32": np.float32, "f64": np.float64}


def tables(size, out, taps, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, size, (out, taps)), rng.standard_normal((out, taps)).astype(dtype)


def matrix(at, weights, size):
    m = np.zeros((len(at), size))
    np.add.at(m, (np.arange(len(at))[:, None], at), weights.astype(np.float64))
    return m


def run(isa, kernel, operands, shape, dtype, n, scratch=0):
    first = None
    for threads in (1, 2, 3, 7):
        y = np.full(shape, 77, dtype)
        Machine(isa).call(kernel, [*operands, y], n, scratch=scratch, threads=threads)
        first = y if first is None else first
        assert y.tobytes() == first.tobytes()
    return first


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 if got.dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("outer, size, inner, out", [(3, 7, 1, 19), (1, 5000, 1, 3000), (2, 9, 33, 4), (1, 3, 3000, 5)])
@pytest.mark.parametrize("taps", [1, 2, 4, 7])
def test_taps(isa, name, outer, size, inner, out, taps):
    x = np.random.default_rng(1).standard_normal((outer, size, inner)).astype(REAL[name])
    at, weights = tables(size, out, taps, REAL[name])
    sizes = [outer, size, inner, out, taps]
    got = run(isa, f"{name}_resize_taps", [x, at, weights], (outer, out, inner), x.dtype, sizes)
    close(got, matrix(at, weights, size) @ x.astype(np.float64))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("item", [1, 4, 8, 64, 128])
def test_nearest(isa, item):
    x = np.random.default_rng(1).integers(0, 255, (3, 5, 7, item), dtype=np.uint8)
    rows, columns = np.arange(11) * 5 // 11, np.arange(20) * 7 // 20
    got = run(isa, "resize_nearest_2d", [x, rows, columns], (3, 11, 20, item), np.uint8, [item, 3, 5, 7, 11, 20])
    np.testing.assert_array_equal(got, x[:, rows][:, :, columns])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("blocked", [False, True])
def test_linear(isa, name, blocked):
    lanes = 16 if blocked else 1
    x = np.random.default_rng(1).standard_normal((3, 9, 13, lanes)).astype(REAL[name])
    rows, down = tables(9, 21, 2, REAL[name], 1)
    columns, across = tables(13, 18, 2, REAL[name], 2)
    got = run(isa, f"{name}_resize_linear_2d" + "_c16" * blocked, [x, rows, down, columns, across], (3, 21, 18, lanes),
              x.dtype, [3, 9, 13, 21, 18], scratch=13 * lanes * x.itemsize)
    want = np.einsum("ih,jw,nhwc->nijc", matrix(rows, down, 9), matrix(columns, across, 13), x.astype(np.float64))
    close(got, want)
