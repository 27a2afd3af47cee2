"""ai.onnx.ml operators on maps (Python dicts at run time): CastMap, DictVectorizer, ZipMap."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.cast import cast
from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact, UnknownRank
from cynfer.ops.ml_labels import ML, strings
from cynfer.ops.op import Op, onnx


def _map(fact: Fact) -> Fact:
    if fact.kind != "map":
        raise ModelError(f"the input is {fact.type_name()}; a map is needed")
    return fact


def _values(values, dtype: np.dtype) -> np.ndarray:
    return strings(values) if dtype == dtypes.STRING else np.array(values, dtype)


class CastMap(Op):
    """The values of a map as one row, in the order of their keys. size: keys are columns of so many; None: packed."""

    to: np.dtype
    size: int | None
    objects: ClassVar[bool] = True

    def shapes(self, x):
        _map(x)
        return [[1, Dim.unknown() if self.size is None else self.size]]

    def facts(self, x):
        return (Fact(self.to, tuple(self.shapes(x)[0])),)

    def python(self, x):
        keys = sorted(x)
        values = [x[k] for k in keys]
        row = cast(_values(values, dtypes.STRING if any(isinstance(v, str) for v in values) else dtypes.FLOAT), self.to)
        if self.size is None:
            return row.reshape(1, -1)
        y = np.full((1, self.size), "" if self.to == dtypes.STRING else 0, self.to)
        for k, v in zip(keys, row, strict=True):
            if not 0 <= k < self.size:
                raise KernelError(f"key {k} is outside 0 to {self.size - 1} (max_map)")
            y[0, k] = v
        return y


@onnx("CastMap", since=1, domain=ML)
def cast_map(b, x, *, cast_to="TO_FLOAT", map_form="DENSE", max_map=1):
    """map_form SPARSE: keys are columns, max_map of them."""
    kinds = {"TO_FLOAT": dtypes.FLOAT, "TO_STRING": dtypes.STRING, "TO_INT64": dtypes.INT64}
    if cast_to not in kinds:
        raise ModelError(f"cast_to is {cast_to!r}; choose from {', '.join(kinds)}")
    if map_form not in ("DENSE", "SPARSE"):
        raise ModelError(f"map_form is {map_form!r}; choose from DENSE, SPARSE")
    if map_form == "SPARSE" and max_map < 1:
        raise ModelError(f"max_map is {max_map}; 1 or more is needed")
    return b.emit(CastMap(kinds[cast_to], max_map if map_form == "SPARSE" else None), x)


class DictVectorizer(Op):
    """The values of a map as one row, in the order of a vocabulary; 0 or "" for what is not in the map."""

    vocabulary: tuple
    dtype: np.dtype
    objects: ClassVar[bool] = True

    def facts(self, x):
        if (_map(x).key == dtypes.STRING) != isinstance(self.vocabulary[0], str):
            raise ModelError(f"the input is {x.type_name()}, which the vocabulary does not fit")
        return (Fact(x.dtype, (1, len(self.vocabulary))),)

    def python(self, x):
        missing = "" if self.dtype == dtypes.STRING else 0
        return _values([x.get(k, missing) for k in self.vocabulary], self.dtype).reshape(1, -1)


@onnx("DictVectorizer", since=1, domain=ML)
def dict_vectorizer(b, x, *, int64_vocabulary=(), string_vocabulary=()):
    """One of the two vocabularies."""
    if bool(int64_vocabulary) == bool(string_vocabulary):
        raise ModelError("exactly one of int64_vocabulary and string_vocabulary is needed")
    return b.emit(DictVectorizer(tuple(int64_vocabulary or string_vocabulary), x.fact.dtype), x)


class ZipMap(Op):
    """Each row as a map from labels to its elements."""

    labels: tuple

    def facts(self, x):
        key = dtypes.STRING if isinstance(self.labels[0], str) else dtypes.INT64
        try:
            if x.rank not in (1, 2):
                raise ModelError(f"the input has {x.rank} dimensions; 1 or 2 are needed")
            if isinstance(x.dims[-1], int) and x.dims[-1] != len(self.labels):
                raise ModelError(f"there are {len(self.labels)} labels, the input has {x.dims[-1]} columns")
        except UnknownRank:
            pass
        return (Fact.sequence(Fact.map(key, x.dtype)),)

    def python(self, x):
        if x.shape[-1] != len(self.labels):
            raise KernelError(f"there are {len(self.labels)} labels, the input has {x.shape[-1]} columns")
        return [dict(zip(self.labels, row, strict=True)) for row in x.reshape(-1, x.shape[-1]).tolist()]


@onnx("ZipMap", since=1, domain=ML)
def zip_map(b, x, *, classlabels_int64s=(), classlabels_strings=()):
    """One of the two lists of labels."""
    if bool(classlabels_int64s) == bool(classlabels_strings):
        raise ModelError("exactly one of classlabels_int64s and classlabels_strings is needed")
    return b.emit(ZipMap(tuple(classlabels_int64s or classlabels_strings)), x)


__all__ = ["CastMap", "DictVectorizer", "ZipMap"]
