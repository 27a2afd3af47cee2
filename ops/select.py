"""Operators whose output depends on what is where: NonZero, TopK, Unique, NonMaxSuppression."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axis_of, ints_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.op import Call, In, Op, Out, onnx


class NonZero(Op):
    """The coordinates of the elements that are not zero, one column each, in row-major order."""

    def shapes(self, x):
        return [(x.rank, Dim.unknown())]

    def dtypes(self, x):
        return [dtypes.INT64]

    def python(self, x):
        truth = x != "" if x.dtype == object else x.astype(bool)
        if x.ndim == 0:
            return np.zeros((0, int(truth)), np.int64)
        return np.stack(np.nonzero(truth)).astype(np.int64, copy=False)


@onnx("NonZero", since=9)
def non_zero(b, x):
    """ONNX NonZero, all versions; of a scalar the result is [0, 1] or [0, 0]."""
    return b.emit(NonZero(), x)


class TopK(Op):
    """The k largest (or smallest) elements along an axis and their indices; NaN is the largest, ties in order."""

    axis: int = -1
    largest: bool = True
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)
    n_outputs: ClassVar[int] = 2

    def shapes(self, x, k):
        axis, dims = axis_of(self.axis, x.rank), list(x.dims)
        if k.known and k.size != 1:
            raise ModelError(f"k has {k.size} elements; 1 is needed")
        count = ints_of(k)
        dims[axis] = Dim.unknown() if count is None else self._checked(count[0], dims[axis])
        return [dims, dims]

    @staticmethod
    def _checked(k, size) -> int:
        if k < 0 or (isinstance(size, int) and k > size):
            raise ModelError(f"k is {k}, outside 0 to {size}")
        return k

    def dtypes(self, x, k):
        return [x.dtype, dtypes.INT64]

    def native(self, m, ins, outs):
        x, name = ins[0], f"{dtypes.prefix(ins[0].dtype)}_topk"
        if name not in m:
            return None
        axis = axis_of(self.axis, x.rank)
        n, k = x.dims[axis], outs[0].dims[axis]
        outer, inner = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1:])
        return Call(name, (In(0), Out(0), Out(1)), (outer, n, inner, k, int(self.largest)), scratch=16 * k,
                    work=2.0 * x.size * max(1, k.bit_length()))

    def python(self, x, k):
        axis = axis_of(self.axis, x.ndim)
        n = self._checked(int(k.reshape(-1)[0]), x.shape[axis])
        keys = x.astype(np.float32) if x.dtype.kind == "V" or x.dtype.name == "bfloat16" else x
        if self.largest:  # a stable order of the reversed axis, reversed, keeps ties in order
            last = x.shape[axis] - 1
            order = last - np.flip(np.argsort(np.flip(keys, axis), axis, kind="stable"), axis)
        else:
            order = np.argsort(keys, axis, kind="stable")
        order = order.take(np.arange(n), axis)
        return np.take_along_axis(x, order, axis), order.astype(np.int64, copy=False)


@onnx("TopK", since=1)
def top_k_1(b, x, *, k, axis=-1):
    """k as an attribute."""
    return b.emit(TopK(axis), x, b.const([k], dtypes.INT64))


@onnx("TopK", since=10)
def top_k(b, x, k, *, axis=-1, largest=1, sorted=1):
    """k as an input; largest and sorted from version 11. The result is sorted in any case."""
    return b.emit(TopK(axis, bool(largest)), x, k)


class Unique(Op):
    """The different elements (or slices along an axis), where each is first, which each is, and how often.

    in_order: sorted by value; otherwise in the order in which they first come. NaN equals itself.
    """

    axis: int | None = None
    in_order: bool = True
    n_outputs: ClassVar[int] = 4

    def shapes(self, x):
        count = Dim.unknown()
        if self.axis is None:
            return [[count], [count], [x.size], [count]]
        axis, dims = axis_of(self.axis, x.rank), list(x.dims)
        inverse, dims[axis] = dims[axis], count
        return [dims, [count], [inverse], [count]]

    def dtypes(self, x):
        return [x.dtype] + [dtypes.INT64] * 3

    def python(self, x):
        axis = None if self.axis is None else axis_of(self.axis, x.ndim)
        keys = x.astype(np.float32) if x.dtype.kind == "V" or x.dtype.name == "bfloat16" else x
        flat = np.unique(keys.reshape(-1), return_inverse=True)[1].reshape(x.shape)  # ranks order like the values
        if axis is not None:
            rows = x.shape[axis]
            flat = np.moveaxis(flat, axis, 0).reshape(rows, -1) if x.size else np.zeros((rows, 1), np.int64)
        else:
            flat = flat.reshape(-1)
        _, first, inverse, counts = np.unique(flat, True, True, True, axis=None if axis is None else 0)
        inverse = inverse.reshape(-1)
        if not self.in_order:
            order = np.argsort(first, kind="stable")
            place = np.empty_like(order)
            place[order] = np.arange(order.size)
            first, counts, inverse = first[order], counts[order], place[inverse]
        y = x.reshape(-1)[first] if axis is None else x.take(first, axis)
        return y, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


@onnx("Unique", since=11)
def unique(b, x, *, axis=None, sorted=1):
    """ONNX Unique, all versions."""
    return b.emit(Unique(axis, bool(sorted)), x)


class NonMaxSuppression(Op):
    """Boxes by falling score, less those that overlap a chosen one too much: rows of batch, class, box.

    Inputs: boxes, scores, then optional limits: boxes per class, overlap, lowest score. centered: boxes are
    x, y, width, height instead of two corners. A score of NaN is never chosen.
    """

    centered: bool = False

    def shapes(self, boxes, scores, *limits):
        for name, fact in (("boxes", boxes), ("scores", scores)):
            if fact.rank != 3:
                raise ModelError(f"{name} has {fact.rank} dimensions; 3 are needed")
        for name, a, c in (("the last dimension of boxes", boxes.dims[2], 4),
                           ("the batch of scores", scores.dims[0], boxes.dims[0]),
                           ("the last dimension of scores", scores.dims[2], boxes.dims[1])):
            if isinstance(a, int) and isinstance(c, int) and a != c:
                raise ModelError(f"{name} is {a}; {c} is needed")
        return [(Dim.unknown(), 3)]

    def dtypes(self, *ins):
        return [dtypes.INT64]

    def python(self, boxes, scores, most=None, overlap=None, lowest=None):
        most, overlap, lowest = (None if v is None or not v.size else v.reshape(-1)[0] for v in (most, overlap, lowest))
        most, overlap = 0 if most is None else int(most), 0.0 if overlap is None else float(overlap)
        chosen = [np.zeros((0, 3), np.int64)]
        corners = self._corners(boxes)
        for n in range(scores.shape[0] if most > 0 else 0):
            for c in range(scores.shape[1]):
                picked = self._pick(corners[n], scores[n, c], most, overlap, lowest)
                chosen.append(np.stack([np.full_like(picked, n), np.full_like(picked, c), picked], 1))
        return np.concatenate(chosen)

    def _corners(self, boxes):
        if self.centered:
            half = boxes[..., 2:] / 2
            return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)
        a, b = boxes[..., :2], boxes[..., 2:]
        return np.concatenate([np.minimum(a, b), np.maximum(a, b)], -1)

    @staticmethod
    def _pick(corners, scores, most, overlap, lowest):
        left = np.flatnonzero(~np.isnan(scores) if lowest is None else scores > lowest)
        left = left[np.argsort(-scores[left], kind="stable")]
        low, high = corners[:, :2], corners[:, 2:]
        area = (high - low).prod(-1)
        picked = []
        while left.size and len(picked) < most:
            best, left = left[0], left[1:]
            picked.append(best)
            inside = np.maximum(0, np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])).prod(-1)
            union = area[best] + area[left] - inside
            left = left[~((union > 0) & (inside > overlap * union))]
        return np.array(picked, np.int64)


@onnx("NonMaxSuppression", since=10)
def non_max_suppression(b, boxes, scores, most=None, overlap=None, lowest=None, *, center_point_box=0):
    """ONNX NonMaxSuppression, all versions."""
    if center_point_box not in (0, 1):
        raise ModelError(f"center_point_box is {center_point_box}; 0 or 1 is needed")
    return b.emit(NonMaxSuppression(bool(center_point_box)), boxes, scores, most, overlap, lowest)
