"""Scores to probabilities and labels, as the classifiers of ai.onnx.ml do it; LinearRegressor, LinearClassifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import UnknownRank
from cynfer.ops.ml_features import cast, node
from cynfer.ops.ml_labels import ML, strings
from cynfer.ops.op import Op, onnx

POST = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def check_post(name: str) -> str:
    """The name of a post_transform; raises ModelError for an unknown one."""
    if name not in POST:
        raise ModelError(f"post_transform is {name!r}; choose from {', '.join(POST)}")
    return name


def logistic(x):
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _probit(p):
    """The quantile of the normal distribution by the formula that the standard's runtimes share (2e-3 off)."""
    x = 2 * p - 1
    log = np.log((1 - x) * (1 + x))
    half = 2 / (np.pi * 0.147) + log / 2
    return np.sqrt(2) * np.sign(x) * np.sqrt(np.sqrt(half * half - log / 0.147) - half)


def post_transform(name: str, z: np.ndarray) -> np.ndarray:
    """Scores [rows, classes] after a post_transform."""
    if name == "LOGISTIC":
        return logistic(z)
    if name == "PROBIT":
        return _probit(z)
    if name in ("SOFTMAX", "SOFTMAX_ZERO") and z.shape[-1]:
        e = np.exp(z - z.max(-1, keepdims=True))
        if name == "SOFTMAX_ZERO":  # what is about 0 stays about 0
            e = np.where(np.abs(z) > 1e-7, e, z * np.exp(-z.max(-1, keepdims=True)))
        total = e.sum(-1, keepdims=True)
        return np.divide(e, total, out=np.full_like(e, 0.5), where=total != 0)
    return z


class PostTransform(Op):
    """Scores after a post_transform, row by row."""

    name: str

    def python(self, z):
        return post_transform(self.name, z.astype(np.float64)).astype(z.dtype)


@dataclass(frozen=True, eq=False)
class Labels:
    """The class names of a classifier: at most one of the two lists is given; without any, their numbers."""

    names: np.ndarray
    given: bool = True

    @staticmethod
    def of(ints, texts, count: int = 0) -> Labels:
        """From the attributes of a node; count: of the classes where neither is given."""
        if ints and texts:
            raise ModelError("labels are given as integers and as strings; one of them is allowed")
        if texts:
            return Labels(strings(texts))
        return Labels(np.array(ints or range(count), np.int64), bool(ints))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def pair(self) -> np.ndarray:
        """The names of no and yes, where one score decides."""
        if len(self) == 2:
            return self.names
        return strings(["0", "1"]) if self.names.dtype == dtypes.STRING else np.array([0, 1], np.int64)


class Classify(Op, eq=False):
    """Labels and final scores of rows of scores.

    post: a post_transform. two: whether a single score makes two columns. margin: whether it is a distance from the
    border (-s for the other class) or a probability (1 - s). above: the label is yes for a score above this.
    """

    labels: Labels
    post: str
    two: bool = False
    margin: bool = False
    above: float = 0.0
    n_outputs: ClassVar[int] = 2

    def shapes(self, scores):
        if scores.shape is None:
            raise UnknownRank
        if scores.rank != 2:
            raise ModelError(f"the scores have {scores.rank} dimensions; 2 are needed")
        n, columns = scores.dims
        if isinstance(columns, int) and columns > 1 and columns != len(self.labels):
            raise ModelError(f"there are {columns} scores for {len(self.labels)} classes")
        if isinstance(columns, Dim) and self.two:
            return [[n], [n, Dim.unknown()]]
        return [[n], [n, 2 if columns == 1 and self.two else columns]]

    def dtypes(self, scores):
        return [self.labels.names.dtype, dtypes.FLOAT]

    def python(self, scores):
        z = scores.astype(np.float64)
        if z.shape[1] != 1:
            best = z.argmax(1) if z.shape[1] else np.zeros(len(z), np.int64)
            return self.labels.names[best], post_transform(self.post, z).astype(np.float32)
        s = z[:, 0]
        names = self.labels.pair[(s > self.above).astype(np.int64)]
        if not self.two:
            z = post_transform(self.post, z)
        elif self.post == "LOGISTIC":
            z = logistic(np.stack([-s, s], 1))
        elif self.post == "PROBIT":
            z = _probit(np.stack([1 - s, s], 1))
        else:
            z = np.stack([-s if self.margin else 1 - s, s], 1)
        return names, z.astype(np.float32)


def _product(b, x, coefficients, rows: int, intercepts):
    if rows < 1 or len(coefficients) % rows:
        raise ModelError(f"{len(coefficients)} coefficients cannot be cut into {rows} rows")
    weight = np.ascontiguousarray(np.array(coefficients, np.float32).reshape(rows, -1).T)
    if x.fact.shape is not None and x.fact.rank != 2:
        raise ModelError(f"the input has {x.fact.rank} dimensions; 2 are needed")
    features = None if x.fact.shape is None else x.fact.dims[1]
    if isinstance(features, int) and features != len(weight):
        raise ModelError(f"the coefficients are for {len(weight)} features, the input has {features}")
    y = node(b, "MatMul", cast(b, x, dtypes.FLOAT), b.const(weight))
    if intercepts:
        if len(intercepts) != rows:
            raise ModelError(f"there are {len(intercepts)} intercepts; {rows} are needed")
        y = node(b, "Add", y, b.const(intercepts, dtypes.FLOAT))
    return y


@onnx("LinearRegressor", since=1, domain=ML)
def linear_regressor(b, x, *, coefficients=(), intercepts=(), post_transform="NONE", targets=1):
    """x times the coefficients [targets, features], plus the intercepts."""
    y = _product(b, x, coefficients, targets, intercepts)
    return y if check_post(post_transform) == "NONE" else b.emit(PostTransform(post_transform), y)


@onnx("LinearClassifier", since=1, domain=ML)
def linear_classifier(b, x, *, coefficients, classlabels_ints=(), classlabels_strings=(), intercepts=(),
                      multi_class=0, post_transform="NONE"):
    """The label of the largest score; one row of coefficients decides between two classes."""
    count = max(len(classlabels_ints), len(classlabels_strings))
    rows = len(intercepts) or count
    labels = Labels.of(classlabels_ints, classlabels_strings, rows)
    y = _product(b, x, coefficients, rows, intercepts)
    return b.emit(Classify(labels, check_post(post_transform), len(labels) == 2), y)


__all__ = ["Classify", "Labels", "PostTransform", "check_post", "logistic", "post_transform"]
