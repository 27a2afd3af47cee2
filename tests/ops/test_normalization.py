"""Normalisations against NumPy in float64."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.errors import ModelError, UnsupportedError
from cynfer.ops.machine import Machine
from cynfer.ops.normalization import LRN, GroupNorm, LayerNorm, LpNorm

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
rng = np.random.default_rng(0)


def close(y, want, dtype):
    tolerance = {8: 1e-6, 4: 2e-5, 2: 3e-2}[np.dtype(dtype).itemsize]  # epsilon is a float32
    np.testing.assert_allclose(y.astype(float), want, rtol=tolerance, atol=tolerance)


def everywhere(op, *arrays, want):
    """Compares the NumPy form and the kernels of every instruction set, for some numbers of threads."""
    (y,) = by_python(op, *arrays)
    assert y.dtype == arrays[0].dtype
    close(y, want, y.dtype)
    if y.dtype.itemsize >= 4:
        for isa in ISAS:
            one = by_kernel(op, Machine(isa), *arrays)[0]
            close(one, want, y.dtype)
            np.testing.assert_array_equal(by_kernel(op, Machine(isa), *arrays, threads=3)[0], one)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_layer_and_rms(axis, dtype):
    x = (rng.normal(size=(3, 4, 50)) + 2).astype(dtype)
    scale, bias = (rng.normal(size=x.shape[axis:] if axis >= 0 else (50,)).astype(dtype) for _ in range(2))
    d, axes = x.astype(np.float64), tuple(range(axis % 3, 3))
    s, b = scale.astype(np.float64), bias.astype(np.float64)
    unit = (d - d.mean(axes, keepdims=True)) / np.sqrt(d.var(axes, keepdims=True) + 1e-3)
    everywhere(LayerNorm(axis, 1e-3), x, scale, bias, want=unit * s + b)
    everywhere(LayerNorm(axis, 1e-3), x, scale, want=unit * s)
    root = d / np.sqrt((d * d).mean(axes, keepdims=True) + 1e-3)
    everywhere(LayerNorm(axis, 1e-3, rms=True), x, scale, want=root * s)
    close(run("RMSNormalization", x, scale, opset=23, axis=axis, epsilon=1e-3), root * s, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_gives_mean_and_inverse_deviation_as_float32(dtype):
    x, one = rng.normal(size=(3, 50)).astype(dtype), np.ones(50, dtype)
    y, mean, inverse = run("LayerNormalization", x, one, opset=17, outputs=3)
    d = x.astype(np.float64)
    close(y, (d - d.mean(1, keepdims=True)) / np.sqrt(d.var(1, keepdims=True) + 1e-5), dtype)
    assert mean.dtype == inverse.dtype == np.float32
    close(mean, d.mean(1, keepdims=True), dtype)
    close(inverse, 1 / np.sqrt(d.var(1, keepdims=True) + 1e-5), dtype)


def test_a_scale_that_broadcasts():
    x, scale = rng.normal(size=(2, 3, 4)).astype(np.float32), np.float32([[1], [2], [3]])
    d = x.astype(np.float64)
    unit = (d - d.mean((1, 2), keepdims=True)) / np.sqrt(d.var((1, 2), keepdims=True) + 1e-5)
    close(run("LayerNormalization", x, scale, opset=17, axis=1), unit * scale, np.float32)
    with pytest.raises(ModelError, match="the scale has shape"):
        run("LayerNormalization", x, np.ones(5, np.float32), opset=17)
    with pytest.raises(ModelError, match="axis 3"):
        run("LayerNormalization", x, scale, opset=17, axis=3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", [0, 1, 2, 3, 6])
def test_group_and_instance(groups, dtype):
    x = (rng.normal(size=(2, 6, 5, 7)) * 3 + 1).astype(dtype)
    scale, bias = (rng.normal(size=6).astype(dtype) for _ in range(2))
    d = x.astype(np.float64).reshape(2, groups or 6, -1)
    unit = ((d - d.mean(2, keepdims=True)) / np.sqrt(d.var(2, keepdims=True) + 1e-3)).reshape(x.shape)
    s, b = scale.astype(np.float64), bias.astype(np.float64)
    want = unit * s[:, None, None] + b[:, None, None]
    everywhere(GroupNorm(groups, 1e-3), x, scale, bias, want=want)
    if not groups:
        close(run("InstanceNormalization", x, scale, bias, opset=22, epsilon=1e-3), want, dtype)
        return
    close(run("GroupNormalization", x, scale, bias, opset=21, num_groups=groups, epsilon=1e-3), want, dtype)


def test_groups_that_do_not_divide():
    x, v = np.ones((1, 6, 2), np.float32), np.ones(6, np.float32)
    for groups in (4, 0, -1):
        with pytest.raises(ModelError, match=f"num_groups (is )?{groups}"):
            run("GroupNormalization", x, v, v, opset=21, num_groups=groups)
    with pytest.raises(ModelError, match="the scale"):
        run("GroupNormalization", x, v[:3], v[:3], opset=21, num_groups=3)


def lrn(x, size, alpha, beta, bias):
    d, y = x.astype(np.float64), np.zeros(x.shape)
    for c in range(x.shape[1]):
        low, high = max(0, c - (size - 1) // 2), min(x.shape[1], c + size // 2 + 1)
        y[:, c] = d[:, c] / (bias + alpha / size * (d[:, low:high] ** 2).sum(1)) ** beta
    return y


@pytest.mark.parametrize("channels", [1, 3, 16, 35])
@pytest.mark.parametrize("size", [1, 2, 5, 31, 40])
def test_lrn(size, channels):
    x = rng.normal(size=(2, channels, 3, 5)).astype(np.float32)
    want = lrn(x, size, 0.5, 0.75, 1.5)
    op = LRN(size, 0.5, 0.75, 1.5)
    everywhere(op, x, want=want)
    got = by_kernel(op, Machine(), x, blocked=(0,))
    assert (got is None) == (size > 31)
    if got is not None:
        close(got[0], want, np.float32)
    close(run("LRN", x, opset=13, size=size, alpha=0.5, bias=1.5), want, np.float32)


def test_lrn_size():
    with pytest.raises(ModelError, match="size is 0"):
        run("LRN", np.ones((1, 2, 3, 3), np.float32), opset=13, size=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [1, 2])
def test_lp(p, dtype):
    x = rng.normal(size=(3, 4, 5)).astype(dtype)
    x[:, 1] = 0
    for axis in (0, 1, -1):
        d = x.astype(np.float64)
        norm = (np.abs(d) ** p).sum(axis, keepdims=True) ** (1 / p)
        everywhere(LpNorm(axis, p), x, want=np.where(norm == 0, 0, d / np.where(norm == 0, 1, norm)))
    with pytest.raises(ModelError, match="p is 3"):
        run("LpNormalization", np.ones((2, 2), np.float32), opset=1, p=3)


def test_mean_variance():
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    d = x.astype(np.float64)
    for axes in ((0, 2, 3), (1, -1)):
        want = (d - d.mean(axes, keepdims=True)) / d.std(axes, keepdims=True)
        close(run("MeanVarianceNormalization", x, opset=13, axes=axes), want, np.float32)


def batch_norm(x, v):
    scale, bias, mean, variance = (a.astype(np.float64).reshape((-1,) + (1,) * (x.ndim - 2)) for a in v)
    return scale * (x.astype(np.float64) - mean) / np.sqrt(variance + 1e-5) + bias


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 19, 3, 4), (2, 19), (2, 19, 3)])
def test_batch_norm(shape, dtype):
    x = rng.normal(size=shape).astype(dtype)
    v = [rng.uniform(0.5, 2, 19).astype(dtype) for _ in range(4)]
    for opset in (1, 6, 7, 9, 14, 15):
        attributes = {"is_test": 1, "spatial": 1} if opset < 7 else {"training_mode": 0} if opset >= 14 else {}
        try:
            y = run("BatchNormalization", x, *v, opset=opset, **attributes,
                    **({"consumed_inputs": [0] * 5} if opset == 1 else {}))
        except UnsupportedError:
            assert np.dtype(dtype).name == "bfloat16" and opset < 14
            continue
        assert y.dtype == x.dtype
        close(y, batch_norm(x, v), dtype)


def test_batch_norm_for_every_element_of_an_image():
    x, v = rng.normal(size=(4, 2, 3)).astype(np.float32), [rng.uniform(0.5, 2, (2, 3)).astype(np.float32)] * 4
    d = [a.astype(np.float64) for a in v]
    want = d[0] * (x - d[2]) / np.sqrt(d[3] + 1e-5) + d[1]
    close(run("BatchNormalization", x, *v, opset=7, spatial=0), want, np.float32)


def test_batch_norm_in_training():
    x = rng.normal(size=(4, 3, 5)).astype(np.float32)
    v = [rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)]
    d = x.astype(np.float64)
    mean, variance = d.mean((0, 2)), d.var((0, 2))
    want = batch_norm(x, [*v[:2], mean, variance])
    running = [v[2] * 0.9 + mean * 0.1, v[3] * 0.9 + variance * 0.1]
    for got, expected in zip(run("BatchNormalization", x, *v, opset=15, outputs=3, training_mode=1), [want, *running],
                             strict=True):
        close(got, expected, np.float32)
    for got, expected in zip(run("BatchNormalization", x, *v, opset=9, outputs=5), [want, *running, mean, variance],
                             strict=True):
        close(got, expected, np.float32)


def test_batch_norm_lengths():
    x, v = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    for i in range(4):
        bad = [v, v, v, v]
        bad[i] = np.ones(4, np.float32)
        with pytest.raises(ModelError, match=r"has shape \[\d\], expected \[\d\]"):
            run("BatchNormalization", x, *bad, opset=15)
