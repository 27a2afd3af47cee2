"""Det."""

from __future__ import annotations

from math import prod

import numpy as np

from cynfer.ops.broadcast import widen
from cynfer.ops.dtypes import DOUBLE
from cynfer.ops.errors import ModelError
from cynfer.ops.op import Op, onnx


class Det(Op):
    """Determinants of the matrices in the last two axes, by elimination with row pivots in double precision."""

    def shapes(self, x):
        if x.rank < 2 or (all(isinstance(d, int) for d in x.dims[-2:]) and x.dims[-1] != x.dims[-2]):
            raise ModelError(f"the input has shape {list(x.dims)}, square matrices are needed")
        return [x.dims[:-2]]

    def python(self, x):
        n = x.shape[-1]
        a = widen(x)[0].astype(DOUBLE).reshape(prod(x.shape[:-2]), n, n)
        det, every = np.ones(len(a)), np.arange(len(a))
        for k in range(n):
            pivot = k + np.abs(a[:, k:, k]).argmax(1)
            det = np.where(pivot != k, -det, det)
            top = a[every, pivot]
            a[every, pivot] = a[:, k]
            a[:, k] = top
            det *= top[:, k]
            scale = np.where(top[:, k] == 0, 1, top[:, k])  # a column of zeros has nothing to eliminate
            a[:, k + 1 :] -= (a[:, k + 1 :, k] / scale[:, None])[:, :, None] * top[:, None]
        return det.reshape(x.shape[:-2]).astype(x.dtype)


@onnx("Det", since=11)
def det(b, x):
    """ONNX Det, all versions."""
    return b.emit(Det(), x)
