"""Support vector machines: SVMRegressor, SVMClassifier, as libsvm (one vote per pair of classes) and liblinear do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import UnknownRank
from cynfer.ops.ml_labels import ML
from cynfer.ops.ml_scores import Labels, check_post, logistic, post_transform
from cynfer.ops.op import Op, onnx

KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
#: Products of features that are held at a time.
CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel function against support vectors [vectors, features]."""

    kind: str
    gamma: float
    coef0: float
    degree: float
    vectors: np.ndarray

    @staticmethod
    def of(kind: str, params, vectors, n: int) -> Kernel:
        """From the attributes of a node with n support vectors."""
        if kind not in KERNELS:
            raise ModelError(f"kernel_type is {kind!r}; choose from {', '.join(KERNELS)}")
        if len(params) not in (0, 3):
            raise ModelError(f"kernel_params has {len(params)} elements; 3 (gamma, coef0, degree) are needed")
        if n < 1 or not len(vectors) or len(vectors) % n:
            raise ModelError(f"support_vectors has {len(vectors)} elements, which cannot be cut into {n} vectors")
        gamma, coef0, degree = params or (0.0, 0.0, 0.0)
        return Kernel(kind, gamma, coef0, degree, np.array(vectors, np.float64).reshape(n, -1))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[rows, vectors] for x [rows, features] in float64."""
        y = np.empty((len(x), len(self.vectors)))
        step = max(1, CHUNK // self.vectors.size)
        for i in range(0, len(x), step):
            part = x[i: i + step, None, :]
            if self.kind == "RBF":
                y[i: i + step] = np.exp(-self.gamma * ((part - self.vectors) ** 2).sum(-1))
                continue
            y[i: i + step] = (part * self.vectors).sum(-1)
        if self.kind in ("POLY", "SIGMOID"):
            y = y * self.gamma + self.coef0
        return y ** self.degree if self.kind == "POLY" else np.tanh(y) if self.kind == "SIGMOID" else y


def _rows(x, features: int):
    """The number of rows of x; raises ModelError if it does not have these features."""
    if x.shape is None:
        raise UnknownRank
    if x.rank not in (1, 2):
        raise ModelError(f"the input has {x.rank} dimensions; 1 or 2 are needed")
    if isinstance(x.dims[-1], int) and x.dims[-1] != features:
        raise ModelError(f"the support vectors have {features} features, the input {x.dims[-1]}")
    return x.dims[0] if x.rank == 2 else 1


class SVMRegressor(Op, eq=False):
    """The weighted sum of kernels plus rho; one_class: its sign."""

    kernel: Kernel
    weights: np.ndarray
    rho: float
    one_class: bool
    post: str

    def shapes(self, x):
        return [[_rows(x, self.kernel.vectors.shape[1]), 1]]

    def dtypes(self, x):
        return [dtypes.FLOAT]

    def python(self, x):
        k = self.kernel(x.reshape(-1, x.shape[-1]).astype(np.float64))
        y = (k * self.weights).sum(1, keepdims=True) + self.rho
        y = np.where(y > 0, 1, -1) if self.one_class else post_transform(self.post, y)
        return y.astype(np.float32)


def _check_rho(rho, least: int) -> None:
    if len(rho) < least:
        raise ModelError(f"rho has {len(rho)} elements; {least} are needed")


@onnx("SVMRegressor", since=1, domain=ML)
def svm_regressor(b, x, *, coefficients=(), kernel_params=(), kernel_type="LINEAR", n_supports=0, one_class=0,
                  post_transform="NONE", rho=(), support_vectors=()):
    """Without support vectors the coefficients are those of a linear function."""
    _check_rho(rho, 1)
    if n_supports > 0:
        kernel = Kernel.of(kernel_type, kernel_params, support_vectors, n_supports)
        weights = np.array(coefficients)
    else:
        kernel, weights = Kernel.of("LINEAR", (), coefficients, 1), np.ones(1)
    if len(weights) != len(kernel.vectors):
        raise ModelError(f"there are {len(weights)} coefficients for {len(kernel.vectors)} support vectors")
    return b.emit(SVMRegressor(kernel, weights, rho[0], bool(one_class), check_post(post_transform)), x)


class SVMClassifier(Op, eq=False):
    """Labels and scores: of classes (linear, or with probabilities) or of pairs of classes.

    counts: support vectors of each class; empty for one linear function per class. prob: (A, B) of each pair.
    """

    kernel: Kernel
    counts: tuple[int, ...]
    weights: np.ndarray
    rho: np.ndarray
    prob: np.ndarray | None
    labels: Labels
    post: str
    n_outputs: ClassVar[int] = 2

    def shapes(self, x):
        n = _rows(x, self.kernel.vectors.shape[1])
        k = max(2, len(self.kernel.vectors)) if not self.counts else len(self.counts)
        pairs = k if not self.counts or self.prob is not None or k == 2 else k * (k - 1) // 2
        return [[n], [n, pairs]]

    def dtypes(self, x):
        return [self.labels.names.dtype, dtypes.FLOAT]

    def python(self, x):
        kernel = self.kernel(x.reshape(-1, x.shape[-1]).astype(np.float64))
        if self.counts:
            z = self._pairs(kernel)
            k = len(self.counts)
            votes = np.zeros((len(z), k))
            for at, (i, j) in enumerate(zip(*np.triu_indices(k, 1), strict=True)):
                votes[:, i] += z[:, at] > 0
                votes[:, j] += z[:, at] <= 0
            names = self.labels.names[votes.argmax(1)]
            if self.prob is not None:
                z = _couple(self._probabilities(z))
        else:
            z = kernel + self.rho[0]
            names = self.labels.pair[(z[:, 0] > 0).astype(int)] if z.shape[1] == 1 else self.labels.names[z.argmax(1)]
        if z.shape[1] == 1:
            z = np.stack([-z[:, 0], z[:, 0]], 1)
        return names, post_transform(self.post, z).astype(np.float32)

    def _pairs(self, kernel):
        """How far on the side of the first class each pair of classes puts each row."""
        ends = np.cumsum([0, *self.counts])
        z = []
        for at, (i, j) in enumerate(zip(*np.triu_indices(len(self.counts), 1), strict=True)):
            first, second = slice(ends[i], ends[i + 1]), slice(ends[j], ends[j + 1])
            z.append((kernel[:, first] * self.weights[j - 1, first]).sum(1)
                     + (kernel[:, second] * self.weights[i, second]).sum(1) + self.rho[at])
        return np.stack(z, 1)

    def _probabilities(self, z):
        """[rows, k, k]: how probable the first of two classes is."""
        k = len(self.counts)
        p = np.clip(1 - logistic(z * self.prob[0] + self.prob[1]), 1e-7, 1 - 1e-7)
        r = np.zeros((len(z), k, k))
        i, j = np.triu_indices(k, 1)
        r[:, i, j], r[:, j, i] = p, 1 - p
        return r


def _couple(r: np.ndarray) -> np.ndarray:
    """Probabilities of classes from those of pairs (Wu, Lin and Weng 2004, their second method)."""
    rows, k, _ = r.shape
    q = -r.transpose(0, 2, 1) * r
    diagonal = np.arange(k)
    q[:, diagonal, diagonal] = (r * r).sum(1)
    p = np.full((rows, k), 1 / k)
    active = np.arange(rows)
    for _ in range(max(100, k)):
        a, b = q[active], p[active]
        qp = (a * b[:, None, :]).sum(-1)
        pqp = (b * qp).sum(-1)
        going = np.abs(qp - pqp[:, None]).max(-1) >= 0.005 / k
        active, a, b, qp, pqp = active[going], a[going], b[going], qp[going], pqp[going]
        if not active.size:
            break
        for t in range(k):
            diff = (pqp - qp[:, t]) / a[:, t, t]
            b[:, t] += diff
            pqp = (pqp + diff * (diff * a[:, t, t] + 2 * qp[:, t])) / (1 + diff) ** 2
            b /= (1 + diff)[:, None]
            qp = (qp + diff[:, None] * a[:, t]) / (1 + diff)[:, None]
        p[active] = b
    return p


@onnx("SVMClassifier", since=1, domain=ML)
def svm_classifier(b, x, *, classlabels_ints=(), classlabels_strings=(), coefficients=(), kernel_params=(),
                   kernel_type="LINEAR", post_transform="NONE", prob_a=(), prob_b=(), rho=(), support_vectors=(),
                   vectors_per_class=()):
    """With prob_a and prob_b scores are probabilities; the label is that of most votes all the same."""
    check_post(post_transform)
    n = sum(vectors_per_class)
    labels = Labels.of(classlabels_ints, classlabels_strings, len(vectors_per_class))
    if not n:
        _check_rho(rho, 1)
        kernel = Kernel.of("LINEAR", (), coefficients, max(1, len(labels)))
        return b.emit(SVMClassifier(kernel, (), np.zeros(0), np.array(rho), None, labels, post_transform), x)
    k = len(vectors_per_class)
    if k < 2 or min(vectors_per_class) < 0 or len(labels) != k:
        raise ModelError(f"vectors_per_class is {list(vectors_per_class)} for {len(labels)} classes")
    pairs = k * (k - 1) // 2
    _check_rho(rho, pairs)
    if len(coefficients) != (k - 1) * n:
        raise ModelError(f"there are {len(coefficients)} coefficients; {(k - 1) * n} are needed")
    if len(prob_a) != len(prob_b) or len(prob_a) not in (0, pairs):
        raise ModelError(f"prob_a has {len(prob_a)} elements, prob_b {len(prob_b)}; both need {pairs}, or none")
    kernel = Kernel.of(kernel_type, kernel_params, support_vectors, n)
    return b.emit(SVMClassifier(kernel, tuple(vectors_per_class), np.array(coefficients).reshape(k - 1, n),
                                np.array(rho), np.array([prob_a, prob_b]) if prob_a else None, labels,
                                post_transform), x)


__all__ = ["Kernel", "SVMClassifier", "SVMRegressor"]
