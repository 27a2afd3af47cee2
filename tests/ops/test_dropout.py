"""Dropout at inference and in training."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import KernelError

x = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)


@pytest.mark.parametrize("opset, attributes", [(1, {"consumed_inputs": [0]}), (6, {}), (6, {"is_test": 1}), (7, {}),
                                               (10, {"ratio": 0.9}), (12, {}), (13, {}), (22, {"seed": 3})])
def test_inference(opset, attributes):
    np.testing.assert_array_equal(run("Dropout", x, opset=opset, **attributes), x)
    y, mask = run("Dropout", x, opset=opset, outputs=2, **attributes)
    np.testing.assert_array_equal(y, x)
    assert mask.shape == x.shape and mask.all()
    assert mask.dtype == (x.dtype if opset < 10 else bool)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_training(dtype):
    given = x.astype(dtype)
    inputs = np.float32(0.25), np.array(True)
    y, mask = run("Dropout", given, *inputs, opset=13, outputs=2, seed=7)
    assert y.dtype == dtype and 0.7 < mask.mean() < 0.8
    np.testing.assert_allclose(y, np.where(mask, given / dtype(0.75), 0), rtol=2e-3 if dtype == np.float16 else 1e-6)
    np.testing.assert_array_equal(run("Dropout", given, *inputs, opset=13, seed=7), y)
    assert (run("Dropout", given, *inputs, opset=13, seed=8) != y).any()
    np.testing.assert_array_equal(run("Dropout", given, np.float32(0), np.array(True), opset=13), given)


@pytest.mark.parametrize("ratio", [1.0, -0.5, np.nan])
def test_a_ratio_out_of_range(ratio):
    with pytest.raises(KernelError, match="ratio is"):
        run("Dropout", x, np.float32(ratio), np.array(True), opset=13)
    np.testing.assert_array_equal(run("Dropout", x, np.float32(ratio), np.array(False), opset=13), x)
