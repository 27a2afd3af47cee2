"""Quantising and its inverse: rounding, saturation, what NaN gives, scales by axis and by block."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run
from onnx import TensorProto

from cynfer.ops import dtypes
from cynfer.ops.errors import ModelError
from cynfer.ops.machine import Machine
from cynfer.ops.quantize import Dequantize, Quantize

INTS = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
        "uint4": (0, 15), "int4": (-8, 7), "uint2": (0, 3), "int2": (-2, 1)}
FLOAT = np.dtype(np.float32)
rng = np.random.default_rng(0)


def typed(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def expected(x, scale, zero, name):
    with np.errstate(all="ignore"):
        q = (x / scale).astype(np.float64)
    return np.clip(np.where(np.isnan(q), 0, np.rint(q)) + zero, *INTS[name])


@pytest.mark.parametrize("name", sorted(INTS))
def test_integers(name):
    low, high = INTS[name]
    x = np.concatenate([np.linspace(2 * low - 3, 2 * high, 999), [0.5, 1.5, 2.5, -0.5, np.nan, np.inf, -np.inf, 1e30]])
    x = x.astype(np.float32)
    for scale in (1.0, 0.37):
        zero = np.array(1 if low else high // 2, np.int32).astype(typed(name))
        scale = np.float32(scale)
        want = expected(x, scale, float(zero), name)
        y = run("QuantizeLinear", x, scale, zero, opset=25)
        assert y.dtype == typed(name)
        np.testing.assert_array_equal(y.astype(float), want)
        op = Quantize(1, 0, typed(name), FLOAT)
        np.testing.assert_array_equal(by_python(op, x, scale, zero)[0].astype(float), want)
        for isa in ISAS:
            got = by_kernel(op, Machine(isa), x, scale, zero)
            if got is not None:
                np.testing.assert_array_equal(got[0].astype(float), want)
        back = run("DequantizeLinear", y, scale, zero, opset=25)
        np.testing.assert_array_equal(back, (want - float(zero)).astype(np.float32) * scale)


def test_every_type_of_zero_point_and_output():
    x, scale = np.float32([1, 300]), np.float32(1)
    assert run("QuantizeLinear", x, scale, opset=10).dtype == np.uint8
    assert run("QuantizeLinear", x, scale, opset=21, output_dtype=TensorProto.INT16).tolist() == [1, 300]
    with pytest.raises(ModelError, match="output_dtype"):
        run("QuantizeLinear", x, scale, np.int8(0), opset=21, output_dtype=TensorProto.INT16)
    q = np.int8([1, 2])
    assert run("DequantizeLinear", q, scale, opset=23, output_dtype=TensorProto.FLOAT16).dtype == np.float16
    assert run("DequantizeLinear", q, np.float16(2), opset=23).dtype == np.float16
    assert run("DequantizeLinear", np.int32([70000]), scale, opset=10).tolist() == [70000]
    e8 = np.array(4, np.float32).astype(ml_dtypes.float8_e8m0fnu)
    assert run("DequantizeLinear", q, e8, opset=28, output_dtype=TensorProto.FLOAT).tolist() == [4, 8]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_by_axis(axis):
    x = rng.normal(size=(3, 4, 5)).astype(np.float32) * 9
    n = x.shape[axis]
    scale, zero = rng.uniform(0.1, 1, n).astype(np.float32), rng.integers(-9, 9, n).astype(np.int8)
    shape = [n if i == axis % 3 else 1 for i in range(3)]
    want = expected(x, scale.reshape(shape), zero.reshape(shape).astype(float), "int8")
    y = run("QuantizeLinear", x, scale, zero, opset=13, axis=axis)
    np.testing.assert_array_equal(y, want)
    for op, given in ((Quantize(axis, 0, typed("int8"), FLOAT), x), (Dequantize(axis, 0, FLOAT), y)):
        (first,) = by_python(op, given, scale, zero)
        for isa in ISAS:
            for threads in (1, 3):
                got = by_kernel(op, Machine(isa), given, scale, zero, threads=threads)
                np.testing.assert_array_equal(got[0], first)
    with pytest.raises(ModelError, match="the scale has 7 elements"):
        run("QuantizeLinear", x, np.ones(7, np.float32), opset=13, axis=axis)
    with pytest.raises(ModelError, match="axis 7"):
        run("QuantizeLinear", x, scale, zero, opset=13, axis=7)


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_by_block(block):
    x = rng.normal(size=(3, 5, 2)).astype(np.float32) * 9
    shape = (3, -(-5 // block), 2)
    scale, zero = rng.uniform(0.1, 1, shape).astype(np.float32), rng.integers(-9, 9, shape).astype(np.int8)
    wide, offset = (np.repeat(a, block, 1)[:, :5] for a in (scale, zero))
    y = run("QuantizeLinear", x, scale, zero, opset=21, axis=1, block_size=block)
    np.testing.assert_array_equal(y, expected(x, wide, offset.astype(float), "int8"))
    back = run("DequantizeLinear", y, scale, zero, opset=21, axis=1, block_size=block)
    np.testing.assert_array_equal(back, (y.astype(np.float32) - offset) * wide)
    with pytest.raises(ModelError, match="expected"):
        run("QuantizeLinear", x, np.ones((3, 6, 2), np.float32), opset=21, axis=1, block_size=block)


def test_block_size():
    with pytest.raises(ModelError, match="block_size is -1"):
        run("QuantizeLinear", np.ones(3, np.float32), np.ones(3, np.float32), opset=21, axis=0, block_size=-1)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf, 1e-40])
def test_strange_scales(scale):
    x = np.float32([-1, 0, 1, np.nan])
    want = expected(x, np.float32(scale), 3, "uint8")
    np.testing.assert_array_equal(run("QuantizeLinear", x, np.float32(scale), np.uint8(3), opset=13), want)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
                                  "float4_e2m1fn"])
def test_floats(name):
    x = np.float32([0, 1, -2, 1e6, -1e6, 0.3])
    zero = np.zeros((), np.float32).astype(typed(name))
    y = run("QuantizeLinear", x, np.float32(2), zero, opset=25)
    high = float(ml_dtypes.finfo(typed(name)).max)
    np.testing.assert_array_equal(y.astype(float), np.clip(x / 2, -high, high).astype(typed(name)).astype(float))
    if "8" in name:
        y = run("QuantizeLinear", x, np.float32(2), zero, opset=25, saturate=0).astype(float)
        assert not np.isfinite(y[3:5]).any()
    assert dtypes.is_float(typed(name))


@pytest.mark.parametrize("x", [[-1, 0, 2], [1, 2, 3], [-5, -1], [0, 0], [1.5, -0.25, 100]])
def test_dynamic(x):
    x = np.array(x, np.float32)
    y, scale, zero = run("DynamicQuantizeLinear", x, opset=11, outputs=3)
    low, high = min(0, x.min()), max(0, x.max())
    assert scale.shape == zero.shape == () and scale.dtype == np.float32 and zero.dtype == y.dtype == np.uint8
    assert np.isclose(scale, (high - low) / 255 if high > low else 1 / 255)
    assert np.abs((y.astype(float) - int(zero)) * scale - x).max() <= scale * 0.5001
