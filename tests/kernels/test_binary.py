"""Binary kernels against NumPy: broadcasting by strides, wrapping integers, faults, values per channel."""

import itertools
import math

import numpy as np
import pytest
from kernels.test_unary import INTS, floats, numpy_type, ulps

from cynfer.ops.errors import KernelError
from cynfer.ops.machine import Machine, runnable

SIZES = [0, 1, 3, 15, 16, 17, 63, 65, 4095, 4096, 4097, 9001]
L = np.longdouble
COMPARE = {"equal": np.equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
           "greater_equal": np.greater_equal}


def prelu(x, y):
    return np.where(x < 0, x * y, x)


def run(machine, name, x, y, out=None, threads=1):
    shape = np.broadcast_shapes(x.shape, y.shape)
    z = np.empty(shape, out or x.dtype)
    strides = [s // v.itemsize for v in (x, y) for s in np.broadcast_to(v, shape).strides]
    machine.call(name, [x, y, z], n=[len(shape), *shape, *strides], threads=threads)
    return z


def integers(kind, size, seed=0):
    dtype = numpy_type(kind)
    info, rng = np.iinfo(dtype), np.random.default_rng(seed)
    x = rng.integers(info.min, info.max, size, dtype, endpoint=True)
    small = rng.random(size) < 0.5
    x[small] = rng.integers(max(info.min, -9), 10, small.sum()).astype(dtype)
    edges = np.array([info.min, info.max, 0, 1, info.max - 1, info.min + 1], dtype)
    x[rng.random(size) < 0.2] = edges[seed % 6]
    return x


def shift(left):
    def one(x, y):
        width = x.dtype.itemsize * 8
        result = [(int(a) << int(b) if left else int(a) >> int(b)) if 0 <= b < width else (0 if left or a >= 0 else -1)
                  for a, b in zip(x, y, strict=True)]
        return wrap(result, x.dtype)
    return one


def wrap(values, dtype):
    return np.array([v % 2 ** (8 * dtype.itemsize) for v in values], np.uint64).astype(dtype)


def power(x, y):
    def one(a, b):
        if b >= 0:
            return pow(a, b, 2**64)
        return 1 if a == 1 else (1 if b % 2 == 0 else -1) if a == -1 else 0
    return wrap([one(int(a), int(b)) for a, b in zip(x, y, strict=True)], x.dtype)


FLOAT = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
         "prelu": prelu, "fmod": np.fmod, "mod": np.mod, **COMPARE}
INT = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "prelu": prelu,
       "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor, "pow": power,
       "shift_left": shift(True), "shift_right": shift(False), **COMPARE}


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", FLOAT)
def test_floats_equal_numpy(name, kind, isa):
    machine, dtype = Machine(isa), numpy_type(kind)
    for size, threads in itertools.product(SIZES, (1, 3)):
        x, y = (np.random.default_rng(s).permutation(floats(size, s))[:size].astype(dtype) for s in (1, 2))
        out = bool if name in COMPARE else dtype
        with np.errstate(all="ignore"):
            for a, b in ((x, y), (x, y[:1]), (x[:1], y)):
                if min(a.size, b.size):
                    np.testing.assert_array_equal(run(machine, f"{kind}_{name}", a, b, out, threads), FLOAT[name](a, b))


@pytest.mark.parametrize("isa", runnable())
def test_pow_float32(isa):
    machine = Machine(isa)
    special = np.array([0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38,
                        -3e38, 2.0**24 + 2, 2.0**24 - 1, 1 - 2.0**-24, 127, -149], np.float32)
    pairs = np.array(list(itertools.product(special, special)), np.float32)
    rng = np.random.default_rng(0)
    x = [pairs[:, 0], np.exp(rng.uniform(-87, 88, 50_000)), rng.uniform(0.9, 1.1, 50_000)]
    y = [pairs[:, 1], rng.normal(0, 1, 50_000), rng.normal(0, 300, 50_000)]
    x, y = np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.float32)
    with np.errstate(all="ignore"):
        assert ulps(run(machine, "f32_pow", x, y), np.power(x.astype(L), y.astype(L))) <= 0.51
        assert run(machine, "f32_pow", x, y, threads=7).tobytes() == run(machine, "f32_pow", x, y).tobytes()
        for one in (2, -1, 0.5, 2.5):
            exact = np.power(x.astype(L), L(one))
            assert ulps(run(machine, "f32_pow", x, np.array([one], np.float32)), exact) <= 0.51
            exact = np.power(L(abs(one)), y.astype(L))
            assert ulps(run(machine, "f32_pow", np.array([abs(one)], np.float32), y), exact) <= 0.51


def test_pow_float64():
    rng = np.random.default_rng(0)
    x, y = np.exp(rng.normal(0, 5, 1000)), rng.normal(0, 5, 1000)
    np.testing.assert_allclose(run(Machine(), "f64_pow", x, y), np.power(x, y), 1e-14)


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", INTS)
@pytest.mark.parametrize("name", INT)
def test_integers_wrap(name, kind, isa):
    machine = Machine(isa)
    for size in (0, 1, 17, 64, 300, 5000 if name not in ("pow", "shift_left", "shift_right") else 65):
        x, y = integers(kind, size, 1), integers(kind, size, 6)
        if "shift" in name:
            y[::3] = np.abs(y[::3]) % 70
        out = bool if name in COMPARE else None
        with np.errstate(all="ignore"):
            want = INT[name](x, y)
            np.testing.assert_array_equal(run(machine, f"{kind}_{name}", x, y, out, 2), want)
            if size:
                alike = np.full_like(x, y[-1])
                np.testing.assert_array_equal(run(machine, f"{kind}_{name}", x, y[-1:], out), INT[name](x, alike))
                np.testing.assert_array_equal(run(machine, f"{kind}_{name}", y[-1:], x, out), INT[name](alike, x))


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", INTS)
def test_integer_division(kind, isa):
    machine = Machine(isa)
    x, y = integers(kind, 3000, 6), integers(kind, 3000, 7)
    x[:3], y[:3] = np.iinfo(x.dtype).min, np.array([1, -1 if kind[0] == "i" else 2, 3])
    y[y == 0] = 5
    exact = [(int(a), int(b), abs(int(a)) // abs(int(b)) * (-1 if (a < 0) != (b < 0) else 1))
             for a, b in zip(x, y, strict=True)]
    for name, want in (("div", [q for _, _, q in exact]), ("fmod", [a - q * b for a, b, q in exact]),
                       ("mod", [a % b for a, b, _ in exact])):
        np.testing.assert_array_equal(run(machine, f"{kind}_{name}", x, y, threads=3), wrap(want, x.dtype))
        zero = np.resize(y, (5, 3000))
        zero[3, 7] = zero[3, 9] = zero[4, 0] = 0
        for threads in (1, 2, 7):
            with pytest.raises(KernelError, match="division by zero at position 9007"):
                run(machine, f"{kind}_{name}", x, zero, threads=threads)


SHAPES = [((), ()), ((5,), ()), ((), (5,)), ((3, 1), (1, 4)), ((2, 3, 4, 5), (3, 1, 1)), ((2, 3, 4, 5), (3, 1, 5)),
          ((2, 1, 4, 1), (1, 3, 1, 5)), ((4, 1), (4, 9000)), ((0, 3), (1, 3)), ((3, 0), (3, 1)), ((1, 5000), (7, 1)),
          ((2, 1, 3, 1, 2, 1), (1, 2, 1, 3, 1, 2)), ((600, 7), (7,)), ((300, 1, 2), (300, 20, 1))]


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_broadcasting(shapes, isa):
    machine, rng = Machine(isa), np.random.default_rng(0)
    for kind, name in (("f32", "sub"), ("f64", "less"), ("i32", "sub"), ("u8", "max"), ("b8", "xor")):
        dtype = np.dtype(bool) if kind == "b8" else numpy_type(kind)
        x, y = (rng.integers(0, 100 if kind != "b8" else 2, s).astype(dtype) for s in shapes)
        function = {"sub": np.subtract, "less": np.less, "max": np.maximum, "xor": np.logical_xor}[name]
        for threads in (1, 2, 3, 7, 16):
            z = run(machine, f"{kind}_{name}", x, y, bool if name in ("less", "xor") else None, threads)
            np.testing.assert_array_equal(z, function(x, y))


def test_any_inner_stride_and_in_place():
    machine, x, y = Machine(), np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((4, 3), np.float32)
    machine.call("f32_add", [x, y, y], n=[2, 4, 3, 1, 4, 3, 1])  # x transposed; the result over y
    np.testing.assert_array_equal(y, x.T + 1)


@pytest.mark.parametrize("name", ["and", "or", "xor", "equal"])
def test_logic(name):
    x, y = (np.random.default_rng(s).integers(0, 2, 5001).astype(bool) for s in (0, 1))
    want = {"and": x & y, "or": x | y, "xor": x ^ y, "equal": x == y}[name]
    np.testing.assert_array_equal(run(Machine(), f"b8_{name}", x, y), want)


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("batched", [0, 1])
def test_channels_in_blocks(batched, kind, isa):
    machine, dtype, rng = Machine(isa), numpy_type(kind), np.random.default_rng(0)
    for n, blocks, pixels in ((1, 1, 1), (2, 3, 49), (3, 2, 0), (2, 2, 255), (1, 3, 257), (2, 1, 600)):
        x = rng.normal(size=(n, blocks, pixels, 16)).astype(dtype)
        y, beta = (rng.normal(size=(n if batched else 1, blocks, 1, 16)).astype(dtype) for _ in range(2))
        z = np.empty_like(x)
        for name in ("add", "sub", "mul", "max", "min", "prelu"):
            for threads in (1, 3, 7):
                machine.call(f"{kind}_{name}_c16", [x, y, z], n=[n, blocks, pixels, batched], threads=threads)
                np.testing.assert_array_equal(z, FLOAT[name](x, y))
        results = set()
        for threads in (1, 2, 3, 7):
            machine.call(f"{kind}_affine_c16", [x, y, beta, z], n=[n, blocks, pixels, batched], threads=threads)
            np.testing.assert_allclose(z, x.astype(L) * y + beta, atol=1e-6)
            results.add(z.tobytes())
        assert len(results) == 1


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_affine(kind, isa):
    machine, dtype, rng = Machine(isa), numpy_type(kind), np.random.default_rng(0)
    for n, channels, inner in ((1, 1, 1), (5, 37, 1), (2, 3, 49), (2, 2, 4097), (3, 5000, 1), (2, 3, 0)):
        x = rng.normal(size=(n, channels, inner)).astype(dtype)
        gamma, beta = rng.normal(size=(2, channels, 1)).astype(dtype)
        results = set()
        for threads in (1, 2, 3, 7):
            z = np.empty_like(x)
            machine.call(f"{kind}_affine", [x, gamma, beta, z], n=[n, channels, inner], threads=threads)
            np.testing.assert_allclose(z, x.astype(L) * gamma + beta, atol=2e-6 * math.sqrt(2))
            results.add(z.tobytes())
        assert len(results) == 1
