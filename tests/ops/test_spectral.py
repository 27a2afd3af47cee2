"""Transforms against NumPy's own and against each other; mel filters against their definition in words."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import CynferError, ModelError

rng = np.random.default_rng(0)


def pairs(z):
    return np.stack([z.real, z.imag], -1)


def some(*shape, dtype=np.float64):
    return rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_dft(axis):
    x = some(3, 5, 6, 2)
    z = x[..., 0] + 1j * x[..., 1]
    at = axis if axis >= 0 else axis + 4
    for length in (None, 4, 9):
        n = None if length is None else np.int64(length)
        got = run("DFT", x, n, np.int64(axis), opset=20)
        np.testing.assert_allclose(got, pairs(np.fft.fft(z, length, at)), atol=1e-12)
        np.testing.assert_allclose(run("DFT", x, n, np.int64(axis), opset=20, inverse=1),
                                   pairs(np.fft.ifft(z, length, at)), atol=1e-12)
        real = x[..., :1]
        one = run("DFT", real, n, np.int64(axis), opset=20, onesided=1)
        np.testing.assert_allclose(one, pairs(np.fft.rfft(x[..., 0], length, at)), atol=1e-12)
        back = run("DFT", x, n, np.int64(axis), opset=20, inverse=1, onesided=1)
        np.testing.assert_allclose(back, np.fft.irfft(z, length, at)[..., None], atol=1e-12)
    np.testing.assert_array_equal(run("DFT", x, opset=17, axis=at), run("DFT", x, None, np.int64(axis), opset=20))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dft_types(dtype):
    import ml_dtypes

    to = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    x = some(2, 8, 1).astype(to)
    got = run("DFT", x, opset=20)
    assert got.dtype == to
    np.testing.assert_allclose(got.astype(float), pairs(np.fft.fft(x.astype(float)[..., 0])), atol=0.05)


def test_dft_errors():
    x = some(2, 4, 2)
    for change, message in (({"onesided": 1}, "imaginary"),):
        with pytest.raises(ModelError, match=message):
            run("DFT", x, opset=20, **change)
    for arrays, message in (((x, None, np.int64(2)), "last one"), ((x, None, np.int64(7)), "outside -3 to 2"),
                            ((x, np.int64(0)), "dft_length is 0"), ((some(2, 4, 3),), r"\[2, 4, 3\]")):
        with pytest.raises(CynferError, match=message):
            run("DFT", *arrays, opset=20)


def test_stft():
    x, step, window = some(2, 30), np.int64(4), some(8)
    frames = np.stack([x[:, i : i + 8] for i in range(0, 23, 4)], 1)
    want = pairs(np.fft.fft(frames * window))
    np.testing.assert_allclose(run("STFT", x[..., None], step, window, opset=17, onesided=0), want, atol=1e-12)
    np.testing.assert_allclose(run("STFT", x[..., None], step, window, np.int64(8), opset=17), want[:, :, :5],
                               atol=1e-12)
    np.testing.assert_allclose(run("STFT", x[..., None], step, None, np.int64(8), opset=17),
                               pairs(np.fft.rfft(frames)), atol=1e-12)
    both = some(2, 30, 2)
    want = pairs(np.fft.fft(np.stack([both[:, i : i + 8] for i in range(0, 23, 4)], 1) @ np.array([1, 1j])))
    np.testing.assert_allclose(run("STFT", both, step, None, np.int64(8), opset=17, onesided=0), want, atol=1e-12)


def test_stft_errors():
    x = some(1, 10, 1)
    for arrays, message in (((x, np.int64(0), None, np.int64(4)), "frame_step is 0"),
                            ((x, np.int64(2), None, np.int64(11)), "frames of 11"),
                            ((x, np.int64(2), some(3), np.int64(4)), "frame_length is 4")):
        with pytest.raises(CynferError, match=message):
            run("STFT", *arrays, opset=17)


def test_mel_filters():
    arrays = (np.int64(8), np.int64(64), np.int64(8000), np.float32(0), np.float32(4000))
    y = run("MelWeightMatrix", *arrays, opset=17)
    assert y.shape == (33, 8)
    assert (y.max(0) == 1).all()
    assert (np.diff(y.argmax(0)) >= 0).all()
    assert y.min() >= 0
    assert run("MelWeightMatrix", *arrays, opset=17, output_datatype=11).dtype == np.float64
    onnx = pytest.importorskip("onnx.reference")
    from harness import model

    m = model("MelWeightMatrix", [np.asarray(a) for a in arrays], 17)
    want = onnx.ReferenceEvaluator(m).run(None, {f"i{k}": np.asarray(a) for k, a in enumerate(arrays)})[0]
    np.testing.assert_allclose(y, want, atol=1e-6)
    for change, message in ((0, "num_mel_bins is 0|sample rate"),):
        with pytest.raises(CynferError, match=message):
            run("MelWeightMatrix", np.int64(change), *arrays[1:], opset=17)
    with pytest.raises(CynferError, match="beyond half"):
        run("MelWeightMatrix", *arrays[:4], np.float32(9000), opset=17)
