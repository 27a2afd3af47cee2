"""Data movement kernels against NumPy's views and indexing."""

import itertools

import numpy as np
import pytest

from cynfer.ops.errors import KernelError
from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
THREADS = (1, 2, 3, 7)
ITEMS = {1: np.dtype("u1"), 2: np.dtype("u2"), 4: np.dtype("u4"), 8: np.dtype("u8"), 16: np.dtype("c16")}


def draw(shape, item, seed=0):
    raw = np.random.default_rng(seed).integers(0, 100, (*shape, item), dtype=np.uint8)
    return np.ascontiguousarray(raw).view(ITEMS[item])[..., 0]


def copy(machine, view, base, target, part, threads=1):
    """Copies a view of base into a part of target."""
    start = view.__array_interface__["data"][0] - base.ctypes.data
    to = part.__array_interface__["data"][0] - target.ctypes.data
    n = [view.itemsize, view.ndim, *view.shape, *view.strides, *part.strides, start, to]
    machine.call("copy_nd", [base, target], n, threads=threads)


def check_copy(isa, view, base):
    want = np.ascontiguousarray(view)
    for threads in THREADS:
        got = np.full(want.shape, 7).astype(want.dtype)
        copy(Machine(isa), view, base, got, got, threads)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("item", ITEMS)
def test_transpose(isa, item):
    for shape in [(5, 7), (64, 64), (65, 130), (3, 1000), (1000, 3), (8, 8), (7, 70)]:
        x = draw(shape, item)
        check_copy(isa, x.T, x)
    x = draw((2, 9, 33, 5), item)
    for axes in itertools.permutations(range(4)):
        check_copy(isa, x.transpose(axes), x)
    x = draw((3, 20, 70, 2), item)
    check_copy(isa, x.transpose(0, 2, 1, 3), x)
    check_copy(isa, x.transpose(2, 0, 1, 3), x)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("item", ITEMS)
def test_slices_and_broadcasts(isa, item):
    x = draw((6, 11, 40), item)
    for view in (x, x[:, 3:9], x[::-1], x[:, ::-2, ::3], x[..., ::-1], x[2:2], x[..., 4:5], x[:, :, ::2], x[1, 2, 3:4],
                 np.broadcast_to(x[:, None, :, :], (6, 3, 11, 40)), np.broadcast_to(x[:, :, :1], (6, 11, 40)),
                 np.broadcast_to(x[:1, :1, :1], (6, 11, 40))):
        check_copy(isa, view, x)
    x = draw((70001,), item)
    check_copy(isa, x, x)
    check_copy(isa, x[::-1], x)


def test_writes_into_a_part():
    x = draw((4, 3, 5), 4)
    for threads in THREADS:
        y = np.zeros((6, 9, 5), x.dtype)
        copy(Machine(), x, x, y, y[1:5, 2:8:2], threads)
        want = np.zeros_like(y)
        want[1:5, 2:8:2] = x
        np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("item", ITEMS)
def test_fill(isa, item):
    for count in (0, 1, 17, 50001):
        value = draw((1,), item)
        for threads in THREADS:
            y = np.zeros(count + 1, value.dtype)
            Machine(isa).call("fill", [value, y], [item, count], threads=threads)
            np.testing.assert_array_equal(y[:-1], np.repeat(value, count))
            assert y[-1] == 0


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(isa, item, mode):
    for shape, widths in [((7,), [(2, 3)]), ((3, 5), [(1, 2), (4, 0)]),
                          ((2, 3, 4, 19), [(0, 0), (2, 1), (3, 3), (5, 8)]), ((4, 40), [(0, 3), (0, 0)])]:
        x = draw(shape, item)
        tables = [np.pad(np.arange(s), w, mode, **({"constant_values": -1} if mode == "constant" else {}))
                  for s, w in zip(shape, widths, strict=True)]
        value = draw((1,), item, 5)
        want = np.pad(x, widths, mode, **({"constant_values": value[0]} if mode == "constant" else {}))
        for threads in THREADS:
            got = np.zeros_like(want)
            Machine(isa).call("pad", [x, got, value, np.concatenate(tables).astype(np.int64)],
                              [item, len(shape), *shape, *want.shape], threads=threads)
            np.testing.assert_array_equal(got, want)


def test_negative_pads_crop():
    x = draw((5, 8), 4)
    tables = np.r_[np.r_[-1, 0:3], np.r_[2:8, -1]].astype(np.int64)
    got = np.empty((4, 7), x.dtype)
    Machine().call("pad", [x, got, np.zeros(1, x.dtype), tables], [4, 2, 5, 8, 4, 7])
    np.testing.assert_array_equal(got, np.pad(x[:3, 2:], [(1, 0), (0, 1)]))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_gather(isa, index):
    rng = np.random.default_rng(0)
    for outer, axis, inner, count in [(1, 9, 1, 30), (3, 5, 4, 7), (2, 50, 33, 1), (4, 3, 64, 20), (1, 3, 40000, 5),
                                      (2, 6, 0, 3), (2, 6, 8, 0)]:
        x = rng.integers(0, 255, (outer, axis, inner), dtype=np.uint8)
        indices = rng.integers(-axis, axis, count).astype(index)
        for threads in THREADS:
            y = np.full((outer, count, inner), 7, np.uint8)
            Machine(isa).call("gather", [x, indices, y], [outer, axis, inner, count, indices.itemsize], threads=threads)
            np.testing.assert_array_equal(y, x[:, indices])


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("bad", [9, -4, 2**63 - 1, -(2**63)])
def test_gather_reports_the_first_bad_index(threads, bad):
    indices = np.zeros(100000, np.int64)
    indices[[70001, 99999]] = bad, 17
    with pytest.raises(KernelError, match=f"index {bad} at position 70001 is outside -3 to 2"):
        Machine().call("gather", [np.zeros(3, np.float32), indices, np.zeros(100000, np.float32)],
                       [1, 3, 4, 100000, 8], threads=threads)
