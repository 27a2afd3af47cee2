"""Element-wise operators of one input: one row of a table each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cynfer.ops.binary import Binary
from cynfer.ops.broadcast import single, widen
from cynfer.ops.dtypes import BOOL, is_float, prefix
from cynfer.ops.errors import ModelError, show
from cynfer.ops.half import halves
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.strides import elements


class Unary(Op):
    """y = f(x), element by element; kernel names f, f its scalars."""

    kernel: str
    f: tuple[float, ...] = ()

    @property
    def symbolic(self):
        return self.kernel == "neg"

    def dtypes(self, x):
        return [BOOL if self.kernel in TESTS else x.dtype]

    @halves
    def native(self, m, ins, outs):
        name, n = f"{prefix(ins[0].dtype)}_{self.kernel}", elements(ins[0])
        return Call(name, (In(0), Out(0)), (n,), self.f, work=n * WORK.get(self.kernel, 1)) if name in m else None

    def blocked(self, m, ins, outs):
        return self.kernel in FINITE and f"{prefix(ins[0].dtype)}_{self.kernel}" in m and \
            ins[0].dims == outs[0].dims

    def python(self, x):
        y = NUMPY[self.kernel](*widen(x), *self.f)
        return y if x.dtype == object else np.asarray(y, BOOL if self.kernel in TESTS else x.dtype)

    @property
    def title(self):
        return self.kernel


def erf(x):
    """By the series exp(-x²) Σ 2^n x^(2n+1) / (2n+1)!!, whose terms have one sign; ±1 from 6 on."""
    limit = 4.0 if x.dtype == np.float32 else 6.0
    z = np.clip(x, -limit, limit).astype(np.float64)
    term = z * np.exp(-z * z) * (2 / np.sqrt(np.pi))
    total = np.zeros_like(term)
    for n in range(1, int(limit * limit * 2 + 60)):
        total += term
        term = term * (2 * z * z / (2 * n + 1))
    return np.where(np.abs(x) >= limit, np.sign(x), total)


def sigmoid(x):
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _gated(x, gate):
    """x times a gate that closes at -Inf; there the limit, -0."""
    return np.where((gate == 0) & (x == -np.inf), -0.0, x * gate)


def _gelu_tanh(x):
    return _gated(x, 0.5 + 0.5 * np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))


def _celu(x, alpha):
    # maximum and minimum with 0 keep NaN; alpha may be negative, so that x decides, not the sign of the result
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))


def _isinf(x, negative, positive):
    return (np.isposinf(x) & bool(positive)) | (np.isneginf(x) & bool(negative))


#: {kernel name: its NumPy form}; both take the input, then the scalars f.
NUMPY: dict[str, Callable] = {
    "abs": np.abs, "neg": np.negative, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": np.reciprocal,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": erf, "sigmoid": sigmoid,
    "relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "thresholded_relu": lambda x, alpha: np.where(x <= alpha, 0, x),
    "elu": lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x),
    "selu": lambda x, alpha, gamma: gamma * np.where(x <= 0, alpha * np.expm1(x), x),
    "celu": _celu,
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "swish": lambda x, alpha: _gated(x, sigmoid(alpha * x)), "silu": lambda x: _gated(x, sigmoid(x)),
    "square": np.square, "expm1": np.expm1, "log1p": np.log1p,
    "mish": lambda x: _gated(x, np.tanh(np.logaddexp(0, x))),
    "softplus": lambda x: np.logaddexp(np.zeros((), x.dtype), x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": lambda x: _gated(x, 0.5 + 0.5 * erf(x / np.sqrt(2))), "gelu_tanh": _gelu_tanh,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "shrink": lambda x, bias, lambd: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)),
    "isnan": np.isnan, "isinf": _isinf, "not": np.logical_not, "bitwise_not": np.invert,
}

#: Those whose output is bool.
TESTS = {"isnan", "isinf", "not"}

#: Those that make finite numbers of all finite ones (such as lie in the padding of a blocked layout).
FINITE = {"abs", "neg", "sign", "floor", "ceil", "round", "sin", "cos", "atan", "tanh", "asinh", "erf", "sigmoid",
          "relu", "leaky_relu", "thresholded_relu", "elu", "selu", "celu", "hard_sigmoid", "hard_swish", "silu",
          "swish", "mish", "softplus", "softsign", "gelu", "gelu_tanh", "clip", "shrink"}

#: Elementary steps of one element, where it is more than a few.
WORK = {"erf": 8, "gelu": 8, "gelu_tanh": 8, "mish": 10, "exp": 4, "log": 4, "tanh": 6, "sigmoid": 5, "silu": 6,
        "swish": 6, "softplus": 8, "elu": 5, "selu": 5, "celu": 5, "sin": 10, "cos": 10, "tan": 12}


class Row(NamedTuple):
    """An ONNX operator: versions whose meaning differs (or the first), kernel, attributes in the kernel's order."""

    name: str
    since: int
    kernel: str
    attributes: Mapping[str, float] = MappingProxyType({})


_ROWS = (
    Row("Abs", 1, "abs"), Row("Neg", 1, "neg"), Row("Sign", 9, "sign"), Row("Floor", 1, "floor"),
    Row("Ceil", 1, "ceil"), Row("Round", 11, "round"), Row("Exp", 1, "exp"), Row("Log", 1, "log"),
    Row("Sqrt", 1, "sqrt"), Row("Reciprocal", 1, "reciprocal"), Row("Erf", 9, "erf"), Row("Sigmoid", 1, "sigmoid"),
    Row("Tanh", 1, "tanh"), Row("Relu", 1, "relu"), Row("Softplus", 1, "softplus"), Row("Softsign", 1, "softsign"),
    Row("Sin", 7, "sin"), Row("Cos", 7, "cos"), Row("Tan", 7, "tan"), Row("Asin", 7, "asin"), Row("Acos", 7, "acos"),
    Row("Atan", 7, "atan"), Row("Sinh", 9, "sinh"), Row("Cosh", 9, "cosh"), Row("Asinh", 9, "asinh"),
    Row("Acosh", 9, "acosh"), Row("Atanh", 9, "atanh"), Row("Mish", 18, "mish"), Row("HardSwish", 14, "hard_swish"),
    Row("IsNaN", 9, "isnan"), Row("Not", 1, "not"), Row("BitwiseNot", 18, "bitwise_not"),
    Row("LeakyRelu", 1, "leaky_relu", {"alpha": 0.01}),
    Row("ThresholdedRelu", 10, "thresholded_relu", {"alpha": 1.0}),
    Row("Elu", 1, "elu", {"alpha": 1.0}),
    Row("Selu", 1, "selu", {"alpha": 1.6732, "gamma": 1.0507}),
    Row("Selu", 6, "selu", {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    Row("Celu", 12, "celu", {"alpha": 1.0}),
    Row("HardSigmoid", 1, "hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    Row("Shrink", 9, "shrink", {"bias": 0.0, "lambd": 0.5}),
    Row("IsInf", 10, "isinf", {"detect_negative": 1, "detect_positive": 1}),
)


def _register(row: Row) -> None:
    attributes = ({"consumed_inputs": ()} if row.since == 1 else {}) | dict(row.attributes)
    signature = Signature([Parameter("b", Parameter.POSITIONAL_OR_KEYWORD),
                           Parameter("x", Parameter.POSITIONAL_OR_KEYWORD),
                           *(Parameter(a, Parameter.KEYWORD_ONLY, default=v) for a, v in attributes.items())])

    def lower(*args, **given):
        bound = signature.bind(*args, **given)
        bound.apply_defaults()
        scalars = (bound.arguments[a] for a in row.attributes)
        return bound.arguments["b"].emit(Unary(row.kernel, single(*scalars)), bound.arguments["x"])

    lower.__signature__ = signature  # type: ignore[attr-defined]
    onnx(row.name, since=row.since)(lower)


for _row in _ROWS:
    _register(_row)


@onnx("Gelu", since=20)
def gelu(b, x, *, approximate="none"):
    """x Φ(x), or its approximation by tanh."""
    if approximate not in ("none", "tanh"):
        raise ModelError(f"approximate is {show(approximate)}, expected 'none' or 'tanh'")
    return b.emit(Unary("gelu" if approximate == "none" else "gelu_tanh"), x)


@onnx("Swish", since=24)
def swish(b, x, *, alpha=1.0):
    """x sigmoid(alpha x)."""
    return b.emit(Unary("silu") if alpha == 1 else Unary("swish", single(alpha)), x)


@onnx("Clip", since=1)
@onnx("Clip", since=6)
def clip_attributes(b, x, *, min=-np.inf, max=np.inf, consumed_inputs=()):
    """Bounds are attributes; the default of the standard, the largest float32, would cut off infinities."""
    return b.emit(Unary("clip", single(min, max)), x)


@onnx("Clip", since=11)
def clip(b, x, low=None, high=None):
    """Bounds are scalars; where low > high the result is high. NaN stays NaN."""
    bounds = []
    for bound, name, default in ((low, "min", -np.inf), (high, "max", np.inf)):
        if bound is not None and bound.fact.known and bound.fact.size != 1:
            raise ModelError(f"{name} has shape {list(bound.fact.dims)}, a scalar is needed")
        content = np.array(default) if bound is None else bound.fact.constant
        bounds.append(None if content is None or not is_float(x.fact.dtype) else float(content.reshape(())))
    if None not in bounds:
        return b.emit(Unary("clip", tuple(bounds)), x)
    x = x if low is None else b.emit(Binary("max"), x, low)
    return x if high is None else b.emit(Binary("min"), x, high)
