"""Seeded random inputs for a model, and the comparison of two sets of answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cynfer.ops.dtypes import BOOL, STRING, is_float
from cynfer.ops.errors import UnsupportedError, show
from cynfer.ops.fact import Fact
from cynfer.runtime.graph import Value

#: How far apart two answers may be, relative to the largest magnitude of the output; more for short types, by bytes.
TOLERANCE = 1e-3
SHORT = {1: 0.25, 2: 2**-6}


def random_feeds(inputs: Sequence[Value], seed: int = 0, size: int = 1) -> dict:
    """{name: array} for these inputs: normal floats, small integers; dimensions without a number get `size`."""
    rng = np.random.default_rng(seed)
    return {v.name: _random(v.fact, rng, size, v.name) for v in inputs}


def _random(fact: Fact, rng: np.random.Generator, size: int, name: str):
    if fact.kind == "sequence":
        return []
    if fact.kind == "optional":
        return None
    if fact.shape is None:
        raise UnsupportedError(f"input {show(name)} has no rank in the model: random inputs cannot be made")
    shape = [d if isinstance(d, int) else size for d in fact.shape]
    if fact.dtype == STRING:
        return np.full(shape, "a", dtype=object)
    if fact.dtype == BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if is_float(fact.dtype) or fact.dtype.kind == "c":
        return rng.standard_normal(shape).astype(fact.dtype)
    return rng.integers(0, 2, shape).astype(fact.dtype)


def differences(names: Sequence[str], got: Sequence, expected: Sequence, tolerance: float = TOLERANCE) -> Iterable[str]:
    """A sentence for each output whose type, shape or content differs by more than the tolerance."""
    for name, a, b in zip(names, got, expected, strict=True):
        if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            if len(a) != len(b):
                yield f"output {show(name)} has {len(a)} elements, {len(b)} are expected"
            else:
                yield from differences([f"{name}[{i}]" for i in range(len(a))], a, b, tolerance)
        elif not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
            if a is not b:
                yield f"output {show(name)} is {type(a).__name__}, {type(b).__name__} is expected"
        elif a.dtype != b.dtype or a.shape != b.shape:
            yield f"output {show(name)} is {a.dtype}{list(a.shape)}, {b.dtype}{list(b.shape)} is expected"
        else:
            error, allowed = _error(a, b), max(tolerance, SHORT.get(a.dtype.itemsize, 0.0))
            if not error <= allowed:
                yield f"output {show(name)} is off by {error:.3g} of its scale, {allowed} is allowed"


def _error(a: np.ndarray, b: np.ndarray) -> float:
    if not (is_float(a.dtype) or a.dtype.kind == "c"):
        return 0.0 if np.array_equal(a, b) else np.inf
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    a, b = a.astype(wide), b.astype(wide)
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return np.inf
    scale = np.abs(b[finite]).max(initial=0.0)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0) / (scale or 1.0))
