"""Casts against exact arithmetic; where, range and fill against NumPy."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from kernels.test_unary import INTS, floats, numpy_type

from cynfer.ops.machine import Machine, runnable

FLOATS = ["f16", "bf16", "f32", "f64"]
TYPES = ["b8", *INTS, *FLOATS]


def dtype_of(kind):
    return np.dtype({"b8": bool, "bf16": ml_dtypes.bfloat16}.get(kind) or numpy_type(kind))


def samples(kind):
    """Values of a type: edges, all patterns of the 16-bit types, values near the edges of other types."""
    dtype, rng = dtype_of(kind), np.random.default_rng(0)
    if kind == "b8":
        return rng.integers(0, 2, 5000).astype(bool)
    if kind in ("f16", "bf16"):
        x = np.arange(65536, dtype=np.uint16).view(dtype)
        with np.errstate(all="ignore"):
            x[np.isnan(x)] = np.nan  # quiet ones: NumPy warns of others
        return x
    edges = [s * (2**p + d) for p in range(65) for d in (-2049, -1, 0, 1, 3, 1024) for s in (1, -1)]
    if kind in INTS:
        info = np.iinfo(dtype)
        x = [e for e in edges if info.min <= e <= info.max]
        return np.concatenate([np.array(x, dtype), rng.integers(info.min, info.max, 5000, dtype, endpoint=True)])
    x = np.concatenate([floats(20_000).astype(dtype), np.array(edges, np.float64).astype(dtype)])
    with np.errstate(all="ignore"):
        halves = np.concatenate([samples(t).astype(dtype) for t in ("f16", "bf16")])
        between = (halves[1:] + halves[:-1]) / 2  # ties
        beside = [np.nextafter(between, dtype.type(to)) for to in (0, 1e30)]
        return np.concatenate([x, halves, between, *beside])


def to_float(x, bits, lowest, highest):
    """Round to nearest even: a value of `bits` bits, of unit at least 2^lowest, Inf from 2^highest on. Exact."""
    result = []
    for value in x:
        exact = Fraction(value)
        size = abs(exact)
        if not size:
            result.append(value)
            continue
        exponent = size.numerator.bit_length() - size.denominator.bit_length()
        exponent -= size < Fraction(2) ** exponent
        unit = Fraction(2) ** max(exponent - bits + 1, lowest)
        rounded = round(size / unit) * unit  # Python rounds halves to even
        rounded = float("inf") if rounded >= Fraction(2) ** highest else float(rounded)
        result.append(-rounded if exact < 0 else rounded)
    return np.array(result)


def expected(x, source, target):
    if target == "b8":
        return x != 0
    dtype = dtype_of(target)
    if target in INTS:
        if source not in FLOATS:
            return x.astype(dtype)
        info, wide = np.iinfo(dtype), x.astype(np.float64)
        cut = np.trunc(np.where(np.isnan(wide), 0, wide))
        above, below = cut >= float(int(info.max) + 1), cut < float(info.min)
        inside = np.where(above | below, 0, cut).astype(dtype)
        return np.where(above, dtype.type(info.max), np.where(below, dtype.type(info.min), inside))
    if target in ("f32", "f64") or (target == "f16" and source != "bf16"):
        return x.astype(dtype)  # NumPy rounds once here
    return None


@pytest.mark.parametrize("source", TYPES)
@pytest.mark.parametrize("target", TYPES)
def test_cast(source, target):
    x = samples(source)
    with np.errstate(all="ignore"):
        want = expected(x, source, target)
    if want is None:
        some = np.random.default_rng(1).permutation(x)[:6000]
        wide = some.astype(np.float64) if source in FLOATS else some
        x = some[np.isfinite(wide)]
        exact = [float(v) if source in FLOATS else int(v) for v in x]
        sizes = {"f16": (11, -24, 16), "bf16": (8, -133, 128)}[target]
        with np.errstate(all="ignore"):
            want = to_float(exact, *sizes).astype(dtype_of(target))
    outputs = set()
    for isa in runnable():
        for threads in (1, 3):
            y = np.empty(x.size, dtype_of(target))
            Machine(isa).call(f"cast_{source}_{target}", [x, y], n=[x.size], threads=threads)
            outputs.add(y.tobytes())
    assert len(outputs) == 1
    if target in FLOATS:
        y, want = y.astype(np.float64), want.astype(np.float64)
        np.testing.assert_array_equal(np.signbit(y) & ~np.isnan(y), np.signbit(want) & ~np.isnan(want))
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("size", [0, 1, 3, 15, 16, 17, 63, 64, 65, 4095, 4096, 4097])
@pytest.mark.parametrize("isa", runnable())
def test_cast_sizes(isa, size):
    x, y = np.linspace(-300, 300, size + 9, dtype=np.float32), np.full(size + 9, 99, np.int8)
    Machine(isa).call("cast_f32_i8", [x, y], n=[size], threads=2)
    np.testing.assert_array_equal(y[:size], np.clip(x[:size], -128, 127).astype(np.int8))
    assert (y[size:] == 99).all()


SHAPES = [((), (), ()), ((7,), (7,), (7,)), ((5000,), (), (5000,)), ((5000,), (5000,), ()), ((5000,), (), ()),
          ((), (9,), (9,)), ((3, 1), (1, 4), ()), ((2, 3, 1, 5), (3, 4, 1), (2, 1, 1, 5)), ((4, 9000), (4, 1), (9000,)),
          ((0, 3), (3,), (1, 1)), ((6, 1, 5, 1), (1, 5, 1, 5), (6, 5, 1, 5))]


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_where(shapes, isa):
    rng, shape = np.random.default_rng(0), np.broadcast_shapes(*shapes)
    for size in (1, 2, 4, 8):
        condition = rng.integers(0, 2, shapes[0]).astype(bool)
        x, y = (rng.integers(0, 2 ** min(8 * size, 63), s).astype(f"u{size}") for s in shapes[1:])
        strides = [s // v.itemsize for v in (condition, x, y) for s in np.broadcast_to(v, shape).strides]
        for threads in (1, 2, 3, 7):
            z = np.empty(shape, x.dtype)
            Machine(isa).call(f"where_{size}", [condition, x, y, z], n=[len(shape), *shape, *strides], threads=threads)
            np.testing.assert_array_equal(z, np.where(condition, x, y))


@pytest.mark.parametrize("kind", ["f32", "f64", "i16", "i32", "i64"])
def test_range(kind):
    for size in (0, 1, 5, 4097, 9000):
        for threads in (1, 3):
            y = np.empty(size, numpy_type(kind))
            if kind[0] == "f":
                Machine().call(f"{kind}_range", [y], n=[size], f=[-1.5, 0.1], threads=threads)
                np.testing.assert_allclose(y, -1.5 + 0.1 * np.arange(size), 1e-6, 1e-7)
            else:
                Machine().call(f"{kind}_range", [y], n=[size, 7, -3], threads=threads)
                np.testing.assert_array_equal(y, (7 - 3 * np.arange(size)).astype(y.dtype))


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_fill(size):
    item = np.array([0x1234567890ABCDEF & (256**size - 1)], f"u{size}")
    for count in (0, 1, 17, 9000):
        y = np.zeros(count + 4, item.dtype)
        Machine().call(f"fill_{size}", [y, item], n=[count], threads=3)
        assert (y[:count] == item).all() and not y[count:].any()
