"""NonZero, TopK, Unique, NonMaxSuppression."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.errors import ModelError
from cynfer.ops.machine import Machine
from cynfer.ops.select import NonZero, TopK, Unique


def ints(*values):
    return np.array(values, np.int64)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_, np.float16, ml_dtypes.bfloat16])
def test_non_zero(dtype):
    x = np.array([[0, 1, 2], [3, 0, 0]]).astype(dtype)
    np.testing.assert_array_equal(run("NonZero", x, opset=13), [[0, 0, 1], [1, 2, 0]])
    assert run("NonZero", np.zeros((2, 3), dtype), opset=13).shape == (2, 0)
    assert run("NonZero", np.ones((), dtype), opset=13).shape == (0, 1)


def test_non_zero_keeps_nan_and_drops_minus_zero():
    np.testing.assert_array_equal(by_python(NonZero(), np.array([np.nan, -0.0, np.inf], np.float32))[0], [[0, 2]])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint64, np.float16, ml_dtypes.bfloat16])
def test_top_k(dtype, largest):
    x = np.random.default_rng(4).integers(0, 40, (3, 50, 4)).astype(dtype)
    for axis in (1, -1, 0):
        op, size = TopK(axis, largest), x.shape[axis]
        for k in (0, 1, size // 2, size):
            keys = x.astype(np.float64)
            order = np.argsort(-keys if largest else keys, axis, kind="stable").take(range(k), axis)
            want = np.take_along_axis(x, order, axis), order
            results = [by_python(op, x, ints(k))]
            results += [by_kernel(op, Machine(isa), x, ints(k), threads=t, values=(1,)) for isa in ISAS for t in (1, 3)]
            for result in results:
                for got, w in zip(result or (), want, strict=bool(result)):
                    np.testing.assert_array_equal(got, w)


def test_top_k_takes_nan_for_the_largest():
    x = np.array([1, np.nan, 3, np.nan, -np.inf], np.float32)
    for form in (lambda op: by_python(op, x, ints(4)), lambda op: by_kernel(op, Machine(), x, ints(4), values=(1,))):
        assert form(TopK())[1].tolist() == [1, 3, 2, 0]
        assert form(TopK(-1, False))[1].tolist() == [4, 0, 2, 1]


@pytest.mark.parametrize("k, axis, message", [(-5, -1, "k is -5, outside 0 to 4"), (5, -1, "k is 5, outside 0 to 4"),
                                              (1, 2, "axis 2 is outside -1 to 0")])
def test_top_k_out_of_range(k, axis, message):
    with pytest.raises(ModelError, match=message) as error:
        run("TopK", np.zeros(4, np.float32), ints(k), opset=11, outputs=2, axis=axis)
    assert "node 'node'" in str(error.value)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, object, ml_dtypes.bfloat16])
def test_unique(dtype):
    x = np.array([[3, 1, 3], [2, 1, 2], [3, 1, 3]]).astype(dtype)
    y, first, inverse, counts = by_python(Unique(), x)
    assert y.astype(float).tolist() == [1, 2, 3] and first.tolist() == [1, 3, 0] and counts.tolist() == [3, 2, 4]
    assert (y[inverse] == x.reshape(-1)).all()
    y, first, inverse, counts = by_python(Unique(in_order=False), x)
    assert y.astype(float).tolist() == [3, 1, 2] and first.tolist() == [0, 1, 3] and counts.tolist() == [4, 3, 2]
    assert (y[inverse] == x.reshape(-1)).all()
    for axis, rows in ((0, [[2, 1, 2], [3, 1, 3]]), (1, [[1, 3], [1, 2], [1, 3]])):
        y, _, inverse, counts = by_python(Unique(axis), x)
        assert y.astype(float).tolist() == rows
        assert (y.take(inverse, axis) == x).all() and counts.sum() == 3


def test_unique_of_nothing():
    assert [a.shape for a in by_python(Unique(), np.zeros((0, 3), np.float32))] == [(0,)] * 4
    assert by_python(Unique(0), np.zeros((0, 3), np.float32))[0].shape == (0, 3)
    assert by_python(Unique(0), np.zeros((2, 0), np.float32))[0].shape == (1, 0)


def test_non_max_suppression():
    boxes = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [1, 1, 0, 0], [0, 10, 1, 11]]], np.float32)
    scores = np.array([[[0.9, 0.75, np.nan, 0.5], [0.1, 0.2, 0.3, 0.4]]], np.float32)
    chosen = run("NonMaxSuppression", boxes, scores, ints(3), np.float32([0.5]), np.float32([0.15]), opset=11)
    assert chosen.tolist() == [[0, 0, 0], [0, 0, 3], [0, 1, 3], [0, 1, 2]]
    assert run("NonMaxSuppression", boxes, scores, ints(-5), opset=11).shape == (0, 3)
    assert run("NonMaxSuppression", boxes, scores, opset=11).shape == (0, 3)
    with pytest.raises(ModelError, match="last dimension of scores is 3; 4 is needed"):
        run("NonMaxSuppression", boxes, scores[..., 1:], opset=11)
