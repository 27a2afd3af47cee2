"""Pad and CenterCropPad."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axes_of, ints_of, strides_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.move import MAX_NDIM, blocks_of, copy_call, movable
from cynfer.ops.op import Call, In, Op, Out, onnx

MODES = ("constant", "reflect", "edge", "wrap")
#: Output dimensions up to this sum get index tables; larger constant pads are a fill and a copy.
TABLE = 1 << 20


def index_table(size: int, before: int, after: int, mode: str) -> np.ndarray:
    """For each index of a padded axis the index it reads, -1 for the constant. Negative pads cut off first."""
    low, high = max(0, -before), size - max(0, -after)
    n = high - low
    at = np.arange(size + before + after, dtype=np.int64) - max(0, before)
    if mode == "constant":
        return np.where((at >= 0) & (at < n), at + low, -1)
    if mode == "edge":
        at = at.clip(0, n - 1)
    elif mode == "wrap":
        at %= n
    elif n == 1:
        at[:] = 0
    else:
        at %= 2 * (n - 1)
        at = np.minimum(at, 2 * (n - 1) - at)
    return at + low


class Pad(Op):
    """x with elements before and after along axes; inputs x, pads (befores, then afters), value, axes."""

    mode: str = "constant"
    shape_inputs: ClassVar[tuple[int, ...]] = (1, 3)

    def shapes(self, x, pads, value=None, axes=None):
        if self.mode not in MODES:
            raise ModelError(f"mode is {self.mode!r}; choose from {', '.join(MODES)}")
        amounts, named = ints_of(pads), None if axes is None else ints_of(axes)
        if amounts is None or (axes is not None and named is None):
            return [[Dim.unknown() for _ in x.dims]]
        dims = []
        for a, (d, (before, after)) in enumerate(zip(x.dims, self.widths(x.rank, amounts, named), strict=True)):
            dims.append(d + before + after)
            if isinstance(d, Dim):
                continue
            cut = max(0, -before) + max(0, -after)
            if dims[a] < 0 or cut > d:
                raise ModelError(f"pads {before} and {after} cut more than the {d} elements of axis {a}")
            if self.mode != "constant" and cut == d and dims[a]:
                raise ModelError(f"axis {a} has no element that mode {self.mode} could repeat")
        return [dims]

    @staticmethod
    def widths(rank: int, pads: list[int], axes: list[int] | None) -> list[tuple[int, int]]:
        """(before, after) for each axis."""
        named = range(rank) if axes is None else axes_of(axes, rank)
        if len(pads) != 2 * len(named):
            raise ModelError(f"pads has {len(pads)} elements; {2 * len(named)} are needed for {len(named)} axes")
        widths = [(0, 0)] * rank
        for i, a in enumerate(named):
            widths[a] = (pads[i], pads[len(named) + i])
        return widths

    def _widths(self, ins):
        x, pads, axes = ins[0], ints_of(ins[1]), ins[3] if len(ins) > 3 else None
        named = None if axes is None else ints_of(axes)
        return None if pads is None or (axes is not None and named is None) else self.widths(x.rank, pads, named)

    def native(self, m, ins, outs):
        x, y, widths = ins[0], outs[0], self._widths(ins)
        if widths is None or not movable(m, x, "pad") or not movable(m, x, "fill"):
            return None
        if 0 in y.dims:
            return []
        if not any(map(any, widths)):
            return Call("copy_bytes", (In(0), Out(0)), (x.nbytes,), work=x.nbytes / 16)
        value = In(2) if len(ins) > 2 and ins[2] is not None else np.zeros(1, x.dtype)
        item, shape, target = x.dtype.itemsize, list(x.stored_shape), list(y.stored_shape)
        if x.layout.block:
            known = None if isinstance(value, np.ndarray) else ins[2].constant
            content = value if known is None else known
            value = np.full(x.layout.block, content.reshape(-1)[0], x.dtype)
            item *= x.layout.block
            shape.pop()
            target.pop()
        if self.mode == "constant" and min(min(w) for w in widths) >= 0 and sum(target) > TABLE:
            ys = strides_of(target, item)
            inside = copy_call(item, shape, strides_of(shape, item), ys, 0,
                               sum(w[0] * s for w, s in zip(widths, ys, strict=True)))
            size = int(np.prod(target, dtype=object))
            return None if inside is None else [Call("fill", (value, Out(0)), (item, size), work=size / 8), inside]
        if (sum(target) > TABLE and not x.layout.block) or x.rank > MAX_NDIM:
            return None
        tables = [index_table(d, *w, self.mode) for d, w in zip(shape, widths, strict=True)]
        return Call("pad", (In(0), Out(0), value, np.concatenate(tables)), (item, len(shape), *shape, *target),
                    work=y.nbytes / 16)

    def blocked(self, m, ins, outs):
        channels = blocks_of(ins[0])
        if channels is None or ins[0].dtype != dtypes.FLOAT or not movable(m, ins[0], "pad"):
            return False
        widths, value = self._widths(ins), ins[2] if len(ins) > 2 else None
        if widths is None or widths[1] != (0, 0) or (value is not None and value.constant is None):
            return False
        finite = value is None or bool(np.isfinite(value.constant).all())
        return finite or channels % 16 == 0  # what lies past the last channel stays finite

    def python(self, x, pads, value=None, axes=None):
        widths = self.widths(x.ndim, *(None if v is None else [int(i) for i in v.reshape(-1)] for v in (pads, axes)))
        if self.mode != "constant" and all(d + b + a for d, (b, a) in zip(x.shape, widths, strict=True)):
            for a, (d, w) in enumerate(zip(x.shape, widths, strict=True)):
                x = x if w == (0, 0) else x.take(index_table(d, *w, self.mode), a)
            return x
        fill = ("" if x.dtype == object else 0) if value is None else value.reshape(-1)[0]
        y = np.empty([d + b + a for d, (b, a) in zip(x.shape, widths, strict=True)], x.dtype)
        y[...] = fill
        inside = [slice(max(0, b), max(0, b) + d + min(0, b) + min(0, a))
                  for d, (b, a) in zip(x.shape, widths, strict=True)]
        cut = [slice(max(0, -b), d - max(0, -a)) for d, (b, a) in zip(x.shape, widths, strict=True)]
        y[tuple(inside)] = x[tuple(cut)]
        return y


def _pad_by_attributes(b, x, pads, mode, value):
    if mode == "constant" and value:
        return b.emit(Pad(mode), x, b.const(pads, dtypes.INT64), b.const([value], x.fact.dtype))
    return b.emit(Pad(mode), x, b.const(pads, dtypes.INT64))


@onnx("Pad", since=1)
def pad_1(b, x, *, paddings, mode="constant", value=0.0):
    """Everything as attributes, under the first name."""
    return _pad_by_attributes(b, x, paddings, mode, value)


@onnx("Pad", since=2)
def pad_2(b, x, *, pads, mode="constant", value=0.0):
    """Everything as attributes."""
    return _pad_by_attributes(b, x, pads, mode, value)


@onnx("Pad", since=11)
def pad(b, x, pads, constant_value=None, axes=None, *, mode="constant"):
    """Pads and value as inputs; axes from version 18, mode wrap from 19."""
    rest = [pads, constant_value, axes]
    while rest[-1] is None:
        rest.pop()
    return b.emit(Pad(mode), x, *rest)


class CenterCropPad(Op):
    """x cut or padded with zeros around its middle, to sizes given as a tensor, along some axes."""

    axes: tuple[int, ...] | None = None
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)

    def shapes(self, x, shape):
        dims, target = list(x.dims), ints_of(shape)
        axes = self._axes(x.rank)
        if target is not None and len(target) != len(axes):
            raise ModelError(f"shape {target} has {len(target)} elements; {len(axes)} are needed")
        for i, a in enumerate(axes):
            dims[a] = Dim.unknown() if target is None else target[i]
            if target is not None and target[i] < 0:
                raise ModelError(f"shape {target} has a dimension below 0")
        return [dims]

    def _axes(self, rank):
        return tuple(range(rank)) if self.axes is None else axes_of(self.axes, rank)

    @staticmethod
    def _place(have: int, want: int) -> tuple[int, int, int]:
        """First element read, first element written, how many."""
        return ((have - want) // 2, 0, want) if want <= have else (0, (want - have) // 2, have)

    def native(self, m, ins, outs):
        x, y = ins[0], outs[0]
        if not movable(m, x) or not movable(m, x, "fill"):
            return None
        item, places = x.dtype.itemsize, [self._place(h, w) for h, w in zip(x.dims, y.dims, strict=True)]
        xs, ys = strides_of(x.dims, item), strides_of(y.dims, item)
        inside = copy_call(item, [p[2] for p in places], xs, ys, sum(p[0] * s for p, s in zip(places, xs, strict=True)),
                           sum(p[1] * s for p, s in zip(places, ys, strict=True)))
        blank = Call("fill", (np.zeros(1, x.dtype), Out(0)), (item, y.size), work=y.size / 8)
        return None if inside is None else [blank, inside]

    def python(self, x, shape):
        dims = list(x.shape)
        for a, d in zip(self._axes(x.ndim), shape.reshape(-1), strict=True):
            dims[a] = int(d)
        places = [self._place(h, w) for h, w in zip(x.shape, dims, strict=True)]
        y = np.zeros(dims, x.dtype)
        y[tuple(slice(p[1], p[1] + p[2]) for p in places)] = x[tuple(slice(p[0], p[0] + p[2]) for p in places)]
        return y


@onnx("CenterCropPad", since=18)
def center_crop_pad(b, x, shape, *, axes=None):
    """ONNX CenterCropPad."""
    return b.emit(CenterCropPad(None if axes is None else tuple(axes)), x, shape)

