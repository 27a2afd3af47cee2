"""Softmax and its kin against NumPy in float64, over one axis and, in the first versions, over many."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.errors import ModelError
from cynfer.ops.machine import Machine
from cynfer.ops.softmax import Softmax


def expected(kind, x, axes):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axes, keepdims=True))
    if kind == "hardmax":
        return (x == x.max(axes, keepdims=True)).astype(float)
    y = e / e.sum(axes, keepdims=True)
    return np.log(y) if kind == "log_softmax" else y


@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "hardmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_values(kind, dtype):
    x = np.random.default_rng(0).permutation(2 * 3 * 70).reshape(2, 3, 70).astype(dtype) / dtype(50)
    x = x if kind != "hardmax" or x.dtype.itemsize > 2 else (x[:, :, :9])
    tolerance = {8: 1e-13, 4: 2e-6}.get(x.dtype.itemsize, 1e-2)
    for axis in (0, 1, -1):
        for flat in (False, True):
            op = Softmax(kind, axis, flat)
            want = expected(kind, x, tuple(range(axis % 3, 3)) if flat else axis)
            if kind == "hardmax" and want.sum() > x.size / (x.shape[axis] if not flat else np.prod(x.shape[axis % 3:])):
                continue  # rounding has made equals
            (y,) = by_python(op, x)
            assert y.dtype == x.dtype
            np.testing.assert_allclose(y.astype(float), want, rtol=tolerance, atol=tolerance)
            for isa in ISAS:
                got = by_kernel(op, Machine(isa), x)
                if got is not None:
                    np.testing.assert_allclose(got[0].astype(float), want, rtol=tolerance, atol=tolerance)


def test_the_version_decides():
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(run("Softmax", x, opset=11), expected("softmax", x, (1, 2)), rtol=1e-6)
    np.testing.assert_allclose(run("Softmax", x, opset=13), expected("softmax", x, 2), rtol=1e-6)
    np.testing.assert_allclose(run("LogSoftmax", x, opset=1, axis=0), expected("log_softmax", x, (0, 1, 2)), rtol=1e-6)
    for opset in (11, 13):
        with pytest.raises(ModelError, match="axis 3 is outside -3 to 2"):
            run("Softmax", x, opset=opset, axis=3)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("n", [6, 16, 17, 3000])
def test_half_types_stay_near_at_any_length(n, dtype):
    x = np.random.default_rng(2).normal(size=(4, n)).astype(dtype)
    y = run("Softmax", x, opset=13)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.astype(float), expected("softmax", x, 1), rtol=4e-2 if n < 17 else 2e-2, atol=1e-6)


def test_hardmax_takes_the_first_of_equals():
    assert run("Hardmax", np.array([[1, 3, 3, 2]], np.float32), opset=13).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize("row", [[-np.inf, -np.inf], [np.nan, 1], [1, np.nan], [np.inf, 1]])
def test_rows_that_have_no_softmax(row):
    x = np.array([row, [0, 0]], np.float32)
    for name in ("Softmax", "LogSoftmax"):
        y = run(name, x, opset=13)
        assert np.isnan(y[0]).any() and not np.isnan(y[1]).any()
    assert np.isnan(run("Softmax", x, opset=13)[0]).all()


def test_empty():
    assert run("Softmax", np.zeros((0, 3), np.float32), opset=13).shape == (0, 3)
    assert run("Softmax", np.zeros((3, 0), np.float32), opset=13).shape == (3, 0)
