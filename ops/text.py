"""Operators on strings: StringConcat, StringSplit, StringNormalizer, RegexFullMatch."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.broadcast import broadcast
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.op import Op, onnx


def _strings(name: str, fact) -> None:
    if fact.dtype != dtypes.STRING:
        raise ModelError(f"{name} is {fact.type_name()}; strings are needed")


def _map(function, x: np.ndarray) -> np.ndarray:
    """function(string) of every element: text has no vectorised form."""
    y = np.empty(x.size, object)
    y[:] = [function(s) for s in x.reshape(-1)]
    return y.reshape(x.shape)


class StringConcat(Op):
    """x + y, broadcast."""

    def shapes(self, x, y):
        _strings("X", x)
        _strings("Y", y)
        return [broadcast(x.dims, y.dims)]

    def python(self, x, y):
        return np.asarray(np.add(x, y), object)


@onnx("StringConcat", since=20)
def string_concat(b, x, y):
    """ONNX StringConcat."""
    return b.emit(StringConcat(), x, y)


class StringSplit(Op):
    """The parts of every string along a new last axis, filled up with "", and how many there are.

    delimiter None or "": runs of white space. most: how often to split at most, from the left; None for no limit.
    """

    delimiter: str | None = None
    most: int | None = None
    n_outputs: ClassVar[int] = 2

    def shapes(self, x):
        _strings("X", x)
        return [[*x.dims, Dim.unknown()], x.dims]

    def dtypes(self, x):
        return [dtypes.STRING, dtypes.INT64]

    def python(self, x):
        parts = [s.split(self.delimiter or None, -1 if self.most is None else self.most) if self.delimiter or s.strip()
                 else [] for s in x.reshape(-1)]
        counts = np.array([len(p) for p in parts], np.int64)
        width = int(counts.max()) if counts.size else 0
        y = np.full((x.size, width), "", object)
        for i, p in enumerate(parts):
            y[i, : len(p)] = p
        return y.reshape(*x.shape, width), counts.reshape(x.shape)


@onnx("StringSplit", since=20)
def string_split(b, x, *, delimiter=None, maxsplit=None):
    """ONNX StringSplit."""
    if maxsplit is not None and maxsplit < 0:
        raise ModelError(f"maxsplit is {maxsplit}; at least 0 is needed")
    return b.emit(StringSplit(delimiter, maxsplit), x)


class StringNormalizer(Op):
    """Drops stop words, then changes the case; [C] or [1, C]. Nothing left makes one empty string."""

    case: str = "NONE"
    case_sensitive: bool = False
    stopwords: frozenset[str] = frozenset()

    def shapes(self, x):
        _strings("X", x)
        if x.rank not in (1, 2) or (x.rank == 2 and isinstance(x.dims[0], int) and x.dims[0] != 1):
            raise ModelError(f"the input has shape {list(x.dims)}; [C] or [1, C] is needed")
        return [[*x.dims[:-1], Dim.unknown() if self.stopwords else x.dims[-1]]]

    def python(self, x):
        words = list(x.reshape(-1))
        if self.stopwords:
            fold = str if self.case_sensitive else str.lower
            stop = {fold(w) for w in self.stopwords}
            words = [w for w in words if fold(w) not in stop] or [""]
        words = [w.lower() if self.case == "LOWER" else w.upper() if self.case == "UPPER" else w for w in words]
        y = np.empty(len(words), object)
        y[:] = words
        return y.reshape(*x.shape[:-1], len(words))


@onnx("StringNormalizer", since=10)
def string_normalizer(b, x, *, case_change_action="NONE", is_case_sensitive=0, locale="", stopwords=()):
    """ONNX StringNormalizer; case is changed by Unicode's rules, whatever the locale."""
    if case_change_action not in ("NONE", "LOWER", "UPPER"):
        raise ModelError(f"case_change_action is {case_change_action!r}; choose from NONE, LOWER, UPPER")
    return b.emit(StringNormalizer(case_change_action, bool(is_case_sensitive), frozenset(stopwords)), x)
