"""Col2Im and MaxUnpool: they invert what makes their input, and refuse what does not fit."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import KernelError, ModelError

rng = np.random.default_rng(5)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "float16", "bool", "complex64"])
def test_col2im_adds_blocks(dtype):
    sizes, taps, strides, dilations, pads = (6, 7), (2, 3), (2, 1), (1, 2), (1, 0, 0, 2)
    image = np.arange(1, 85).reshape(1, 2, *sizes)
    padded = np.pad(image, [(0, 0), (0, 0), (1, 0), (0, 2)])
    counts = [(p - d * (k - 1) - 1) // s + 1
              for p, k, s, d in zip(padded.shape[2:], taps, strides, dilations, strict=True)]
    columns, times = [], np.zeros_like(padded)
    for i in range(2):
        for j in range(3):
            at = (..., slice(i, i + 2 * counts[0] - 1, 2), slice(2 * j, 2 * j + counts[1]))
            columns.append(padded[at].reshape(1, 2, -1))
            times[at] += 1
    x = np.stack(columns, 2).reshape(1, 12, -1).astype(dtype)
    got = run("Col2Im", x, np.array(sizes), np.array(taps), opset=18, strides=strides, dilations=dilations, pads=pads)
    want = (image.astype(dtype) if dtype != "bool" else image) * times[:, :, 1:, :-2]
    np.testing.assert_array_equal(got, want.astype(dtype))


def test_col2im_errors():
    x = np.ones((1, 4, 4), np.float32)
    for image, block, message in (([3, 3], [3, 1], "4 rows"), ([4, 4], [2, 2], "4 positions"), ([3, 3], [2], "both"),
                                  ([], [], "both"), ([1, 1], [2, 2], "reaches over")):
        with pytest.raises(ModelError, match=message):
            run("Col2Im", x, np.array(image, np.int64), np.array(block, np.int64), opset=18)


def test_max_unpool_inverts_max_pool():
    x = rng.permutation(2 * 3 * 6 * 8).reshape(2, 3, 6, 8).astype(np.float32) + 1
    more = {"kernel_shape": [2, 2], "strides": [2, 2]}
    pooled, indices = run("MaxPool", x, opset=12, outputs=2, **more)
    y = run("MaxUnpool", pooled, indices, opset=11, **more)
    assert y.shape == x.shape
    np.testing.assert_array_equal(y, np.where(np.isin(x, pooled), x, 0))
    larger = run("MaxUnpool", pooled, indices, np.array([2, 3, 7, 8]), opset=11, **more)
    np.testing.assert_array_equal(larger[:, :, :6], y)
    assert not larger[:, :, 6].any()


def test_max_unpool_errors():
    x, more = np.ones((1, 1, 2, 2), np.float32), {"kernel_shape": [2, 2], "strides": [2, 2]}
    for bad in (16, -1):
        with pytest.raises(KernelError, match=f"index {bad} at position 3 is outside 0 to 15"):
            run("MaxUnpool", x, np.array([[[[0, 1], [2, bad]]]]), opset=11, **more)
    with pytest.raises(ModelError, match="indices"):
        run("MaxUnpool", x, np.zeros((1, 1, 2, 1), np.int64), opset=11, **more)
    with pytest.raises(ModelError, match="less than"):
        run("MaxUnpool", x, np.zeros((1, 1, 2, 2), np.int64), np.array([1, 1, 3, 4]), opset=11, **more)
