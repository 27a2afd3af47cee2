"""Gathers and scatters against NumPy, one update after the other."""

import numpy as np
import pytest

from cynfer.ops.errors import KernelError
from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
THREADS = (1, 2, 3, 7)
DTYPES = {"f32": np.dtype("f4"), "f64": np.dtype("f8"),
          **{f"{k}{b}": np.dtype(f"{k}{b // 8}") for k in "iu" for b in (8, 16, 32, 64)}}
STEPS = [lambda a, b: b, np.add, np.multiply, np.maximum, np.minimum]


def draw(shape, dtype, seed=0):
    x = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
    if x.dtype.kind == "f":
        x /= 7
        x.ravel()[::13] = np.nan
    return x


def indices_below(sizes, count, dtype=np.int64, seed=1):
    """count tuples with a size for each place, negative ones among them, and many equal."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(-s, s, count) for s in sizes], -1).astype(dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_gather_nd(isa, index):
    for batches, sizes, tuples, inner in [(1, (5,), 7, (3,)), (2, (3, 4), 300, ()), (3, (2, 3, 2), 5, (2, 9))]:
        x = draw((batches, *sizes, *inner), np.float32)
        at = np.stack([indices_below(sizes, tuples, index, b) for b in range(batches)])
        want = np.stack([x[b][tuple(at[b].T)] for b in range(batches)])
        n = [batches, len(sizes), tuples, 4 * int(np.prod(inner)), at.itemsize, *sizes]
        for threads in THREADS:
            y = np.zeros_like(want)
            Machine(isa).call("gather_nd", [x, at, y], n, threads=threads)
            np.testing.assert_array_equal(y, want)


CASES = [((9,), (10000,), 0), ((4, 5), (3, 7), 1), ((4, 5), (6, 5), 0), ((3, 4, 5), (3, 9, 2), 1),
         ((2, 3, 4), (2, 0, 4), 1)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "c16"])
@pytest.mark.parametrize("shape, count, axis", CASES)
def test_gather_elements(isa, dtype, shape, count, axis):
    x = draw(shape, dtype)
    at = indices_below([shape[axis]], count)[..., 0]
    grid = np.indices(count)
    grid[axis] = at
    for index in (np.int32, np.int64):
        typed = at.astype(index)
        for threads in THREADS:
            y = np.zeros(count, dtype)
            n = [x.itemsize, typed.itemsize, axis, x.ndim, *shape, *count]
            Machine(isa).call("gather_elements", [x, typed, y], n, threads=threads)
            np.testing.assert_array_equal(y, x[tuple(grid)])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("reduction", range(5))
def test_scatter_nd(isa, name, reduction):
    for sizes, tuples, inner in [((5,), 7, 3), ((3, 4), 100, 1), ((2,), 5, 1030)]:
        x = draw((*sizes, inner), DTYPES[name])
        at = indices_below(sizes, tuples)
        updates = draw((tuples, inner), DTYPES[name], 3)
        want = x.copy()
        with np.errstate(all="ignore"):
            for i in range(tuples):
                want[tuple(at[i])] = STEPS[reduction](want[tuple(at[i])], updates[i])
        for threads in THREADS:
            y = x.copy()
            Machine(isa).call(f"{name}_scatter_nd", [y, at, updates],
                              [reduction, len(sizes), tuples, inner, 8, *sizes], threads=threads)
            np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("reduction", range(5))
def test_scatter_elements(isa, name, reduction):
    for shape, count, axis in [((9,), (100,), 0), ((4, 5), (3, 7), 1), ((3, 4, 5), (3, 9, 2), 1)]:
        x = draw(shape, DTYPES[name])
        at = indices_below([shape[axis]], count, np.int32)[..., 0]
        updates = draw(count, DTYPES[name], 3)
        want = x.copy()
        with np.errstate(all="ignore"):
            for place in np.ndindex(count):
                to = (*place[:axis], at[place], *place[axis + 1:])
                want[to] = STEPS[reduction](want[to], updates[place])
        for threads in THREADS:
            y = x.copy()
            Machine(isa).call(f"{name}_scatter_elements", [y, at, updates],
                              [reduction, 4, axis, len(shape), *shape, *count], threads=threads)
            np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("threads", THREADS)
def test_the_first_bad_index_is_reported(threads):
    x = np.zeros((3, 4), np.float32)
    at = np.zeros((50, 2), np.int64)
    at[30, 1], at[40, 0] = 4, -9
    calls = {
        "gather_nd": ([x, at, np.zeros(50, np.float32)], [1, 2, 50, 4, 8, 3, 4]),
        "f32_scatter_nd": ([x, at, np.zeros(50, np.float32)], [0, 2, 50, 1, 8, 3, 4]),
        "gather_elements": ([x, at, np.zeros((50, 2), np.float32)], [4, 8, 1, 2, 50, 4, 50, 2]),
        "f32_scatter_elements": ([np.zeros((50, 4), np.float32), at, np.zeros((50, 2), np.float32)],
                                 [0, 8, 1, 2, 50, 4, 50, 2]),
    }
    for kernel, (operands, n) in calls.items():
        if kernel == "gather_elements":
            operands[0] = np.zeros((50, 4), np.float32)
        with pytest.raises(KernelError, match="index 4 at position 61 is outside -4 to 3"):
            Machine().call(kernel, operands, n, threads=threads)
