"""Casts: every pair of types, the ends of the ranges, all values of the small types, strings."""

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run
from onnx import TensorProto, numpy_helper

from cynfer.ops import dtypes
from cynfer.ops.cast import BitCast, Cast
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.machine import Machine

INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
WIDE = ["bool", *INTS, "float16", "bfloat16", "float32", "float64"]
SMALL = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2}
FP8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]


def typed(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def some(name):
    dtype = typed(name)
    if name == "bool":
        return np.array([True, False])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = [info.min, info.max, info.max - 1, info.min + 1, 0, 1, 2, 100, 127, info.max // 3 * 2]
        return np.array(values * 3, dtype)
    values = [0, -0.0, 0.4, 0.6, -0.6, 1.5, 2.5, -2.5, 127.5, 128, 255.9, -129, 3e4, 7e4, -7e4, 3e9, -3e9, 1e19, -1e19,
              2.0**63, 2.0**64, 2.0**31, np.inf, -np.inf, np.nan, 1e-8, 65519, 65520, 1 + 2**-9, 1 + 2**-8 + 2**-20]
    with np.errstate(all="ignore"):
        return np.array(values).astype(np.float32 if dtype.itemsize < 4 else dtype).astype(dtype)


def expected(x, to):
    """Saturated, NaN as 0, low bits of integers; in Python's integers."""
    with np.errstate(all="ignore"):
        if to == "bool":
            return x.astype(float) != 0
        if to not in INTS or x.dtype.kind not in "fV":
            return x.astype(np.float32).astype(typed(to)) if x.dtype.kind == "V" else x.astype(typed(to))
    info = np.iinfo(to)
    return np.array([0 if v != v else int(min(max(v, info.min), info.max)) if abs(v) < 1e30
                     else info.max if v > 0 else info.min for v in x.astype(float).tolist()], typed(to))


@pytest.mark.parametrize("to", WIDE)
@pytest.mark.parametrize("source", WIDE)
def test_pairs(source, to):
    x = some(source)
    want = expected(x, to)
    exact = np.float64 if to in ("float16", "bfloat16") else typed(to)
    (got,) = by_python(Cast(typed(to)), x)
    assert got.dtype == typed(to)
    np.testing.assert_array_equal(got.astype(exact), want.astype(exact))
    for isa in ISAS:
        (native,) = by_kernel(Cast(typed(to)), Machine(isa), x)
        np.testing.assert_array_equal(native.astype(exact), want.astype(exact))


@pytest.mark.parametrize("to", sorted(SMALL))
@pytest.mark.parametrize("source", sorted(SMALL))
def test_pairs_of_small_integers(source, to):
    x = np.arange(1 << SMALL[source]).astype(np.uint8).astype(typed(source))
    y = run("Cast", x, opset=25, to=dtypes.to_onnx(typed(to)))
    np.testing.assert_array_equal(y.astype(int) % (1 << SMALL[to]), x.astype(int) % (1 << SMALL[to]))


@pytest.mark.parametrize("to", FP8)
@pytest.mark.parametrize("source", ["float16", "bfloat16"])
def test_every_half_to_float8(source, to):
    x = np.arange(65536, dtype=np.uint16).view(typed(source))
    finite = ml_dtypes.finfo(typed(to))
    with np.errstate(all="ignore"):
        wide = x.astype(np.float32)
        for saturate in (1, 0):
            y = run("Cast", x, opset=19, to=dtypes.to_onnx(typed(to)), saturate=saturate).astype(np.float32)
            want = (np.clip(wide, float(finite.min), float(finite.max)) if saturate else wide).astype(typed(to))
            np.testing.assert_array_equal(y, want.astype(np.float32))
            assert np.isnan(y[np.isnan(wide)]).all()


@pytest.mark.parametrize("source", [*FP8, "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"])
def test_every_small_float_to_float32(source):
    bits = {"float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}.get(source, 8)
    x = np.arange(1 << bits, dtype=np.uint8).view(typed(source))
    y = run("Cast", x, opset=28, to=TensorProto.FLOAT)
    np.testing.assert_array_equal(y, x.astype(np.float32))
    back = run("Cast", y, opset=28, to=dtypes.to_onnx(typed(source)))
    finite = np.isfinite(y)
    np.testing.assert_array_equal(back.view(np.uint8)[finite], x.view(np.uint8)[finite])


@pytest.mark.parametrize("to", sorted(SMALL))
def test_integers_under_8_bits_keep_the_low_bits(to):
    x = np.arange(-20, 21)
    y = run("Cast", x.astype(np.float32) + 0.0, opset=25, to=dtypes.to_onnx(typed(to)))
    n = 1 << SMALL[to]
    want = x % n
    want = np.where((want >= n // 2) & (to[0] == "i"), want - n, want)
    np.testing.assert_array_equal(y.astype(int), want)
    y = run("Cast", x.astype(np.int32), opset=25, to=dtypes.to_onnx(typed(to)))
    np.testing.assert_array_equal(y.astype(int), want)
    np.testing.assert_array_equal(run("Cast", y, opset=25, to=TensorProto.INT8), want)


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_float8e8m0(mode):
    x = np.float32(2.0) ** np.arange(-126, 128, dtype=np.float32)
    to = TensorProto.FLOAT8E8M0
    np.testing.assert_array_equal(run("Cast", x, opset=24, to=to, round_mode=mode).astype(np.float32), x)
    between = np.array([1.25, 1.5, 1.75, 5], np.float32)
    want = {"up": [2, 2, 2, 8], "down": [1, 1, 1, 4], "nearest": [1, 2, 2, 4]}[mode]
    assert run("Cast", between, opset=24, to=to, round_mode=mode).astype(np.float32).tolist() == want
    special = run("Cast", np.array([np.nan, np.inf, 0], np.float32), opset=24, to=to, round_mode=mode).view(np.uint8)
    assert special.tolist() == [255, 254, 0]
    special = run("Cast", np.array([np.nan, np.inf, 0], np.float32), opset=24, to=to, round_mode=mode, saturate=0)
    assert special.view(np.uint8).tolist() == [255, 255, 255]
    theirs = numpy_helper.to_float8e8m0(between, True, mode)
    ours = run("Cast", between, opset=24, to=to, round_mode=mode)
    np.testing.assert_array_equal(ours.view(np.uint8), theirs.view(np.uint8))


def test_strings():
    texts = np.array(["3.14", "1000", "1e-5", "1E8", "+INF", "inf", "-INF", "NaN"], object)
    y = run("Cast", texts, opset=13, to=TensorProto.FLOAT)
    np.testing.assert_array_equal(y, np.array([3.14, 1000, 1e-5, 1e8, np.inf, np.inf, -np.inf, np.nan], np.float32))
    assert run("Cast", np.array(["7", "-9223372036854775808"], object), opset=13, to=TensorProto.INT64).tolist() == [
        7, -2**63]
    assert run("Cast", np.array(["100.5", "1e30"], object), opset=13, to=TensorProto.INT32).tolist() == [100, 2**31 - 1]
    back = run("Cast", y, opset=13, to=TensorProto.STRING)
    assert back.tolist()[:3] == ["3.14", "1000.0", "1e-05"] and float(back[3]) == 1e8  # NumPy 2.4 writes 1e+08
    assert back.tolist()[4:] == ["INF", "INF", "-INF", "NaN"]
    assert run("Cast", np.array([-5, 7]), opset=13, to=TensorProto.STRING).tolist() == ["-5", "7"]


def test_a_string_that_is_no_number_is_named():
    with pytest.raises(KernelError, match="'Hello' at position 1 is not a number"):
        run("Cast", np.array(["1", "Hello"], object), opset=13, to=TensorProto.INT32)


def test_versions():
    assert run("Cast", np.array([1.5], np.float32), opset=5, to="INT32").dtype == np.int32
    with pytest.raises(ModelError, match="'WHAT', which is not an element type"):
        run("Cast", np.array([1.5], np.float32), opset=5, to="WHAT")
    with pytest.raises(ModelError, match="element type 99"):
        run("Cast", np.array([1.5], np.float32), opset=13, to=99)
    with pytest.raises(ModelError, match="round_mode is 'no'"):
        run("Cast", np.array([1.5], np.float32), opset=24, to=1, round_mode="no")
    y = run("CastLike", np.array([1.5], np.float32), np.zeros(3, np.int8), opset=19)
    assert y.dtype == np.int8 and y.tolist() == [1]


def test_bits():
    x = np.array([1.0, -2.0], np.float32)
    np.testing.assert_array_equal(run("BitCast", x, opset=26, to=TensorProto.INT32), x.view(np.int32))
    assert by_python(BitCast(typed("int4")), np.array([15, 7], typed("uint4")))[0].astype(int).tolist() == [-1, 7]
    with pytest.raises(ModelError, match="bits"):
        run("BitCast", x, opset=26, to=TensorProto.INT64)
