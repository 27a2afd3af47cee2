"""Integer matrix products against NumPy: wrapping words, and bytes with zero points."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

THREADS = (1, 2, 3, 7)
SIZES = [(1, 1, 1), (1, 130, 3), (3, 5, 7), (4, 128, 64), (5, 129, 65), (9, 33, 200), (2, 2, 0)]


@pytest.fixture(params=runnable())
def machine(request):
    return Machine(isa=request.param)


def run(machine, kernel, operands, n, shape, dtype):
    results = []
    for threads in THREADS:
        c = np.full(shape, 77, dtype)
        a, b, *rest = operands
        machine.call(kernel, [a, b, c, *rest], n, scratch=32768, threads=threads)
        results.append(c)
    assert all(np.array_equal(results[0], r) for r in results[1:])
    return results[0]


def draw(rng, shape, dtype):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("m, n, k", SIZES)
def test_words_wrap(machine, dtype, m, n, k):
    rng = np.random.default_rng(m + n)
    a, b = draw(rng, (2, m, k), dtype), draw(rng, (2, k, n), dtype)
    kernel = f"{np.dtype(dtype).kind}{8 * np.dtype(dtype).itemsize}_gemm"
    sizes = [2, m, n, k, k, n, n + 1, m * k, k * n, m * (n + 1)]
    got = run(machine, kernel, (a, b, None), sizes, (2, m, n + 1), dtype)
    assert np.array_equal(got[:, :, :n], np.matmul(a, b))
    assert np.all(got[:, :, n] == 77)
    table = np.array([[m * k, 0, 0], [0, k * n, m * n]], np.int64)
    got = run(machine, kernel, (a, b, table), [2, m, n, k, k, n, n, 0, 0, 0], (2, m, n), dtype)
    assert np.array_equal(got, np.stack([np.matmul(a[1], b[0]), np.matmul(a[0], b[1])]))


@pytest.mark.parametrize("left", [np.uint8, np.int8])
@pytest.mark.parametrize("right", [np.uint8, np.int8])
@pytest.mark.parametrize("m, n, k", SIZES)
@pytest.mark.parametrize("zeros", ["none", "one", "each"])
def test_bytes(machine, left, right, m, n, k, zeros):
    rng = np.random.default_rng(m + n)
    a, b = draw(rng, (2, m, k), left), draw(rng, (2, k, n), right)
    a[0], b[0] = np.iinfo(left).max, np.iinfo(right).min
    za, zb, steps = None, None, [0, 0, 0, 0]
    wa, wb = np.zeros((1, 1, 1), np.int32), np.zeros((1, 1, 1), np.int32)
    if zeros == "one":
        za, zb = np.array([np.iinfo(left).min], left), np.array([np.iinfo(right).max], right)
        wa, wb = za.astype(np.int32).reshape(1, 1, 1), zb.astype(np.int32).reshape(1, 1, 1)
    if zeros == "each":
        za, zb, steps = draw(rng, (2, m, 1), left), draw(rng, (2, 1, n), right), [1, 1, m, n]
        wa, wb = za.astype(np.int32), zb.astype(np.int32)
    kernel = f"{np.dtype(left).kind}8{np.dtype(right).kind}8_gemm"
    sizes = [2, m, n, k, k, n, n, m * k, k * n, m * n, *steps]
    got = run(machine, kernel, (a, b, None, za, zb), sizes, (2, m, n), np.int32)
    assert np.array_equal(got, np.matmul(a.astype(np.int32) - wa, b.astype(np.int32) - wb))
