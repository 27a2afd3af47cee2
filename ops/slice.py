"""Slice, and the operators that repeat what is there: Expand and Tile."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axes_of, axis_of, ints_of, length_of, strides_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import UnknownRank
from cynfer.ops.move import blocks_of, copy_call, movable
from cynfer.ops.op import Op, onnx


class Slice(Op):
    """x from starts to ends by steps along axes, as Python slices count (inputs: x, starts, ends, axes, steps)."""

    shape_inputs: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    symbolic: ClassVar[bool] = True

    def shapes(self, x, starts, ends, axes=None, steps=None):
        dims = list(x.dims)
        lists = [None if f is None else f.ints() for f in (starts, ends, axes, steps)]
        if any(f is not None and v is None for f, v in zip((axes, steps), lists[2:], strict=True)) \
                or (axes is None and None in lists[:2] and isinstance(length_of(starts), Dim)):
            return [[Dim.unknown() for _ in dims]]
        if None in lists[:2]:
            for a in axes_of(range(length_of(starts)) if lists[2] is None else lists[2], x.rank):
                dims[a] = Dim.unknown()
            return [dims]
        for a, (start, end, step) in self.cuts(x.rank, *lists).items():
            dims[a] = _length(dims[a], start, end, step)
        return [dims]

    @staticmethod
    def cuts(rank, starts, ends, axes=None, steps=None) -> dict[int, tuple]:
        """{axis: (start, end, step)}; raises ModelError if the lists do not fit together."""
        if axes is None:
            axes = list(range(len(starts)))
        steps = [1] * len(starts) if steps is None else steps
        for name, values in (("ends", ends), ("axes", axes), ("steps", steps)):
            if len(values) != len(starts):
                raise ModelError(f"{name} has {len(values)} elements, starts has {len(starts)}")
        if 0 in steps:
            raise ModelError(f"steps {steps} has a 0; any other number is allowed")
        return dict(zip(axes_of(axes, rank), zip(starts, ends, steps, strict=True), strict=True))

    def _python_slices(self, shape, *lists) -> list[slice]:
        at = [slice(None)] * len(shape)
        for a, (start, end, step) in self.cuts(len(shape), *lists).items():
            first, stop, step = slice(start, end, step).indices(shape[a])
            step = max(-shape[a] - 1, min(step, shape[a] + 1))  # farther is the same, and fits NumPy's integers
            at[a] = slice(first, None if stop < 0 else stop, step)
        return at

    def native(self, m, ins, outs):
        x, y = ins[0], outs[0]
        lists = [None if f is None else ints_of(f) for f in ins[1:]]
        if not movable(m, x) or any(v is None and f is not None for v, f in zip(lists, ins[1:], strict=True)):
            return None
        item, shape, part = x.dtype.itemsize, list(x.stored_shape), y.stored_shape
        xs = strides_of(shape, item)
        strides, at = list(xs), 0
        for a, (start, end, step) in self.cuts(x.rank, *lists).items():
            block = x.layout.block if a == 1 and x.layout.block else 1
            first = slice(start, end, step).indices(x.dims[a])[0]
            at += first // block * xs[a]
            strides[a] = xs[a] * step if part[a] > 1 else 0
        return copy_call(item, part, strides, strides_of(part, item), at if 0 not in part else 0)

    def blocked(self, m, ins, outs):
        lists = [None if f is None else ints_of(f) for f in ins[1:]]
        channels = blocks_of(ins[0])
        if channels is None or blocks_of(outs[0]) is None or not movable(m, ins[0]) \
                or any(v is None and f is not None for v, f in zip(lists, ins[1:], strict=True)):
            return False
        start, end, step = self.cuts(4, *lists).get(1, (0, channels, 1))
        first, stop, step = slice(start, end, step).indices(channels)
        return step == 1 and first % 16 == 0 and (stop % 16 == 0 or stop == channels)

    def python(self, x, *rest):
        lists = [None if r is None else [int(v) for v in r.reshape(-1)] for r in rest]
        return x[tuple(self._python_slices(x.shape, *lists))]


def _length(dim, start, end, step):
    """Elements that a slice takes of an axis; unknown where that hangs on a name."""
    if isinstance(dim, Dim):
        whole = not isinstance(end, Dim) and step == 1 and start == 0 and end >= np.iinfo(np.int32).max
        return dim if whole or (step == 1 and start == 0 and end == dim) else Dim.unknown()
    if isinstance(start, Dim) or isinstance(end, Dim):
        return Dim.unknown()
    return len(range(*slice(start, end, step).indices(dim)))


@onnx("Slice", since=1)
def slice_1(b, x, *, starts, ends, axes=None):
    """Everything as attributes."""
    rest = [b.const(v, dtypes.INT64) for v in (starts, ends, axes) if v is not None]
    return b.emit(Slice(), x, *rest)


@onnx("Slice", since=10)
def slice_(b, x, starts, ends, axes=None, steps=None):
    """Everything as inputs."""
    rest = [starts, ends, axes, steps]
    while rest[-1] is None:
        rest.pop()
    return b.emit(Slice(), x, *rest)


class Expand(Op):
    """x repeated along axes of 1 to a shape given as a tensor, by ONNX's broadcasting."""

    shape_inputs: ClassVar[tuple[int, ...]] = (1,)
    symbolic: ClassVar[bool] = True

    def shapes(self, x, shape):
        target = shape.ints()
        if target is None:
            n = length_of(shape)
            if isinstance(n, Dim):
                raise UnknownRank
            return [[Dim.unknown() for _ in range(max(n, x.rank))]]
        rank = max(len(target), x.rank)
        pairs = zip([1] * (rank - x.rank) + list(x.dims), [1] * (rank - len(target)) + target, strict=True)
        return [[self._broadcast(d, t, x, target) for d, t in pairs]]

    @staticmethod
    def _broadcast(d, t, x, target):
        if isinstance(t, int) and t < 0:
            raise ModelError(f"shape {target} has a dimension below 0")
        if d == t or (isinstance(t, int) and t == 1):
            return d
        if isinstance(d, int) and d == 1:
            return t
        if isinstance(d, int) and isinstance(t, int):
            raise ModelError(f"shape {list(x.dims)} cannot be broadcast to {target}")
        return d if isinstance(d, int) else t if isinstance(t, int) else Dim.unknown()

    def native(self, m, ins, outs):
        x, y = ins[0], outs[0]
        if not movable(m, x):
            return None
        item = x.dtype.itemsize
        xs = [0] * (y.rank - x.rank) + [0 if d == 1 else s
                                        for d, s in zip(x.dims, strides_of(x.dims, item), strict=True)]
        return copy_call(item, y.dims, xs, strides_of(y.dims, item))

    def python(self, x, shape):
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(int(d) for d in shape.reshape(-1))))


@onnx("Expand", since=8)
def expand(b, x, shape):
    """ONNX Expand, all versions."""
    return b.emit(Expand(), x, shape)


class Tile(Op):
    """x repeated along each axis as often as the second input says."""

    shape_inputs: ClassVar[tuple[int, ...]] = (1,)
    symbolic: ClassVar[bool] = True

    def shapes(self, x, repeats):
        counts = repeats.ints()
        if counts is None:
            return [[Dim.unknown() for _ in x.dims]]
        if len(counts) != x.rank:
            raise ModelError(f"repeats {counts} has {len(counts)} elements, the input {x.rank} dimensions")
        if any(isinstance(c, int) and c < 0 for c in counts):
            raise ModelError(f"repeats {counts} has a number below 0")
        return [[d * c for d, c in zip(x.dims, counts, strict=True)]]

    def native(self, m, ins, outs):
        x, counts = ins[0], ints_of(ins[1])
        if not movable(m, x) or counts is None:
            return None
        item = x.dtype.itemsize
        xs, ys = strides_of(x.dims, item), strides_of(outs[0].dims, item)
        shape = [v for d, c in zip(x.dims, counts, strict=True) for v in (c, d)]
        return copy_call(item, shape, [v for s in xs for v in (0, s)],
                         [v for d, s in zip(x.dims, ys, strict=True) for v in (d * s, s)])

    def python(self, x, repeats):
        return np.tile(x, [int(c) for c in repeats.reshape(-1)])


@onnx("Tile", since=1)
def tile_1(b, x, tiles, axis):
    """One axis, given like the count as a tensor."""
    n, a = ints_of(tiles.fact), ints_of(axis.fact)
    if n is None or a is None:
        raise ModelError("tiles and axis must be constants")
    repeats = np.ones(x.fact.rank, np.int64)
    repeats[axis_of(a[0], x.fact.rank)] = n[0]
    return b.emit(Tile(), x, b.const(repeats))


@onnx("Tile", since=6)
def tile(b, x, repeats):
    """A count for every axis."""
    return b.emit(Tile(), x, repeats)
