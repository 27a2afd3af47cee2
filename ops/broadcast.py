"""Shapes that broadcast, and the element types that NumPy widens to compute in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cynfer.ops.dim import Dim, DimLike
from cynfer.ops.dtypes import FLOAT, STRING, is_float
from cynfer.ops.errors import ModelError


def broadcast(*shapes: Sequence[DimLike]) -> tuple[DimLike, ...]:
    """The shape that NumPy's rules give; raises ModelError where two numbers do not fit."""
    rank = max(map(len, shapes))
    result: list[DimLike] = [1] * rank
    for shape in shapes:
        for i, d in enumerate(shape, rank - len(shape)):
            result[i] = _merge(result[i], d, shapes)
    return tuple(result)


def _merge(a: DimLike, b: DimLike, shapes) -> DimLike:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, Dim):
        return Dim.unknown() if isinstance(b, Dim) else b
    if isinstance(b, Dim):
        return a
    raise ModelError("shapes " + " and ".join(str(list(s)) for s in shapes) + " do not broadcast")


def fits(shape: Sequence[DimLike], into: Sequence[DimLike], what: str) -> None:
    """Raises ModelError unless `shape` broadcasts to `into` without changing it."""
    pairs = zip(reversed(shape), reversed(into), strict=False)
    if len(shape) > len(into) or any(isinstance(s, int) and isinstance(d, int) and s not in (1, d) for s, d in pairs):
        raise ModelError(f"{what} has shape {list(shape)}, which does not broadcast to {list(into)}")


def length(fact, n: DimLike, what: str) -> None:
    """Raises ModelError unless a fact is a vector of n elements (as far as both are known)."""
    if fact.shape is not None and (fact.rank != 1 or (fact.known and not isinstance(n, Dim) and fact.dims[0] != n)):
        raise ModelError(f"{what} has shape {list(fact.dims)}, expected [{n}]")


def wide(dtype: np.dtype) -> np.dtype:
    """The type NumPy computes in: float32 for float16 and the small floats, int8 or uint8 for integers under 8 bits."""
    if is_float(dtype) and dtype.itemsize < 4:
        return FLOAT
    if dtype.kind == "V":
        return np.dtype(np.uint8 if dtype.name.startswith("u") else np.int8)
    return dtype


def widen(*arrays: np.ndarray | None):
    """The arrays in their wide types."""
    return tuple(a if a is None or a.dtype == STRING else a.astype(wide(a.dtype), copy=False) for a in arrays)


def single(*values: float) -> tuple[float, ...]:
    """Attribute values as ONNX keeps them: rounded to float32."""
    return tuple(float(np.float32(v)) for v in values)
