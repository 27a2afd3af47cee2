"""ai.onnx.ml operators on features: Binarizer, Scaler, Normalizer, Imputer, FeatureVectorizer."""

from __future__ import annotations

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.ml_labels import ML
from cynfer.ops.op import Op, onnx, resolve


def node(b, name: str, *inputs, **attributes):
    """What a node of the standard's main domain (opset 21) with these inputs lowers to."""
    registration = resolve(name, "", 21)
    assert registration is not None
    return registration.lower(b, *inputs, **attributes)


def cast(b, x, dtype: np.dtype):
    """x in another type; itself if it has that."""
    return x if x.fact.dtype == dtype else node(b, "Cast", x, to=dtypes.to_onnx(dtype))


@onnx("Binarizer", since=1, domain=ML)
def binarizer(b, x, *, threshold=0.0):
    """1 where x is above the threshold, else 0."""
    wide = np.dtype(np.float64) if x.fact.dtype.kind in "iu" else x.fact.dtype
    return cast(b, node(b, "Greater", cast(b, x, wide), b.const(threshold, wide)), x.fact.dtype)


def _per_feature(name: str, values, x) -> np.ndarray:
    """The values, one or one for each feature of x."""
    last = None if x.fact.shape is None or not x.fact.rank else x.fact.dims[-1]
    if len(values) != 1 and isinstance(last, int) and len(values) != last:
        raise ModelError(f"{name} has {len(values)} elements; 1 or {last} (the input's features) are needed")
    return values


@onnx("Scaler", since=1, domain=ML)
def scaler(b, x, *, offset=None, scale=None):
    """(x - offset) * scale, as float32."""
    y = cast(b, x, dtypes.FLOAT)
    if offset:
        y = node(b, "Sub", y, b.const(_per_feature("offset", offset, x), dtypes.FLOAT))
    return node(b, "Mul", y, b.const(_per_feature("scale", scale, x), dtypes.FLOAT)) if scale else y


class Normalizer(Op):
    """Each row (or the one there is) over its norm, as float32; a row of zeros stays."""

    norm: str

    def shapes(self, x):
        if x.rank not in (1, 2):
            raise ModelError(f"the input has {x.rank} dimensions; 1 or 2 are needed")
        return [x.dims]

    def dtypes(self, x):
        return [dtypes.FLOAT]

    def python(self, x):
        x = x.astype(np.float64 if x.dtype.itemsize > 4 else np.float32)
        if not x.shape[-1]:
            return x.astype(np.float32)
        if self.norm == "MAX":
            size = x.max(-1, keepdims=True)
        elif self.norm == "L1":
            size = np.abs(x).sum(-1, keepdims=True)
        else:
            size = np.sqrt((x * x).sum(-1, keepdims=True))
        return np.where(size == 0, x, x / size).astype(np.float32)


@onnx("Normalizer", since=1, domain=ML)
def normalizer(b, x, *, norm="MAX"):
    """norm: MAX (the largest element), L1 or L2."""
    if norm not in ("MAX", "L1", "L2"):
        raise ModelError(f"norm is {norm!r}; choose from MAX, L1, L2")
    return b.emit(Normalizer(norm), x)


class Imputer(Op, eq=False):
    """x with every element that is `old` (NaN: that is NaN) replaced by its feature's value."""

    old: float
    values: np.ndarray

    def python(self, x):
        missing = np.isnan(x) if np.isnan(self.old) else x == self.old
        return np.where(missing, self.values.astype(x.dtype), x)


@onnx("Imputer", since=1, domain=ML)
def imputer(b, x, *, imputed_value_floats=(), imputed_value_int64s=(), replaced_value_float=0.0,
            replaced_value_int64=0):
    """Attributes of floats for floats, of integers for integers."""
    floats = dtypes.is_float(x.fact.dtype)
    name = "imputed_value_floats" if floats else "imputed_value_int64s"
    values = imputed_value_floats if floats else imputed_value_int64s
    if not values:
        raise ModelError(f"attribute {name!r} is missing for an input of {x.fact.type_name()}")
    values = np.array(_per_feature(name, values, x), np.float32 if floats else np.int64)
    return b.emit(Imputer(np.float32(replaced_value_float) if floats else replaced_value_int64, values), x)


class FeatureVectorizer(Op):
    """The features of all inputs side by side, as float32; sizes: how many of each (zeros fill up, more are cut)."""

    sizes: tuple[int, ...]

    def shapes(self, *ins):
        rows = None
        for i, (x, size) in enumerate(zip(ins, self.sizes, strict=True)):
            if x.rank not in (1, 2):
                raise ModelError(f"input {i} has {x.rank} dimensions; 1 or 2 are needed")
            if size < 0:
                raise ModelError(f"inputdimensions has {size} at position {i}; 0 or more is needed")
            n = x.dims[0] if x.rank == 2 else 1
            if isinstance(n, int) and isinstance(rows, int) and n != rows:
                raise ModelError(f"input {i} has {n} rows, input 0 has {rows}")
            rows = n if rows is None or isinstance(rows, Dim) else rows
        return [[rows, sum(self.sizes)]]

    def dtypes(self, *ins):
        return [dtypes.FLOAT]

    def python(self, *arrays):
        rows = arrays[0].shape[0] if arrays[0].ndim == 2 else 1
        y = np.zeros((rows, sum(self.sizes)), np.float32)
        at = 0
        for x, size in zip(arrays, self.sizes, strict=True):
            x = x.reshape(rows, -1) if x.ndim < 2 else x
            width = min(size, x.shape[1])
            y[:, at: at + width] = x[:, :width]
            at += size
        return y


@onnx("FeatureVectorizer", since=1, domain=ML)
def feature_vectorizer(b, first, *others, inputdimensions=None):
    """ONNX ml FeatureVectorizer; without inputdimensions all features of every input."""
    ins = (first, *others)
    if inputdimensions is None:
        inputdimensions = [x.fact.dims[-1] if x.fact.shape else None for x in ins]
        if not all(isinstance(d, int) for d in inputdimensions):
            raise ModelError("attribute 'inputdimensions' is missing, and the inputs' features are not known")
    if len(inputdimensions) != len(ins):
        raise ModelError(f"inputdimensions has {len(inputdimensions)} elements for {len(ins)} inputs")
    return b.emit(FeatureVectorizer(tuple(inputdimensions)), *ins)


__all__ = ["FeatureVectorizer", "Imputer", "Normalizer", "cast", "node"]
