"""GridSample against onnxruntime, and what positions far outside or not finite give."""

import numpy as np
import pytest
from harness import model, run

from cynfer.ops.errors import ModelError


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_against_onnxruntime(mode, padding, corners):
    ort = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2, 3, 5, 7)).astype(np.float32)
    grid = rng.uniform(-2.3, 2.3, (2, 6, 4, 2)).astype(np.float32)
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    m = model("GridSample", [x, grid], 16, **attributes)
    m.graph.output[0].type.tensor_type.elem_type = 1
    want = ort.InferenceSession(m.SerializeToString()).run(None, {"i0": x, "i1": grid})[0]
    got = run("GridSample", x, grid, opset=16, **attributes)
    np.testing.assert_allclose(got, want, atol=2e-5)


def test_volumes_and_types():
    x = np.arange(24, dtype=np.float32).reshape(1, 1, 2, 3, 4)
    axes = [np.linspace(-1, 1, n) for n in (2, 3, 4)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], -1)[None].astype(np.float32)
    for mode in ("linear", "nearest", "cubic"):
        got = run("GridSample", x, grid, opset=20, align_corners=1, mode=mode)
        np.testing.assert_allclose(got, x, atol=1e-5)
    words = np.array([f"w{i}" for i in range(4)], object).reshape(1, 1, 2, 2)
    square = np.array([[-0.5, -0.5], [0.5, 0.5], [9, 9]], np.float32).reshape(1, 1, 3, 2)
    assert run("GridSample", words, square, opset=20, mode="nearest").ravel().tolist() == ["w0", "w3", ""]
    for dtype in (np.int32, np.uint8, bool, np.complex64):
        got = run("GridSample", np.ones((1, 1, 2, 2), dtype), square, opset=20, mode="nearest")
        assert got.dtype == dtype
        assert got.ravel().tolist() == [1, 1, 0]


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_odd_positions(padding):
    x = np.ones((1, 1, 3, 3), np.float32)
    grid = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0], np.float32)
    grid = np.stack([grid, grid], -1).reshape(1, 1, -1, 2)
    y = run("GridSample", x, grid, opset=20, padding_mode=padding).ravel()
    assert y.tolist() == ([0, 0, 0, 0, 0, 1] if padding == "zeros" else [1] * 6)
    assert run("GridSample", np.ones((1, 1, 1, 1), np.float32), grid, opset=20, padding_mode=padding,
               align_corners=1).shape == (1, 1, 1, 6)


def test_errors():
    x, grid = np.ones((1, 1, 3, 3), np.float32), np.zeros((1, 2, 2, 2), np.float32)
    with pytest.raises(ModelError, match="'spline'"):
        run("GridSample", x, grid, opset=20, mode="spline")
    with pytest.raises(ModelError, match="'wrap'"):
        run("GridSample", x, grid, opset=20, padding_mode="wrap")
    with pytest.raises(ModelError, match="3 elements"):
        run("GridSample", x, np.zeros((1, 2, 2, 3), np.float32), opset=20)
    with pytest.raises(ModelError, match="X has 1 images"):
        run("GridSample", x, np.zeros((2, 2, 2, 2), np.float32), opset=20)
