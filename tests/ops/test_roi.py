"""Region pooling against onnxruntime, by every mode and with regions that reach outside."""

import numpy as np
import pytest
from harness import model, run

from cynfer.ops.errors import CynferError, KernelError, ModelError

rng = np.random.default_rng(11)
X = rng.standard_normal((2, 3, 9, 12)).astype(np.float32)


def regions(n, low=-4, high=24):
    a = rng.uniform(low, high, (n, 4)).astype(np.float32)
    return np.concatenate([np.minimum(a[:, :2], a[:, 2:]), np.maximum(a[:, :2], a[:, 2:])], 1)


def theirs(name, arrays, opset, **attributes):
    ort = pytest.importorskip("onnxruntime")
    m = model(name, arrays, opset, **attributes)
    m.graph.output[0].type.tensor_type.elem_type = 1
    return ort.InferenceSession(m.SerializeToString()).run(None, {f"i{k}": a for k, a in enumerate(arrays)})[0]


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("shift", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align(mode, shift, ratio):
    arrays = [X, regions(9), np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])]
    more = {"mode": mode, "coordinate_transformation_mode": shift, "sampling_ratio": ratio, "spatial_scale": 0.5,
            "output_height": 3, "output_width": 2}
    np.testing.assert_allclose(run("RoiAlign", *arrays, opset=16, **more), theirs("RoiAlign", arrays, 16, **more),
                               atol=1e-5)


def test_roi_align_versions_types_and_nothing():
    rois, images = regions(2), np.array([0, 1])
    old = run("RoiAlign", X, rois, images, opset=10)
    new = run("RoiAlign", X, rois, images, opset=16, coordinate_transformation_mode="output_half_pixel")
    assert np.array_equal(old, new)
    half = run("RoiAlign", X.astype(np.float16), rois.astype(np.float16), images, opset=16)
    assert half.dtype == np.float16
    assert run("RoiAlign", X, rois[:0], images[:0], opset=16).shape == (0, 3, 1, 1)


def test_roi_align_errors():
    rois, images = regions(2), np.array([0, 1])
    for change, message in (({"mode": "sum"}, "'sum'"), ({"output_height": 0}, r"\[0, 1\]"),
                            ({"sampling_ratio": -1}, "sampling_ratio is -1"),
                            ({"coordinate_transformation_mode": "x"}, "'x'")):
        with pytest.raises(ModelError, match=message):
            run("RoiAlign", X, rois, images, opset=16, **change)
    for bad in (2, -1):
        with pytest.raises(CynferError, match="outside"):
            run("RoiAlign", X, rois, np.array([0, bad]), opset=16)
    rois[1, 2] = np.nan
    with pytest.raises(KernelError, match="region 1 is not finite"):
        run("RoiAlign", X, rois, images, opset=16)
    rois[1, 2] = 1e9
    with pytest.raises(KernelError, match="region 1 needs"):
        run("RoiAlign", X, rois, images, opset=16)


def test_max_roi_pool():
    rois = np.concatenate([rng.integers(0, 2, (20, 1)), regions(20, 0, 20)], 1).astype(np.float32)
    more = {"pooled_shape": [3, 4], "spatial_scale": 0.5}
    want = theirs("MaxRoiPool", [X, rois], 1, **more)
    np.testing.assert_array_equal(run("MaxRoiPool", X, rois, opset=22, **more), want)
    outside = np.float32([[1, 50, 50, 60, 60]])
    assert not run("MaxRoiPool", X, outside, opset=1, pooled_shape=[2, 2]).any()
    with pytest.raises(CynferError, match="outside"):
        run("MaxRoiPool", X, np.float32([[2, 0, 0, 1, 1]]), opset=1, pooled_shape=[2, 2])
