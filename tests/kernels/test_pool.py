"""Pooling kernels against windows cut one by one in NumPy."""

import itertools

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
THREADS = (1, 2, 3, 7)
REAL = {"f32": np.float32, "f64": np.float64}
ALL = {**REAL, "i8": np.int8, "u8": np.uint8}

# (N, C, image, kernel, strides, dilations, pads begin, pads end), each 3-D
CASES = [
    (1, 1, (1, 1, 5), (1, 1, 2), (1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0)),
    (2, 3, (1, 9, 19), (1, 3, 3), (1, 2, 2), (1, 1, 1), (0, 1, 1), (0, 1, 1)),
    (1, 17, (1, 11, 13), (1, 3, 2), (1, 1, 1), (1, 2, 3), (0, 2, 1), (0, 0, 2)),
    (1, 2, (5, 6, 7), (2, 3, 3), (2, 3, 1), (2, 1, 2), (1, 1, 0), (0, 2, 1)),
    (2, 33, (1, 4, 37), (1, 2, 5), (1, 3, 4), (1, 1, 1), (0, 0, 4), (0, 1, 3)),
    (1, 2, (1, 3, 3), (1, 2, 2), (1, 3, 3), (1, 1, 1), (0, 2, 2), (0, 2, 2)),  # windows of padding alone
    (1, 16, (1, 1, 1), (1, 3, 3), (1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 1, 1)),
]


def sizes(case):
    n, c, image, kernel, strides, dilations, begin, end = case
    out = tuple((image[i] + begin[i] + end[i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in range(3))
    return out, [n * c, *image, *out, *kernel, *strides, *dilations, *begin, *end]


def windows(x, case):
    """Yields (output position, window elements, their coordinates, taps that count with padding)."""
    _, _, image, kernel, strides, dilations, begin, end = case
    out, _ = sizes(case)
    for o in itertools.product(*map(range, out)):
        taps = [[o[i] * strides[i] - begin[i] + k * dilations[i] for k in range(kernel[i])] for i in range(3)]
        padded = np.prod([sum(-begin[i] <= t < image[i] + end[i] for t in taps[i]) for i in range(3)])
        inside = [[t for t in taps[i] if 0 <= t < image[i]] for i in range(3)]
        yield o, x[(..., *np.ix_(*inside))].reshape(*x.shape[:2], -1), list(itertools.product(*inside)), int(padded)


def draw(case, dtype, seed=0, nans=False):
    rng = np.random.default_rng(seed)
    shape = (case[0], case[1], *case[2])
    if np.dtype(dtype).kind in "iu":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)
    x = rng.standard_normal(shape).astype(dtype)
    if nans:
        x[rng.random(shape) < 0.05] = np.nan
    return x


def lowest(dtype):
    return -np.inf if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min


def max_reference(x, case):
    y = np.full((*x.shape[:2], *sizes(case)[0]), lowest(x.dtype), x.dtype)
    for o, values, _, _ in windows(x, case):
        if values.shape[-1]:
            y[(..., *o)] = values.max(-1)
    return y


def average_reference(x, case, padding):
    y = np.zeros((*x.shape[:2], *sizes(case)[0]))
    for o, values, _, padded in windows(x.astype(np.float64), case):
        count = padded if padding else values.shape[-1]
        if count:
            y[(..., *o)] = values.sum(-1) / count
    return y


def same_bits(call, shape, dtype):
    """Runs call(output, threads) for all thread counts; all outputs must agree to the bit."""
    first = None
    for threads in THREADS:
        y = np.full(shape, 77, dtype)
        call(y, threads)
        if first is None:
            first = y
        assert y.tobytes() == first.tobytes()
    return first


def to_c16(x, spare):
    n, c, h, w = x.shape
    full = np.full((n, -(-c // 16) * 16, h, w), spare, x.dtype)
    full[:, :c] = x
    return np.ascontiguousarray(full.reshape(n, -1, 16, h, w).transpose(0, 1, 3, 4, 2))


def from_c16(y, c):
    n, b, h, w, _ = y.shape
    return y.transpose(0, 1, 4, 2, 3).reshape(n, b * 16, h, w)[:, :c]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("nans", [False, True])
def test_max(isa, case, name, nans):
    x = draw(case, ALL[name], nans=nans)
    want = max_reference(x, case)
    machine = Machine(isa)
    got = same_bits(lambda y, t: machine.call(f"{name}_max_pool", [x, y, None], [*sizes(case)[1], 0], threads=t),
                    want.shape, want.dtype)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("order", [0, 1])
def test_max_indices(case, order):
    x = np.round(draw(case, np.float32, nans=True))
    want = max_reference(x, case)
    where = np.full(want.shape, -1)
    d, h, w = case[2]
    for o, values, at, _ in windows(x, case):
        if at:
            flat = np.array([(i + (j + k * h) * d) if order else (i * h + j) * w + k for i, j, k in at])
            channel = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2]) * (d * h * w)
            where[(..., *o)] = flat[values.argmax(-1)] + channel
    y = np.zeros_like(want)
    got = same_bits(lambda i, t: Machine().call("f32_max_pool", [x, y, i], [*sizes(case)[1], order], threads=t),
                    want.shape, np.int64)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(got, where)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("padding", [0, 1])
def test_average(isa, case, name, padding):
    x = draw(case, REAL[name])
    want = average_reference(x, case, padding)
    machine = Machine(isa)
    got = same_bits(lambda y, t: machine.call(f"{name}_average_pool", [x, y], [*sizes(case)[1], padding], threads=t),
                    want.shape, x.dtype)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 if name == "f32" else 1e-14)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp(isa, case, p):
    x = draw(case, np.float32)
    want = np.zeros((*x.shape[:2], *sizes(case)[0]))
    for o, values, _, _ in windows(x.astype(np.float64), case):
        want[(..., *o)] = (np.abs(values) ** p).sum(-1) ** (1 / p)
    got = same_bits(lambda y, t: Machine(isa).call("f32_lp_pool", [x, y], [*sizes(case)[1], 0], [p], threads=t),
                    want.shape, np.float32)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", [c for c in CASES if c[2][0] == 1])
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("what", ["max", "average", "average_padding"])
def test_c16(isa, case, name, what):
    x = draw(case, REAL[name], nans=what == "max")
    n, c, image, *rest = case
    padding = what == "average_padding"
    want = max_reference(x, case) if what == "max" else average_reference(x, case, padding)
    blocked = to_c16(x[:, :, 0], np.nan)
    out = want.shape[3:]
    args = [n, blocked.shape[1], *image[1:], *out, *(v for r in rest for v in r[1:]), int(padding)]
    kernel = f"{name}_{'max' if what == 'max' else 'average'}_pool_c16"
    got = same_bits(lambda y, t: Machine(isa).call(kernel, [blocked, y], args, threads=t),
                    (*blocked.shape[:2], *out, 16), x.dtype)
    np.testing.assert_allclose(from_c16(got, c), want[:, :, 0], rtol=0, atol=1e-6 if name == "f32" else 1e-14)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("pixels", [1, 2, 49, 255, 257, 1030])
def test_global_c16(isa, name, pixels):
    x = np.random.default_rng(1).standard_normal((2, 3, pixels, 16)).astype(REAL[name])
    tolerance = 1e-6 if name == "f32" else 1e-14
    call = Machine(isa).call
    got = same_bits(lambda y, t: call(f"{name}_global_average_pool_c16", [x, y], [2, 3, pixels], threads=t),
                    (2, 3, 16), x.dtype)
    np.testing.assert_allclose(got, x.astype(np.float64).mean(2), rtol=0, atol=tolerance)
    x[1, 2, pixels // 2, 5] = np.nan
    got = same_bits(lambda y, t: call(f"{name}_global_max_pool_c16", [x, y], [2, 3, pixels], threads=t),
                    (2, 3, 16), x.dtype)
    np.testing.assert_array_equal(got, x.max(2))
