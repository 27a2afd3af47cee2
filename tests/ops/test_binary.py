"""Element-wise operators of two inputs: values, broadcasting, blocks of channels, integers at their ends."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops import binary
from cynfer.ops.affine import Affine
from cynfer.ops.binary import Binary, Where
from cynfer.ops.broadcast import broadcast
from cynfer.ops.cast import Cast
from cynfer.ops.dim import Dim
from cynfer.ops.elementwise import Unary
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.machine import Machine
from cynfer.ops.op import infer
from cynfer.ops.reduce import Reduce
from cynfer.ops.strides import walk

INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
BITS = {"bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"}
TRUTH = {"and", "or", "xor"}

SHAPES = [((3, 4), (3, 4)), ((), ()), ((2, 3), ()), ((2, 3, 4), (4,)), ((2, 3, 4, 5), (3, 1, 1)),
          ((2, 1, 4), (1, 3, 1)), ((1, 7), (5, 1)), ((2, 3, 1, 5), (4, 1)), ((0, 3), (1, 3)),
          ((6, 1, 1), (6, 5, 7)), ((1, 1), (1,))]


def some(dtype, shape, seed, zeros=True):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype) == bool:
        return rng.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype) * 3
    info = np.iinfo(dtype)
    a = np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))
    small = np.asarray(rng.integers(-3 if info.min else 0, 4, shape).astype(dtype))
    a = np.where(rng.random(shape) < 0.5, a, small).astype(dtype)
    return a if zeros else np.where(a == 0, dtype(1), a)


def _kernels(dtype):
    """The operators that take this type."""
    numbers = set(binary.NUMPY) - TRUTH - (BITS if np.dtype(dtype).kind == "f" else set())
    return sorted(TRUTH | {"equal"} if dtype is bool else numbers)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel, dtype", [
    pytest.param(k, t, id=f"{k}-{np.dtype(t).name}")
    for t in (np.float32, np.float64, bool, *INTS) for k in _kernels(t)])
def test_kernels_agree_with_numpy(kernel, dtype, isa):
    is_float = np.dtype(dtype).kind == "f"
    op, m = Binary(kernel), Machine(isa)
    for seed, (a, b) in enumerate(SHAPES):
        x, y = some(dtype, a, seed), some(dtype, b, seed + 99, zeros=kernel not in ("div", "mod", "fmod"))
        if kernel == "pow" and is_float:
            x = np.abs(x)
        if kernel == "prelu" and broadcast(a, b) != a:
            continue
        (got,), (want,) = by_kernel(op, m, x, y), by_python(op, x, y)
        assert got.shape == want.shape and got.dtype == want.dtype
        if is_float:
            np.testing.assert_allclose(got, want, rtol=3e-6 if dtype == np.float32 else 1e-13, atol=1e-30)
        else:
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name, opset, function", [("Add", 14, np.add), ("Sub", 14, np.subtract),
                                                   ("Mul", 14, np.multiply), ("Div", 14, np.divide),
                                                   ("Max", 13, np.maximum), ("Min", 13, np.minimum)])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_floats(name, opset, function, dtype):
    x, y = (np.random.default_rng(s).normal(size=(3, 17)).astype(dtype) for s in (0, 1))
    want = function(x.astype(np.float64), y.astype(np.float64)).astype(np.float32).astype(dtype)
    np.testing.assert_array_equal(run(name, x, y, opset=opset).astype(float), want.astype(float))


@pytest.mark.parametrize("dtype", INTS)
@pytest.mark.parametrize("name, opset, attributes", [("Div", 14, {}), ("Mod", 13, {}), ("Mod", 13, {"fmod": 1})])
def test_integer_division_by_zero_is_an_error(name, opset, attributes, dtype):
    x, y = np.ones((2, 3), dtype), np.array([1, 2, 0], dtype)
    with pytest.raises(KernelError, match=r"node 'node' .*: integer division by zero at position 2"):
        run(name, x, y, opset=opset, **attributes)
    with pytest.raises(KernelError, match="integer division by zero at position 2"):
        by_python(Binary("div"), x, y)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_the_smallest_integer_by_minus_one(dtype):
    x, y = np.array([np.iinfo(dtype).min], dtype), np.array([-1], dtype)
    assert run("Div", x, y, opset=14) == x
    assert run("Mod", x, y, opset=13) == 0
    assert run("Mod", x, y, opset=13, fmod=1) == 0


def test_integer_division_goes_towards_zero():
    x, y = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
    assert run("Div", x, y, opset=14).tolist() == [3, -3, -3, 3]
    assert run("Mod", x, y, opset=13).tolist() == [1, 1, -1, -1]
    assert run("Mod", x, y, opset=13, fmod=1).tolist() == [1, -1, 1, -1]


def test_integers_wrap():
    x = np.array([2**31 - 1], np.int32)
    assert run("Add", x, x, opset=14).tolist() == [-2]
    assert run("Mul", x, x, opset=14).tolist() == [1]


def test_pow():
    x = np.array([1, 2, 3, -1, 0, 7], np.int32)
    assert run("Pow", x, np.array([-1, -2, 4, -3, 0, 20], np.int32), opset=15).tolist() == [
        1, 0, 81, -1, 1, (7**20 + 2**31) % 2**32 - 2**31]
    assert run("Pow", x, np.full(6, 0.5, np.float32), opset=15).tolist() == [1, 1, 1, 0, 0, 2]  # NaN gives 0
    f = np.array([1.5, -2, 0], np.float32)
    np.testing.assert_allclose(run("Pow", f, np.full(3, 2, np.int64), opset=15), f * f)
    np.testing.assert_allclose(run("Pow", f, np.full(3, 3, np.uint8), opset=13), f**3)


def test_nan_wins_in_max_and_min():
    x, y = np.array([np.nan, 1], np.float32), np.array([1, np.nan], np.float32)
    for name in ("Max", "Min"):
        assert np.isnan(run(name, x, y, opset=13)).all()


def test_many_inputs():
    a = [np.full((2, 1), 3, np.float32), np.arange(3, dtype=np.float32), np.float32(2)]
    np.testing.assert_array_equal(run("Sum", *a, opset=13), a[0] + a[1] + a[2])
    np.testing.assert_allclose(run("Mean", *a, opset=13), (a[0] + a[1] + a[2]) / 3)
    np.testing.assert_array_equal(run("Max", a[0], opset=13), a[0])


def test_axis_and_broadcast_of_the_first_versions():
    x, y = np.ones((2, 3, 4, 5), np.float32), np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(run("Add", x, y, opset=6, broadcast=1, axis=1), x + y[:, :, None])
    np.testing.assert_array_equal(run("Add", x, y[0, :1], opset=1, broadcast=1), x)
    np.testing.assert_array_equal(run("Mul", x, np.arange(5, dtype=np.float32), opset=6, broadcast=1),
                                  x * np.arange(5))
    with pytest.raises(ModelError, match="broadcast is 0"):
        run("Add", x, y, opset=6)
    with pytest.raises(ModelError, match="axis 3"):
        run("Add", x, y, opset=6, broadcast=1, axis=3)


def test_prelu_per_channel_and_by_broadcast():
    x = -np.ones((2, 3, 4), np.float32)
    slope = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(run("PRelu", x, slope, opset=6), x * slope[:, None])
    np.testing.assert_array_equal(run("PRelu", x, slope[:, None], opset=16), x * slope[:, None])
    with pytest.raises(ModelError, match="slope"):
        run("PRelu", x, np.ones((5, 1, 1, 1), np.float32), opset=16)


def test_strings():
    x, y = np.array(["a", "bc"], object), np.array(["a", "b"], object)
    assert run("Equal", x, y, opset=19).tolist() == [True, False]
    assert run("Where", np.array([True, False]), x, y, opset=16).tolist() == ["a", "b"]


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool, np.uint8, np.float64])
def test_where(dtype):
    for seed, (a, b) in enumerate(SHAPES):
        c, x, y = some(bool, a, seed), some(dtype, b, seed + 1), some(dtype, a, seed + 2)
        np.testing.assert_array_equal(run("Where", c, x, y, opset=16), np.where(c, x, y))


def test_shifts_by_the_width_or_more():
    x = np.array([-8, 100, -1], np.int8)
    assert run("BitShift", x, np.array([8, 9, -1], np.int8), opset=28, direction="RIGHT").tolist() == [-1, 0, -1]
    assert run("BitShift", x, np.array([8, 9, -1], np.int8), opset=28, direction="LEFT").tolist() == [0, 0, 0]
    with pytest.raises(ModelError, match="direction"):
        run("BitShift", x, x, opset=28, direction="UP")


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ModelError, match=r"shapes \[2, 3\] and \[2, 4\] do not broadcast"):
        run("Add", np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32), opset=14)


def test_broadcast_of_unknown_dimensions():
    n, m = Dim.name("N"), Dim.name("M")
    assert broadcast((n, 3), (1, 3)) == (n, 3)
    assert broadcast((n, 1), (n, 3)) == (n, 3)
    assert broadcast((n,), (3,)) == (3,)
    assert broadcast((n,), ()) == (n,)
    assert isinstance(broadcast((n,), (m,))[0], Dim) and broadcast((n,), (m,))[0] not in (n, m)


def test_arithmetic_of_unknown_dimensions():
    n = Dim.name("N")
    shape = Fact(np.dtype(np.int64), (3,), np.array([n, 8, n * 2], object))

    def value(op, *numbers):
        return infer(op, shape, *(Fact.of(np.array(v)) for v in numbers))[0].value

    assert value(Binary("add"), [1, 2, 3]).tolist() == [n + 1, 10, n * 2 + 3]
    assert value(Binary("sub"), 1).tolist() == [n - 1, 7, n * 2 - 1]
    assert value(Binary("div"), 2).tolist() == [n // 2, 4, n]
    assert value(Reduce("prod", (0,), False)).tolist() == n * 16 * n
    assert value(Binary("equal"), [-1, 8, -1]).tolist() == [False, True, False]
    assert value(Binary("equal"), [1, 8, -1]) is None  # N may be 1
    assert value(Binary("max"), 1) is None
    chosen = infer(Where(), Fact.of(np.array([True, False, True])), shape, Fact.of(np.array([1, 2, 3])))[0].value
    assert chosen.tolist() == [n, 2, n * 2]
    assert infer(Cast(np.dtype(np.int32)), shape)[0].value.tolist() == [n, 8, n * 2]
    assert infer(Unary("neg"), shape)[0].value.tolist() == [-n, -8, n * -2]


def test_axes_merge():
    assert walk((2, 3, 4), (2, 3, 4), (2, 3, 4)) == ([24], [[1], [1]])
    assert walk((2, 3, 4, 5), (2, 3, 4, 5), (3, 1, 1)) == ([2, 3, 20], [[60, 20, 1], [0, 1, 0]])
    assert walk((2, 3), (), (2, 3)) == ([6], [[0], [1]])
    assert walk((1, 1), (1, 1), (1,)) == ([1], [[1], [1]])


@pytest.mark.parametrize("kernel", ["add", "sub", "mul", "max", "min", "prelu"])
@pytest.mark.parametrize("channels", [16, 19])
def test_blocks(kernel, channels):
    rng, m, op = np.random.default_rng(3), Machine(), Binary(kernel)
    x, y = (rng.normal(size=(2, channels, 3, 5)).astype(np.float32) for _ in range(2))
    per_image = rng.normal(size=(2, channels, 1, 1)).astype(np.float32)
    constants = [per_image[0], per_image[:1], np.float32(0.5), np.full((1, 1, 1, 1), -2, np.float32)]
    for other, blocked, values in [(y, (0, 1), ()), (per_image, (0, 1), ()), (per_image, (0,), (1,)),
                                   *((c, (0,), (1,)) for c in constants)]:
        (want,) = by_python(op, x, other)
        for threads in (1, 3):
            got = by_kernel(op, m, x, other, blocked=blocked, values=values, threads=threads)
            assert got is not None
            np.testing.assert_array_equal(got[0], want)
    if kernel in ("add", "mul", "max", "min"):
        got = by_kernel(op, m, constants[0], x, blocked=(1,), values=(0,))
        np.testing.assert_array_equal(got[0], by_python(op, constants[0], x)[0])


def test_blocks_are_refused():
    m, x = Machine(), np.ones((2, 19, 3, 5), np.float32)
    assert by_kernel(Binary("div"), m, x, x, blocked=(0, 1)) is None  # 0 / 0 in the padding
    assert by_kernel(Binary("div"), m, x, np.float32(0), blocked=(0,), values=(1,)) is None
    assert by_kernel(Binary("div"), m, np.float32(2), x, blocked=(1,), values=(0,)) is None
    np.testing.assert_array_equal(by_kernel(Binary("div"), m, x, np.float32(3), blocked=(0,), values=(1,))[0],
                                  x / np.float32(3))
    assert by_kernel(Binary("mul"), m, x, np.float32(np.inf), blocked=(0,), values=(1,)) is None
    assert by_kernel(Binary("mul"), m, x, x[0, 0], blocked=(0,), values=(1,)) is None
    assert by_kernel(Binary("mul"), m, x, x[:, :1], blocked=(0, 1)) is None
    assert by_kernel(Binary("less"), m, x, x, blocked=(0, 1)) is None


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_affine(dtype, isa):
    rng, m = np.random.default_rng(4), Machine(isa)
    x = rng.normal(size=(2, 19, 3, 5)).astype(dtype)
    gamma, beta = rng.normal(size=(2, 19)).astype(dtype)
    want = x * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(by_python(Affine(), x, gamma, beta)[0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_kernel(Affine(), m, x, gamma, beta)[0], want, rtol=1e-5, atol=1e-6)
    got = by_kernel(Affine(), m, x, gamma, beta, blocked=(0,), values=(1, 2))
    np.testing.assert_allclose(got[0], want, rtol=1e-5, atol=1e-6)
    assert by_kernel(Affine(), m, x, gamma, beta, blocked=(0,)) is None  # 19 numbers are not whole blocks
    got = by_kernel(Affine(), m, x[:, :16], gamma[:16], beta[:16], blocked=(0,))
    np.testing.assert_allclose(got[0], want[:, :16], rtol=1e-5, atol=1e-6)
