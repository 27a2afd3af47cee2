"""Reductions, positions of extremes and running sums against NumPy in float64."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops import reduce
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.machine import Machine
from cynfer.ops.reduce import ArgExtreme, Cumulative, Reduce

FLOATS = [np.float32, np.float64]
AXES = [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2), (-1, 0), ()]


def expected(kind, x, axes, keepdims):
    x = x.astype(np.float64)
    kw = {"axis": axes, "keepdims": keepdims}
    return {"sum": lambda: x.sum(**kw), "mean": lambda: x.mean(**kw), "prod": lambda: x.prod(**kw),
            "max": lambda: x.max(**kw), "min": lambda: x.min(**kw), "l1": lambda: np.abs(x).sum(**kw),
            "l2": lambda: np.sqrt((x * x).sum(**kw)), "sum_square": lambda: (x * x).sum(**kw),
            "log_sum": lambda: np.log(x.sum(**kw)), "log_sum_exp": lambda: np.log(np.exp(x).sum(**kw))}[kind]()


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("kind", sorted(reduce.NUMPY))
def test_values(kind, dtype, keepdims):
    x = np.random.default_rng(0).uniform(0.5, 1.5, (3, 5, 7)).astype(dtype)
    for axes in AXES:
        want = expected(kind, x, axes, keepdims)
        tolerance = {8: 1e-13, 4: 2e-6}.get(x.dtype.itemsize, 1e-2)
        op = Reduce(kind, axes, keepdims)
        (y,) = by_python(op, x)
        assert y.dtype == x.dtype and y.shape == want.shape
        np.testing.assert_allclose(y.astype(float), want, rtol=tolerance, atol=1e-2 * tolerance + 1e-7)
        for isa in ISAS if dtype in FLOATS else ():
            got = by_kernel(op, Machine(isa), x)
            np.testing.assert_allclose(got[0], want, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("kind", ["sum", "max", "prod", "mean", "l2", "log_sum_exp"])
@pytest.mark.parametrize("shape, axes", [((200000,), (0,)), ((3, 50000), (1,)), ((30000, 5), (0,)),
                                         ((4, 300, 5, 70), (1, 3))])
def test_same_bits_at_any_number_of_threads(shape, axes, kind):
    x = np.random.default_rng(1).uniform(0.9999, 1.0001, shape).astype(np.float32)
    m, op = Machine(), Reduce(kind, axes)
    first = by_kernel(op, m, x)[0]
    np.testing.assert_allclose(first, expected(kind, x, axes, True), rtol=1e-5)
    for threads in (2, 3, 7, 16):
        np.testing.assert_array_equal(by_kernel(op, m, x, threads=threads)[0], first)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8, np.uint8])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_extremes_of_integers(kind, dtype):
    x = np.random.default_rng(2).integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (4, 6), dtype)
    y = run(f"Reduce{kind.title()}", x, np.array([1], np.int64), opset=20)
    np.testing.assert_array_equal(y, getattr(np, kind)(x, 1, keepdims=True))


def test_sums_of_integers_wrap_and_means_go_towards_zero():
    x = np.array([[2**31 - 1, 2], [-3, -2]], np.int32)
    assert run("ReduceSum", x, np.array([1], np.int64), opset=13, keepdims=0).tolist() == [-2**31 + 1, -5]
    assert run("ReduceMean", x[1:], np.array([1], np.int64), opset=18, keepdims=0).tolist() == [-2]
    assert by_python(Reduce("mean", (1,)), x[1:])[0].tolist() == [[-2]]


def test_bool_extremes():
    x = np.array([[True, False], [False, False]])
    assert run("ReduceMax", x, np.array([1], np.int64), opset=20, keepdims=0).tolist() == [True, False]
    assert run("ReduceMin", x, np.array([1], np.int64), opset=20, keepdims=0).tolist() == [False, False]


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("kind", ["max", "min"])
def test_nan_wins_at_any_position(kind, position):
    x = np.arange(8, dtype=np.float32)[None]
    x[0, position] = np.nan
    op = Reduce(kind, (1,))
    assert np.isnan(by_python(op, x)[0]).all()
    for isa in ISAS:
        assert np.isnan(by_kernel(op, Machine(isa), x)[0]).all()
    assert run(f"Arg{kind.title()}", x, opset=13, axis=1).tolist() == [[position]]


def test_over_nothing():
    x = np.zeros((2, 0), np.float32)
    axes = np.array([1], np.int64)
    for name, value in (("Sum", 0), ("Prod", 1), ("Max", -np.inf), ("Min", np.inf), ("LogSumExp", -np.inf), ("L2", 0)):
        opset = 13 if name == "Sum" else 20
        assert run(f"Reduce{name}", x, axes, opset=opset).tolist() == [[value], [value]]
    assert np.isnan(run("ReduceMean", x, axes, opset=18)).all()
    assert run("ReduceMean", x.astype(np.int32), axes, opset=18).tolist() == [[0], [0]]
    assert run("ReduceMax", x.astype(np.int32), axes, opset=18).tolist() == [[-2**31]] * 2
    with pytest.raises(ModelError, match=r"axis 1 of .* is empty"):
        run("ArgMax", x, opset=13, axis=1)


def test_axes_as_attribute_as_input_and_absent():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    none = np.zeros(0, np.int64)
    np.testing.assert_array_equal(run("ReduceSum", x, opset=11, axes=[0, -1], keepdims=0), x.sum((0, 2)))
    np.testing.assert_array_equal(run("ReduceSum", x, opset=11), x.sum(keepdims=True))
    np.testing.assert_array_equal(run("ReduceSum", x, np.array([0, -1], np.int64), opset=13, keepdims=0), x.sum((0, 2)))
    np.testing.assert_array_equal(run("ReduceSum", x, opset=13, keepdims=0), x.sum())
    np.testing.assert_array_equal(run("ReduceSum", x, none, opset=13, keepdims=0), x.sum())
    np.testing.assert_array_equal(run("ReduceSum", x, none, opset=13, noop_with_empty_axes=1), x)
    np.testing.assert_array_equal(run("ReduceSum", x, opset=13, noop_with_empty_axes=1), x)
    np.testing.assert_array_equal(run("ReduceSumSquare", x, none, opset=18, noop_with_empty_axes=1), x * x)
    for bad in ([3], [-4], [0, 0], [0, -3]):
        with pytest.raises(ModelError, match="axes"):
            run("ReduceSum", x, opset=11, axes=bad)


def test_facts():
    n = Dim.name("N")
    x = Fact(np.dtype(np.float32), (n, 3, 4))
    assert Reduce("sum", (1,)).facts(x)[0].shape == (n, 1, 4)
    assert Reduce("sum", (-1,), False).facts(x)[0].shape == (n, 3)
    unknown = Fact(np.dtype(np.int64), (2,))
    assert Reduce("sum", None, False).facts(x, unknown)[0].shape is None
    assert len(Reduce("sum", None).facts(x, unknown)[0].shape) == 3
    assert ArgExtreme("max", -1, False).facts(x)[0].shape == (n, 3)


@pytest.mark.parametrize("channels", [16, 19])
@pytest.mark.parametrize("kind", ["mean", "max"])
def test_blocks(kind, channels):
    x = np.random.default_rng(3).normal(size=(2, channels, 5, 7)).astype(np.float32)
    got = by_kernel(Reduce(kind, (-1, 2)), Machine(), x, blocked=(0,))
    np.testing.assert_allclose(got[0], expected(kind, x, (2, 3), True), rtol=1e-5, atol=1e-6)
    assert by_kernel(Reduce(kind, (1, 2)), Machine(), x, blocked=(0,)) is None
    np.testing.assert_allclose(run("ReduceMean", x, opset=11, axes=[2, 3], keepdims=0), x.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint64, np.float16])
def test_positions(kind, dtype):
    x = np.random.default_rng(4).integers(0, 3, (3, 4, 50)).astype(dtype)
    find = getattr(np, f"arg{kind}")
    for axis in (0, 1, -1):
        y = run(f"Arg{kind.title()}", x, opset=13, axis=axis, keepdims=0)
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, find(x, axis))
        y = run(f"Arg{kind.title()}", x, opset=13, axis=axis, select_last_index=1)
        np.testing.assert_array_equal(y, x.shape[axis] - 1 - find(np.flip(x, axis), axis, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running_sums(reverse, exclusive, dtype):
    x = np.random.default_rng(5).integers(-9, 9, (3, 40, 5)).astype(dtype)
    for axis in (0, 1, -1):
        want = np.flip(x, axis) if reverse else x
        want = np.cumsum(want, axis) - (want if exclusive else 0)
        want = np.flip(want, axis) if reverse else want
        where = np.array(axis, np.int32)
        np.testing.assert_array_equal(run("CumSum", x, where, opset=14, exclusive=exclusive, reverse=reverse), want)
        op = Cumulative("sum", bool(exclusive), bool(reverse))
        np.testing.assert_array_equal(by_python(op, x, where)[0], want)
        np.testing.assert_array_equal(by_kernel(op, Machine(), x, where, values=(1,))[0], want)


def test_running_products():
    x = np.array([[1, 2, 3]], np.float32)
    axis = np.array([1], np.int64).reshape(())
    assert run("CumProd", x, axis, opset=26, exclusive=1).tolist() == [[1, 1, 2]]
    assert run("CumProd", x, axis, opset=26, reverse=1).tolist() == [[6, 6, 3]]
    with pytest.raises(ModelError, match="axis 9 is outside -2 to 1"):
        run("CumSum", x, np.array(9), opset=14)
