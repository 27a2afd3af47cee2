"""Operators that move whole tensors: Transpose, Concat, Split, DepthToSpace; and what native movers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axis_of, ints_of, strides_of
from cynfer.ops.dim import Dim, is_known
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import Fact, UnknownRank
from cynfer.ops.op import Call, In, Op, Out, onnx

X, Y = In(0), Out(0)

#: What copy_nd and pad can take.
ITEMS = (1, 2, 4, 8, 16)
MAX_NDIM = 32


def movable(m, fact: Fact, kernel: str = "copy_nd") -> bool:
    """True if `kernel` can move elements of this type."""
    return kernel in m and fact.dtype != dtypes.STRING and fact.dtype.itemsize in ITEMS


def copy_call(item: int, shape: Sequence[int], xs: Sequence[int], ys: Sequence[int], x_at: int = 0, y_at: int = 0,
              source: In = X, target: Out = Y) -> Call | None:
    """One copy_nd: `shape` elements from strides xs to strides ys (in bytes); None for more axes than it takes."""
    kept = [i for i, d in enumerate(shape) if d != 1]
    if len(kept) > MAX_NDIM:
        return None
    size = int(np.prod([shape[i] for i in kept], dtype=object))
    n = (item, len(kept), *(shape[i] for i in kept), *(xs[i] for i in kept), *(ys[i] for i in kept), x_at, y_at)
    return Call("copy_nd", (source, target), n, work=size * item / 16)


def blocks_of(fact: Fact) -> int | None:
    """The channels of a 4-D tensor of a type that may be blocked, else None."""
    if fact.shape is None or len(fact.shape) != 4 or fact.dtype not in (dtypes.FLOAT, dtypes.DOUBLE):
        return None
    channels = fact.shape[1]
    return channels if isinstance(channels, int) else None


class Transpose(Op):
    """Axes in another order; perm None: reversed."""

    perm: tuple[int, ...] | None = None
    symbolic: ClassVar[bool] = True

    def shapes(self, x):
        return [[x.dims[a] for a in self.order(x.rank)]]

    def order(self, rank: int) -> tuple[int, ...]:
        """perm as it applies to this rank."""
        if self.perm is None:
            return tuple(range(rank))[::-1]
        if sorted(self.perm) != list(range(rank)):
            raise ModelError(f"perm {list(self.perm)} is not an order of the axes 0 to {rank - 1}")
        return self.perm

    def is_noop(self, ins, outs):
        return self.perm is not None and self.perm == tuple(range(len(self.perm)))

    def native(self, m, ins, outs):
        x, y = ins[0], outs[0]
        if not movable(m, x):
            return None
        item, xs = x.dtype.itemsize, strides_of(x.dims, x.dtype.itemsize)
        return copy_call(item, y.dims, [xs[a] for a in self.order(x.rank)], strides_of(y.dims, item))

    def python(self, x):
        return x.transpose(self.order(x.ndim))


@onnx("Transpose", since=1)
def transpose(b, x, *, perm=None):
    """ONNX Transpose, all versions."""
    return b.emit(Transpose(None if perm is None else tuple(perm)), x)


class Concat(Op):
    """Tensors one after the other along an axis."""

    axis: int
    symbolic: ClassVar[bool] = True

    def shapes(self, *xs):
        known = [x for x in xs if x.shape is not None]
        if not known:
            raise UnknownRank
        rank = known[0].rank
        for i, x in enumerate(xs):
            if x.dtype != xs[0].dtype:
                raise ModelError(f"input {i} is {x.dtype}, input 0 is {xs[0].dtype}")
            if x.shape is not None and x.rank != rank:
                raise ModelError(f"input {i} has {x.rank} dimensions, another has {rank}")
        axis = axis_of(self.axis, rank)
        dims = []
        for a in range(rank):
            sizes = [x.dims[a] for x in known]
            if a == axis:
                dims.append(sum(sizes) if len(known) == len(xs) else Dim.unknown())
                continue
            numbers = [d for d in sizes if not isinstance(d, Dim)]
            if len(set(numbers)) > 1:
                raise ModelError(f"axis {a} differs: shapes {', '.join(str(list(x.dims)) for x in known[:8])}")
            dims.append(numbers[0] if numbers else sizes[0])
        return [dims]

    def native(self, m, ins, outs):
        if not movable(m, ins[0]):
            return None
        item, shape = ins[0].dtype.itemsize, outs[0].stored_shape
        axis, ys = axis_of(self.axis, outs[0].rank), strides_of(shape, item)
        calls, at = [], 0
        for i, x in enumerate(ins):
            part = x.stored_shape
            calls.append(copy_call(item, part, strides_of(part, item), ys, 0, at * ys[axis], In(i)))
            at += part[axis]
        return None if None in calls else calls

    def blocked(self, m, ins, outs):
        channels = [blocks_of(x) for x in (*ins, *outs)]
        if None in channels or not movable(m, ins[0]):
            return False
        return axis_of(self.axis, 4) != 1 or all(c % 16 == 0 for c in channels[:-2])

    def python(self, *xs):
        return np.concatenate(xs, self.axis)


@onnx("Concat", since=1)
def concat_1(b, *xs, axis=1):
    """axis has a default."""
    return concat(b, *xs, axis=axis)


@onnx("Concat", since=4)
def concat(b, *xs, axis):
    """axis is required."""
    if not xs:
        raise ModelError("0 inputs; at least 1 is needed")
    if any(x is None for x in xs):
        raise ModelError(f"input {xs.index(None)} is absent")
    return b.emit(Concat(axis), *xs)


class Split(Op):
    """Parts of x along an axis; the second input gives their sizes, without it they are equal.

    uneven: where the size does not divide, the last part is smaller.
    """

    axis: int
    parts: int
    uneven: bool = False
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)

    @property
    def n_outputs(self):
        return self.parts

    def shapes(self, x, split=None):
        axis = axis_of(self.axis, x.rank)
        sizes = self._sizes(x.dims[axis], split)
        return [[*x.dims[:axis], s, *x.dims[axis + 1:]] for s in sizes]

    def _sizes(self, total, split):
        if split is not None:
            sizes = ints_of(split)
            if sizes is None:
                return [Dim.unknown() for _ in range(self.parts)]
            if len(sizes) != self.parts:
                raise ModelError(f"split {sizes} names {len(sizes)} parts, there are {self.parts} outputs")
            if min(sizes) < 0:
                raise ModelError(f"split {sizes} has a size below 0")
            if not isinstance(total, Dim) and sum(sizes) != total:
                raise ModelError(f"split {sizes} sums to {sum(sizes)}, the axis has {total}")
            return sizes
        if isinstance(total, Dim):
            exact = [total // self.parts] * self.parts
            return exact if sum(exact) == total else [Dim.unknown() for _ in range(self.parts)]
        if not self.uneven:
            if total % self.parts:
                raise ModelError(f"an axis of {total} does not divide into {self.parts} equal parts")
            return [total // self.parts] * self.parts
        size = -(-total // self.parts)
        last = total - size * (self.parts - 1)
        if last < 0:
            raise ModelError(f"an axis of {total} does not divide into {self.parts} parts of {size} and a smaller last")
        return [size] * (self.parts - 1) + [last]

    def native(self, m, ins, outs):
        x = ins[0]
        if not movable(m, x):
            return None
        item, shape = x.dtype.itemsize, x.stored_shape
        axis, xs = axis_of(self.axis, x.rank), strides_of(shape, item)
        calls, at = [], 0
        for i, y in enumerate(outs):
            part = y.stored_shape
            calls.append(copy_call(item, part, xs, strides_of(part, item), at * xs[axis], 0, In(0), Out(i)))
            at += part[axis]
        return None if None in calls else calls

    def blocked(self, m, ins, outs):
        channels = [blocks_of(x) for x in (ins[0], *outs)]
        if None in channels or not movable(m, ins[0]):
            return False
        return axis_of(self.axis, 4) != 1 or all(c % 16 == 0 for c in channels[1:-1])

    def python(self, x, split=None):
        axis = axis_of(self.axis, x.ndim)
        sizes = self._sizes(x.shape[axis], None if split is None else Fact.of(split))
        return tuple(np.split(x, np.cumsum(sizes[:-1]), axis))


@onnx("Split", since=1)
def split_1(b, x, sizes=None, *, axis=0, split=None, n_outputs=1):
    """Sizes as an attribute; version 1 alone has an input for them, too."""
    if sizes is None and split is not None:
        sizes = b.const(split, dtypes.INT64)
    return b.emit(Split(axis, n_outputs), x, *([] if sizes is None else [sizes]))


@onnx("Split", since=13)
def split_13(b, x, split=None, *, axis=0, n_outputs=1):
    """Sizes as an input."""
    return b.emit(Split(axis, n_outputs), x, *([] if split is None else [split]))


@onnx("Split", since=18)
def split_18(b, x, split=None, *, axis=0, num_outputs=None, n_outputs=1):
    """num_outputs parts, the last one smaller where the size does not divide."""
    if num_outputs is not None:
        if num_outputs < 1:
            raise ModelError(f"num_outputs is {num_outputs}; at least 1 is needed")
        if split is not None:
            raise ModelError("both split and num_outputs are given; one is allowed")
        if num_outputs != n_outputs:
            raise ModelError(f"num_outputs is {num_outputs}, the node has {n_outputs} outputs")
    return b.emit(Split(axis, n_outputs, True), x, *([] if split is None else [split]))


class _Squares(Op):
    """Blocks of channels and squares of pixels; crd: channels are ordered channel first, then row, column."""

    block: int
    crd: bool = False

    def native(self, m, ins, outs):
        return _regroup(m, ins[0], outs[0], self._split(ins[0].dims), self._order)

    def _image(self, x):
        if x.rank != 4:
            raise ModelError(f"the input has {x.rank} dimensions; 4 are needed")
        if self.block < 1:
            raise ModelError(f"blocksize is {self.block}; at least 1 is needed")
        return x.dims


class DepthToSpace(_Squares):
    """Blocks of channels become squares of pixels."""

    def shapes(self, x):
        n, c, h, w = self._image(x)
        s = self.block * self.block
        if not isinstance(c, Dim) and c % s:
            raise ModelError(f"{c} channels do not divide by blocksize² = {s}")
        return [(n, c // s, h * self.block, w * self.block)]

    def _split(self, dims):
        n, c, h, w = dims
        b, k = self.block, c // self.block ** 2
        return (n, k, b, b, h, w) if self.crd else (n, b, b, k, h, w)

    @property
    def _order(self):
        return (0, 1, 4, 2, 5, 3) if self.crd else (0, 3, 4, 1, 5, 2)

    def python(self, x):
        n, c, h, w = x.shape
        b = self.block
        return x.reshape(self._split(x.shape)).transpose(self._order).reshape(n, c // b ** 2, h * b, w * b)


class SpaceToDepth(_Squares):
    """The reverse of DepthToSpace."""

    def shapes(self, x):
        n, c, h, w = self._image(x)
        for d in (h, w):
            if not isinstance(d, Dim) and d % self.block:
                raise ModelError(f"an image of {h} x {w} does not divide by blocksize {self.block}")
        return [(n, c * self.block * self.block, h // self.block, w // self.block)]

    def _split(self, dims):
        n, c, h, w = dims
        return n, c, h // self.block, self.block, w // self.block, self.block

    @property
    def _order(self):
        return (0, 1, 3, 5, 2, 4) if self.crd else (0, 3, 5, 1, 2, 4)

    def python(self, x):
        n, c, h, w = x.shape
        b = self.block
        return x.reshape(self._split(x.shape)).transpose(self._order).reshape(n, c * b * b, h // b, w // b)


def _regroup(m, x, y, split, order) -> Call | None:
    if not movable(m, x) or not is_known(split):
        return None
    item = x.dtype.itemsize
    xs, shape = strides_of(split, item), [split[a] for a in order]
    return copy_call(item, shape, [xs[a] for a in order], strides_of(shape, item))


def _crd(mode: str) -> bool:
    if mode not in ("DCR", "CRD"):
        raise ModelError(f"mode is {mode!r}; DCR or CRD is needed")
    return mode == "CRD"


@onnx("DepthToSpace", since=1)
def depth_to_space(b, x, *, blocksize, mode="DCR"):
    """mode from version 11."""
    return b.emit(DepthToSpace(blocksize, _crd(mode)), x)


@onnx("SpaceToDepth", since=1)
def space_to_depth(b, x, *, blocksize, mode="DCR"):
    """mode from version 28."""
    return b.emit(SpaceToDepth(blocksize, _crd(mode)), x)
