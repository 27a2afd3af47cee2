"""Element-wise operators of one input against NumPy in float64, and their kernels against their NumPy forms."""

import math

import ml_dtypes
import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run
from onnx import defs

from cynfer.ops import elementwise
from cynfer.ops.dtypes import onnx_name
from cynfer.ops.elementwise import Unary
from cynfer.ops.errors import ModelError
from cynfer.ops.machine import Machine

FLOATS = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
ERROR = {"float64": 1e-14, "float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}

erf = np.vectorize(math.erf)
x = np.concatenate([np.linspace(-7, 7, 241), [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e-5, -1e-5]])

#: (operator, opset, attributes, expected for x in float64)
CASES = [
    ("Abs", 13, {}, np.abs), ("Neg", 13, {}, np.negative), ("Sign", 13, {}, np.sign), ("Floor", 13, {}, np.floor),
    ("Ceil", 13, {}, np.ceil), ("Round", 22, {}, np.rint), ("Exp", 13, {}, np.exp), ("Log", 13, {}, np.log),
    ("Sqrt", 13, {}, np.sqrt), ("Reciprocal", 13, {}, np.reciprocal), ("Erf", 13, {}, erf),
    ("Sin", 22, {}, np.sin), ("Cos", 22, {}, np.cos), ("Asin", 22, {}, np.arcsin), ("Acos", 22, {}, np.arccos),
    ("Atan", 22, {}, np.arctan), ("Sinh", 22, {}, np.sinh), ("Cosh", 22, {}, np.cosh), ("Tanh", 13, {}, np.tanh),
    ("Asinh", 22, {}, np.arcsinh), ("Acosh", 22, {}, np.arccosh), ("Atanh", 22, {}, np.arctanh),
    ("Sigmoid", 13, {}, lambda x: 1 / (1 + np.exp(-x))), ("Relu", 14, {}, lambda x: np.maximum(x, 0)),
    ("Softplus", 22, {}, lambda x: np.log1p(np.exp(x))), ("Softsign", 22, {}, lambda x: x / (1 + abs(x))),
    ("Mish", 22, {}, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    ("HardSwish", 22, {}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    ("HardSigmoid", 6, {}, lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    ("HardSigmoid", 22, {"alpha": 0.5, "beta": 0.25}, lambda x: np.clip(0.5 * x + 0.25, 0, 1)),
    ("LeakyRelu", 6, {}, lambda x: np.where(x < 0, 0.01 * x, x)),
    ("LeakyRelu", 16, {"alpha": 0.25}, lambda x: np.where(x < 0, 0.25 * x, x)),
    ("ThresholdedRelu", 22, {"alpha": 1.5}, lambda x: np.where(x > 1.5, x, 0)),
    ("Elu", 22, {"alpha": 2.0}, lambda x: np.where(x < 0, 2 * (np.exp(x) - 1), x)),
    ("Celu", 28, {"alpha": 2.0}, lambda x: np.maximum(x, 0) + np.minimum(0, 2 * (np.exp(x / 2) - 1))),
    ("Selu", 6, {}, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))),
    ("Selu", 1, {}, lambda x: 1.0507 * np.where(x > 0, x, 1.6732 * (np.exp(x) - 1))),
    ("Gelu", 20, {}, lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))),
    ("Gelu", 20, {"approximate": "tanh"},
     lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    ("Swish", 24, {}, lambda x: x / (1 + np.exp(-x))),
    ("Swish", 24, {"alpha": 1.5}, lambda x: x / (1 + np.exp(-1.5 * x))),
    ("Shrink", 9, {"bias": 1.5, "lambd": 1.5}, lambda x: np.where(x < -1.5, x + 1.5, np.where(x > 1.5, x - 1.5, 0))),
    ("Clip", 6, {"min": -1.5}, lambda x: np.maximum(x, -1.5)),
]


def _takes(name, opset, dtype):
    """If this version of the operator has the type."""
    allowed = defs.get_schema(name, opset).type_constraints[0].allowed_type_strs
    return f"tensor({onnx_name(np.dtype(dtype))})" in allowed


@pytest.mark.parametrize("name, opset, attributes, expected, dtype", [
    pytest.param(*case, dtype, id=f"{case[0]}-{case[1]}-{dtype}")
    for case in CASES for dtype in FLOATS if _takes(case[0], case[1], FLOATS[dtype])])
def test_values(name, opset, attributes, expected, dtype):
    given = x.astype(FLOATS[dtype])
    y = run(name, given, opset=opset, **attributes)
    assert y.dtype == given.dtype
    with np.errstate(all="ignore"):
        want = expected(given.astype(np.float64)).astype(given.dtype).astype(np.float64)
    rounded = bool(attributes) or name in ("Selu", "LeakyRelu", "HardSigmoid")  # attributes are float32
    tolerance = max(ERROR[dtype], 1e-6 if rounded else 0)
    np.testing.assert_allclose(y.astype(np.float64), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", sorted(set(elementwise.NUMPY) - {"not", "bitwise_not"}))
def test_kernels_agree_with_numpy(kernel, dtype, isa):
    scalars = {"isinf": (1.0, 0.0), "clip": (-1.5, 2.5), "selu": (1.67, 1.05), "hard_sigmoid": (0.2, 0.5),
               "shrink": (0.25, 0.5)}
    needs = {"leaky_relu", "thresholded_relu", "elu", "celu", "swish"}
    op = Unary(kernel, scalars.get(kernel, (0.75,) if kernel in needs else ()))
    given = np.concatenate([x, [np.nan, np.inf, -np.inf, 1e4, -1e4]]).astype(dtype)
    (got,), (want,) = by_kernel(op, Machine(isa), given), by_python(op, given)
    tolerance = 4e-6 if dtype == np.float32 else 2e-14
    np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kernel", sorted(elementwise.FINITE))
def test_blocks(kernel):
    scalars = {"clip": (-1.5, 2.5), "selu": (1.67, 1.05), "hard_sigmoid": (0.2, 0.5), "shrink": (0.25, 0.5)}
    needs = {"leaky_relu", "thresholded_relu", "elu", "celu", "swish"}
    op, m = Unary(kernel, scalars.get(kernel, (0.75,) if kernel in needs else ())), Machine()
    given = np.random.default_rng(0).normal(size=(2, 19, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(by_kernel(op, m, given, blocked=(0,))[0], by_kernel(op, m, given)[0])


@pytest.mark.parametrize("kernel", ["log", "sqrt", "reciprocal", "acosh", "atanh", "exp"])
def test_no_blocks_where_the_padding_would_not_stay_finite(kernel):
    assert by_kernel(Unary(kernel), Machine(), np.ones((1, 3, 2, 2), np.float32), blocked=(0,)) is None


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64])
def test_integers(dtype):
    info = np.iinfo(dtype)
    given = np.array([info.min, info.max, 0, 1, 2, info.max - 1], dtype)
    np.testing.assert_array_equal(run("Abs", given, opset=13), np.abs(given))  # of the smallest number: itself
    np.testing.assert_array_equal(run("Sign", given, opset=13), np.sign(given))
    np.testing.assert_array_equal(run("BitwiseNot", given, opset=18), ~given)
    if info.min:
        np.testing.assert_array_equal(run("Neg", given, opset=13), -given)
        np.testing.assert_array_equal(run("Relu", given, opset=14), np.maximum(given, 0))


@pytest.mark.parametrize("name, opset", [("Relu", 14), ("Sigmoid", 13), ("Clip", 6), ("Celu", 12), ("Gelu", 20)])
def test_nan_stays(name, opset):
    y = run(name, np.array([np.nan, 1], np.float32), opset=opset)
    assert np.isnan(y[0]) and not np.isnan(y[1])


def test_tests():
    given = np.array([np.nan, np.inf, -np.inf, 0, 1], np.float32)
    assert run("IsNaN", given, opset=20).tolist() == [True, False, False, False, False]
    assert run("IsInf", given, opset=20).tolist() == [False, True, True, False, False]
    assert run("IsInf", given, opset=10, detect_negative=0).tolist() == [False, True, False, False, False]
    assert run("IsInf", given, opset=10, detect_positive=0).tolist() == [False, False, True, False, False]
    assert run("Not", given > 0, opset=1).tolist() == [True, False, True, True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int32, np.uint64])
def test_clip_by_inputs(dtype):
    given, low, high = np.arange(10).astype(dtype), dtype(3), dtype(6)
    np.testing.assert_array_equal(run("Clip", given, low, high, opset=13), np.clip(given, 3, 6))
    np.testing.assert_array_equal(run("Clip", given, None, high, opset=13), np.minimum(given, 6))
    np.testing.assert_array_equal(run("Clip", given, low, opset=12), np.maximum(given, 3))
    np.testing.assert_array_equal(run("Clip", given, opset=13), given)
    np.testing.assert_array_equal(run("Clip", given, high, low, opset=13), np.full(10, 3, dtype))


def test_clip_keeps_infinities_where_no_bound_is_given():
    given = np.array([np.inf, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(run("Clip", given, opset=6), given)


def test_bad_attributes():
    with pytest.raises(ModelError, match="approximate is 'no', expected 'none' or 'tanh'"):
        run("Gelu", np.zeros(2, np.float32), opset=20, approximate="no")
    with pytest.raises(ModelError, match=r"min has shape \[2\], a scalar is needed"):
        run("Clip", np.zeros(2, np.float32), np.zeros(2, np.float32), opset=13)


def test_empty_and_scalar():
    assert run("Exp", np.zeros((0, 3), np.float32), opset=13).shape == (0, 3)
    assert run("Exp", np.float32(0), opset=13).shape == ()
