"""ai.onnx.ml operators that look values up: LabelEncoder, CategoryMapper, OneHotEncoder, ArrayFeatureExtractor."""

from __future__ import annotations

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError, show
from cynfer.ops.fact import UnknownRank
from cynfer.ops.op import Op, onnx

ML = "ai.onnx.ml"


def strings(values) -> np.ndarray:
    """A string tensor of these."""
    y = np.empty(len(values), object)
    y[:] = list(values)
    return y


def positions(x: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each element of x stands in keys, the last of equal ones; -1 where it does not. NaN is equal to NaN."""
    if keys.dtype == dtypes.STRING:
        table = {k: i for i, k in enumerate(keys)}
        return np.fromiter((table.get(s, -1) for s in x.reshape(-1)), np.int64, x.size).reshape(x.shape)
    if not keys.size:
        return np.full(x.shape, -1)
    order = np.argsort(keys, kind="stable")  # NaN comes last
    at = np.searchsorted(keys[order], x, side="right") - 1
    found = order[np.maximum(at, 0)]
    same = keys[found] == x
    if keys.dtype.kind == "f":
        same |= np.isnan(keys[found]) & np.isnan(x)
    return np.where((at >= 0) & same, found, -1)


class Lookup(Op, eq=False):
    """values[i] for each element of x that is keys[i], the default for the others."""

    keys: np.ndarray
    values: np.ndarray
    default: object

    def dtypes(self, x):
        if x.dtype != self.keys.dtype:
            raise ModelError(f"the input is {x.type_name()}, its keys are tensor({dtypes.onnx_name(self.keys.dtype)})")
        return [self.values.dtype]

    def python(self, x):
        at = positions(x, self.keys)
        y = np.empty(x.shape, self.values.dtype)
        y[...] = self.default
        y[at >= 0] = self.values[at[at >= 0]]
        return y


def _only(what: str, **given):
    """(name, content) of the one attribute that is given."""
    there = [(k, v) for k, v in given.items() if v is not None and len(v)]
    if len(there) != 1:
        raise ModelError(f"{len(there)} of the attributes {', '.join(given)} give {what}; exactly one is needed")
    return there[0]


def _array(name: str, content) -> np.ndarray:
    if name.endswith("tensor"):
        return content.reshape(-1)
    return strings(content) if name.endswith("strings") else \
        np.array(content, np.float32 if name.endswith("floats") else np.int64)


def _paired(what: str, keys, values) -> None:
    if len(keys) != len(values):
        raise ModelError(f"there are {len(keys)} keys and {len(values)} values{what}; as many are needed")


@onnx("LabelEncoder", since=1, domain=ML)
def label_encoder_1(b, x, *, classes_strings, default_string="_Unused", default_int64=-1):
    """Strings to their positions in a list, or positions to strings."""
    names, numbers = strings(classes_strings), np.arange(len(classes_strings))
    if x.fact.dtype == dtypes.STRING:
        return b.emit(Lookup(names, numbers, default_int64), x)
    return b.emit(Lookup(numbers, names, default_string), x)


@onnx("LabelEncoder", since=2, domain=ML)
def label_encoder(b, x, *, keys_floats=None, keys_int64s=None, keys_strings=None, keys_tensor=None,
                  values_floats=None, values_int64s=None, values_strings=None, values_tensor=None,
                  default_string="_Unused", default_int64=-1, default_float=-0.0, default_tensor=None):
    """Keys to values; tensors for them from version 4. Of equal keys the last one counts."""
    keys = _array(*_only("keys", keys_floats=keys_floats, keys_int64s=keys_int64s, keys_strings=keys_strings,
                         keys_tensor=keys_tensor))
    name, content = _only("values", values_floats=values_floats, values_int64s=values_int64s,
                          values_strings=values_strings, values_tensor=values_tensor)
    values = _array(name, content)
    _paired("", keys, values)
    default = default_string if values.dtype == dtypes.STRING else \
        default_float if dtypes.is_float(values.dtype) else default_int64
    if name == "values_tensor" and default_tensor is not None:
        if default_tensor.size != 1 or default_tensor.dtype != values.dtype:
            raise ModelError(f"default_tensor has {default_tensor.size} elements of {default_tensor.dtype}; 1 of "
                             f"{values.dtype} is needed")
        default = default_tensor.reshape(-1)[0]
    return b.emit(Lookup(keys, values, default), x)


@onnx("CategoryMapper", since=1, domain=ML)
def category_mapper(b, x, *, cats_strings=(), cats_int64s=(), default_string="_Unused", default_int64=-1):
    """Strings to integers or integers to strings, by one table."""
    _paired(" (cats_strings, cats_int64s)", cats_strings, cats_int64s)
    names, numbers = strings(cats_strings), np.array(cats_int64s, np.int64)
    if x.fact.dtype == dtypes.STRING:
        return b.emit(Lookup(names, numbers, default_int64), x)
    return b.emit(Lookup(numbers, names, default_string), x)


class OneHotCategories(Op, eq=False):
    """A last axis with 1 at the element's category. zeros: whether an element of no category is allowed."""

    categories: np.ndarray
    zeros: bool

    def shapes(self, x):
        if (x.dtype == dtypes.STRING) != (self.categories.dtype == dtypes.STRING):
            raise ModelError(f"the input is {x.type_name()}, the categories are "
                             f"tensor({dtypes.onnx_name(self.categories.dtype)})")
        return [[*x.dims, len(self.categories)]]

    def dtypes(self, x):
        return [dtypes.FLOAT]

    def python(self, x):
        if x.dtype.kind == "f":  # as onnxruntime does: fractions are cut, what is no integer has no category
            fits = (np.abs(x) < 2.0**63)
            whole = np.where(fits, x, 0).astype(np.int64)
            at = np.where(fits, positions(whole, self.categories), -1)
        else:
            at = positions(x, self.categories)
        if not self.zeros and (at < 0).any():
            first = int((at < 0).reshape(-1).argmax())
            raise KernelError(f"{show(x.reshape(-1)[first])} at position {first} is none of the "
                              f"{len(self.categories)} categories, and attribute 'zeros' is 0")
        return (at[..., None] == np.arange(len(self.categories))).astype(np.float32)


@onnx("OneHotEncoder", since=1, domain=ML)
def one_hot_encoder(b, x, *, cats_int64s=(), cats_strings=(), zeros=1):
    """ONNX ml OneHotEncoder."""
    content = _array(*_only("the categories", cats_int64s=cats_int64s, cats_strings=cats_strings))
    return b.emit(OneHotCategories(content, bool(zeros)), x)


class ArrayFeatureExtractor(Op):
    """Elements of the last axis, picked by indices; a vector counts as one row."""

    def shapes(self, x, indices):
        if x.shape is None:
            raise UnknownRank
        if x.rank < 1:
            raise ModelError("the input is a scalar; 1 or more dimensions are needed")
        n = Dim.unknown() if indices.shape is None else indices.size
        return [[*(x.dims[:-1] or [1]), n]]

    def python(self, x, indices):
        at, n = indices.reshape(-1), x.shape[-1]
        if at.size and not (0 <= int(at.min()) and int(at.max()) < n):
            where = int(((at < 0) | (at >= n)).argmax())
            raise KernelError(f"index {int(at[where])} at position {where} is outside 0 to {n - 1}")
        return x.reshape(*(x.shape[:-1] or [1]), n).take(at, -1)


@onnx("ArrayFeatureExtractor", since=1, domain=ML)
def array_feature_extractor(b, x, y):
    """ONNX ml ArrayFeatureExtractor."""
    return b.emit(ArrayFeatureExtractor(), x, y)


__all__ = ["ML", "ArrayFeatureExtractor", "Lookup", "OneHotCategories", "positions", "strings"]
