"""Softmax, LogSoftmax and Hardmax. A row with NaN or +Inf, or of -Inf alone, is all NaN."""

from __future__ import annotations

from math import prod

import numpy as np

from cynfer.ops.axes import axis_of
from cynfer.ops.binary import Binary
from cynfer.ops.broadcast import widen
from cynfer.ops.dtypes import prefix
from cynfer.ops.elementwise import Unary
from cynfer.ops.half import HALVES, halves
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.reduce import Reduce

#: Rows up to this long are summed in bfloat16, as in the standard's test data; longer ones in float32.
SHORT = 16


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


def _whole(b, kind: str, x, axis: int):
    return b.emit(Softmax(kind, axis), x)


def _in_steps(b, kind: str, x, axis: int):
    """The standard's function body, each step rounded to the half type: what its test data are made by."""
    e = b.emit(Unary("exp"), b.emit(Binary("sub"), x, b.emit(Reduce("max", (axis,)), x)))
    shape = e.fact.shape
    short = shape is not None and isinstance(shape[axis], int) and shape[axis] <= SHORT
    total = b.emit(ShortSum(axis) if short and e.fact.dtype.name == "bfloat16" else Reduce("sum", (axis,)), e)
    return b.emit(Binary("div"), e, total)


class ShortSum(Op):
    """The sum of a few numbers along an axis, rounded after every addition; of many that would lose all accuracy."""

    axis: int

    def shapes(self, x):
        axis = axis_of(self.axis, x.rank)
        return [[1 if i == axis else d for i, d in enumerate(x.dims)]]

    def python(self, x):
        return np.add.reduce(x, self.axis, keepdims=True)


def _register(name: str, kind: str) -> None:
    onnx(name, since=1)(lambda b, x, *, axis=1: b.emit(Softmax(kind, axis, flat=True), x))
    onnx(name, since=13)(lambda b, x, *, axis=-1: (
        _in_steps if kind == "softmax" and x.fact.dtype.name in HALVES else _whole)(b, kind, x, axis))


for _name, _kind in (("Softmax", "softmax"), ("LogSoftmax", "log_softmax"), ("Hardmax", "hardmax")):
    _register(_name, _kind)
