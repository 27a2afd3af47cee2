"""TensorScatter by its pseudocode."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import KernelError, ModelError


def expected(cache, update, first, circular, axis):
    y = cache.copy()
    for at in np.ndindex(cache.shape[:axis]):
        for i in range(update.shape[axis]):
            k = first[at[0]] + i
            y[(*at, k % cache.shape[axis] if circular else k)] = update[(*at, i)]
    return y


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("dtype", ["float32", "int8", "float16", "bool", "complex64"])
def test_writes(axis, dtype):
    cache = np.arange(120).reshape(2, 3, 4, 5).astype(dtype)
    shape = list(cache.shape)
    shape[axis] = 2
    update = (-1 - np.arange(np.prod(shape))).reshape(shape).astype(dtype)
    for circular, first in ((False, [0, 1]), (True, [2, cache.shape[axis] - 1])):
        got = run("TensorScatter", cache, update, np.array(first), opset=24, axis=axis,
                  mode="circular" if circular else "linear")
        np.testing.assert_array_equal(got, expected(cache, update, first, circular, axis % 4))
    got = run("TensorScatter", cache, update, opset=24, axis=axis)
    np.testing.assert_array_equal(got, expected(cache, update, [0, 0], False, axis % 4))


def test_errors():
    cache, update = np.zeros((2, 3, 4), np.float32), np.zeros((2, 2, 4), np.float32)
    for bad in (2, -1):
        with pytest.raises(KernelError, match=f"write index {bad} at position 1: 2 entries do not fit 0 to 2"):
            run("TensorScatter", cache, update, np.array([0, bad]), opset=24)
    for arrays, change, message in (((cache, cache[:, :, :3]), {}, "does not fit"),
                                    ((cache, update), {"axis": 0}, "batch"),
                                    ((cache, update), {"mode": "ring"}, "'ring'"),
                                    ((cache, update, np.zeros(3, np.int64)), {}, "write_indices has shape")):
        with pytest.raises(ModelError, match=message):
            run("TensorScatter", *arrays, opset=24, **change)
