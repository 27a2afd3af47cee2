"""Softmax, LogSoftmax and Hardmax. A row with NaN or +Inf, or of -Inf alone, is all NaN."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from cynfer.ops.axes import axis_of
from cynfer.ops.broadcast import widen
from cynfer.ops.dtypes import prefix
from cynfer.ops.half import halves
from cynfer.ops.op import Call, In, Op, Out, onnx


@dataclass(frozen=True)
class Softmax(Op):
    """kind: "softmax", "log_softmax" or "hardmax". flat: over all axes from `axis` on together, as before opset 13."""

    kind: str
    axis: int
    flat: bool = False

    def shapes(self, x):
        axis_of(self.axis, x.rank)
        return [x.dims]

    def _rows(self, shape) -> tuple[int, int, int]:
        rank = len(shape)
        axis = self.axis + rank if self.axis < 0 else self.axis
        if self.flat:
            return prod(shape[:axis]), prod(shape[axis:]), 1
        return prod(shape[:axis]), shape[axis], prod(shape[axis + 1:])

    @halves
    def native(self, m, ins, outs):
        name = f"{prefix(ins[0].dtype)}_{self.kind}"
        return Call(name, (In(0), Out(0)), self._rows(ins[0].dims), work=8 * outs[0].size) \
            if name in m and outs[0].size else None

    def python(self, x):
        rows = widen(x)[0].reshape(self._rows(x.shape))
        if not x.size:
            return x
        if self.kind == "hardmax":
            y = np.zeros_like(rows)
            np.put_along_axis(y, np.argmax(rows, 1)[:, None], 1, 1)
            return y.reshape(x.shape).astype(x.dtype)
        y = rows - rows.max(1, keepdims=True)
        total = np.exp(y).sum(1, keepdims=True)
        y = np.exp(y) / total if self.kind == "softmax" else y - np.log(total)
        return y.reshape(x.shape).astype(x.dtype)

    @property
    def title(self):
        return self.kind


def _register(name: str, kind: str) -> None:
    onnx(name, since=1)(lambda b, x, *, axis=1: b.emit(Softmax(kind, axis, flat=True), x))
    onnx(name, since=13)(lambda b, x, *, axis=-1: b.emit(Softmax(kind, axis), x))


for _name, _kind in (("Softmax", "softmax"), ("LogSoftmax", "log_softmax"), ("Hardmax", "hardmax")):
    _register(_name, _kind)
