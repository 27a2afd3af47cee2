"""Operators that arrange elements by a rule: Compress, ReverseSequence, Trilu, OneHot."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops.axes import axis_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.op import Op, onnx


class Compress(Op):
    """The slices along an axis (or the elements of the flat tensor) whose condition is true."""

    axis: int | None = None

    def shapes(self, x, condition):
        if condition.rank != 1:
            raise ModelError(f"condition has {condition.rank} dimensions; 1 is needed")
        if self.axis is None:
            return [[Dim.unknown()]]
        dims = list(x.dims)
        axis = axis_of(self.axis, x.rank)
        have, got = dims[axis], condition.dims[0]
        if isinstance(have, int) and isinstance(got, int) and got > have:
            raise ModelError(f"condition has {got} elements, axis {axis} only {have}")
        content = condition.constant
        dims[axis] = Dim.unknown() if content is None else int(np.count_nonzero(content))
        return [dims]

    def python(self, x, condition):
        if self.axis is None and condition.size > x.size:
            raise KernelError(f"condition has {condition.size} elements, the input only {x.size}")
        return np.compress(condition, x, self.axis)


@onnx("Compress", since=9)
def compress(b, x, condition, *, axis=None):
    """ONNX Compress, all versions."""
    return b.emit(Compress(axis), x, condition)


class ReverseSequence(Op):
    """The first elements of every sequence of a batch reversed, as many as the second input says."""

    batch_axis: int = 1
    time_axis: int = 0

    def shapes(self, x, lengths):
        for name, axis in (("batch_axis", self.batch_axis), ("time_axis", self.time_axis)):
            if axis not in (0, 1):
                raise ModelError(f"{name} is {axis}; 0 or 1 is needed")
        if self.batch_axis == self.time_axis:
            raise ModelError(f"batch_axis and time_axis are both {self.time_axis}")
        if x.rank < 2:
            raise ModelError(f"the input has {x.rank} dimensions; at least 2 are needed")
        if lengths.rank != 1:
            raise ModelError(f"sequence_lens has {lengths.rank} dimensions; 1 is needed")
        batch, n = x.dims[self.batch_axis], lengths.dims[0]
        if isinstance(batch, int) and isinstance(n, int) and batch != n:
            raise ModelError(f"sequence_lens has {n} elements, the batch {batch}")
        return [x.dims]

    def python(self, x, lengths):
        steps = x.shape[self.time_axis]
        bad = (lengths < 0) | (lengths > steps)
        if bad.any():
            i = int(bad.argmax())
            raise KernelError(f"sequence length {int(lengths[i])} at position {i} is outside 0 to {steps}")
        t, n = np.arange(steps)[:, None], lengths[None]
        at = np.where(t < n, n - 1 - t, t)  # [time, batch]
        batch = np.arange(x.shape[self.batch_axis])[None]
        return x[at, batch] if self.time_axis == 0 else x[batch.T, at.T]


@onnx("ReverseSequence", since=10)
def reverse_sequence(b, x, lengths, *, batch_axis=1, time_axis=0):
    """ONNX ReverseSequence, all versions."""
    return b.emit(ReverseSequence(batch_axis, time_axis), x, lengths)


class Trilu(Op):
    """The upper or lower triangle of every matrix, zeros elsewhere; the second input moves the diagonal."""

    upper: bool = True

    def shapes(self, x, k=None):
        if x.rank < 2:
            raise ModelError(f"the input has {x.rank} dimensions; at least 2 are needed")
        if k is not None and k.known and k.size != 1:
            raise ModelError(f"k has {k.size} elements; 1 is needed")
        return [x.dims]

    def python(self, x, k=None):
        rows, cols = x.shape[-2:]
        k = 0 if k is None else min(max(int(k.reshape(-1)[0]), -rows - 1), cols + 1)
        above = np.arange(cols) - np.arange(rows)[:, None]
        return np.where(above >= k if self.upper else above <= k, x, x.dtype.type(0))


@onnx("Trilu", since=14)
def trilu(b, x, k=None, *, upper=1):
    """ONNX Trilu."""
    return b.emit(Trilu(bool(upper)), x, *([] if k is None else [k]))


class OneHot(Op):
    """A new axis of `depth` elements: one value at the index, another elsewhere (inputs: indices, depth, values).

    An index outside -depth to depth - 1 gives no place at all.
    """

    axis: int = -1
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)

    def shapes(self, indices, depth, values):
        axis = axis_of(self.axis, indices.rank + 1)
        if values.known and values.size != 2:
            raise ModelError(f"values has {values.size} elements; 2 are needed (off, on)")
        if depth.known and depth.size != 1:
            raise ModelError(f"depth has {depth.size} elements; 1 is needed")
        content = depth.constant
        n = Dim.unknown() if content is None else self._depth(content)
        return [[*indices.dims[:axis], n, *indices.dims[axis:]]]

    @staticmethod
    def _depth(content) -> int:
        value = float(content.reshape(-1)[0])
        if not 1 <= value < 2 ** 63:
            raise ModelError(f"depth is {value:g}; at least 1 is needed")
        return int(content.reshape(-1)[0])

    def dtypes(self, indices, depth, values):
        return [values.dtype]

    def python(self, indices, depth, values):
        n, axis = self._depth(depth), axis_of(self.axis, indices.ndim + 1)
        inside = (indices >= -n) & (indices < n)
        at = np.where(inside, indices, 0).astype(np.int64)
        y = np.empty((*indices.shape[:axis], n, *indices.shape[axis:]), values.dtype)
        y[...] = values[0]
        picked = np.where(inside, values[1], values[0])
        np.put_along_axis(y, np.expand_dims(at % n, axis), np.expand_dims(picked, axis).astype(values.dtype), axis)
        return y


@onnx("OneHot", since=9)
def one_hot(b, indices, depth, values, *, axis=-1):
    """ONNX OneHot, all versions; negative indices (from version 11) count from the end in all."""
    return b.emit(OneHot(axis), indices, depth, values)


