"""Operators about shapes: views of the same bytes, tensors that tell a shape, tensors made from a shape."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axes_of, ints_of, length_of
from cynfer.ops.dim import Dim, product
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import Fact, UnknownRank, symbolic
from cynfer.ops.op import Call, Op, Out, onnx


class Reshape(Op):
    """The bytes of x under a shape given as a tensor: -1 stands for what is left, 0 for x's own dimension."""

    allowzero: bool = False
    view: ClassVar[bool] = True
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)
    symbolic: ClassVar[bool] = True

    def shapes(self, x, shape):
        target = [] if shape.shape == (0,) else shape.ints()
        if target is None:
            n = length_of(shape)
            if isinstance(n, Dim):
                raise UnknownRank
            return [[Dim.unknown() for _ in range(n)]]
        return [self._resolve(x, target)]

    def _resolve(self, x, target):
        if target.count(-1) > 1:
            raise ModelError(f"shape {target} has more than one -1")
        for i, d in enumerate(target):
            if not isinstance(d, Dim) and d < -1:
                raise ModelError(f"shape {target}: {d} at position {i} is below -1")
        if not self.allowzero and 0 in target:
            if max(i for i, d in enumerate(target) if d == 0) >= x.rank:
                raise ModelError(f"shape {target}: a 0 copies a dimension, and the input has only {x.rank}")
            target = [x.dims[i] if d == 0 else d for i, d in enumerate(target)]
        elif self.allowzero and 0 in target and -1 in target:
            raise ModelError(f"shape {target} has both 0 and -1 (allowzero)")
        if x.shape is None:
            return [Dim.unknown() if d == -1 else d for d in target]
        size = x.size
        rest = product(d for d in target if d != -1)
        if -1 in target:
            if rest == 0:
                raise ModelError(f"shape {target}: -1 stands for any number where the rest has no elements")
            if not isinstance(size, Dim) and not isinstance(rest, Dim) and size % rest:
                raise ModelError(f"shape {target} does not divide the input's {size} elements")
            target = [size // rest if d == -1 else d for d in target]
        elif not isinstance(size, Dim) and not isinstance(rest, Dim) and size != rest:
            raise ModelError(f"shape {target} has {rest} elements, the input has {size} (shape {list(x.dims)})")
        return target

    def python(self, x, shape):
        target = [int(v) for v in shape.reshape(-1)]
        return x.reshape([int(d) for d in self._resolve(Fact(dtypes.INT64, x.shape), target)])


@onnx("Reshape", since=1)
def reshape_1(b, x, *, shape=(), consumed_inputs=()):
    """Shape as an attribute."""
    return b.emit(Reshape(), x, b.const(shape, dtypes.INT64))


@onnx("Reshape", since=5)
def reshape(b, x, shape, *, allowzero=0):
    """Shape as an input; allowzero from version 14."""
    return b.emit(Reshape(bool(allowzero)), x, shape)


class Flatten(Op):
    """Two dimensions: those before an axis, and the rest."""

    axis: int = 1
    view: ClassVar[bool] = True
    symbolic: ClassVar[bool] = True

    def shapes(self, x):
        axis = self._axis(x.rank)
        return [(product(x.dims[:axis]), product(x.dims[axis:]))]

    def _axis(self, rank):
        if not -rank <= self.axis <= rank:
            raise ModelError(f"axis {self.axis} is outside {-rank} to {rank}")
        return self.axis + rank if self.axis < 0 else self.axis

    def python(self, x):
        axis = self._axis(x.ndim)
        return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@onnx("Flatten", since=1)
def flatten(b, x, *, axis=1):
    """ONNX Flatten, all versions."""
    return b.emit(Flatten(axis), x)


class Squeeze(Op):
    """Drops dimensions of size 1: those named by the second input, or all."""

    view: ClassVar[bool] = True
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)
    symbolic: ClassVar[bool] = True

    def shapes(self, x, axes=None):
        named = None if axes is None else ints_of(axes)
        if axes is not None and named is None:
            n = length_of(axes)
            if isinstance(n, Dim) or n >= x.rank:  # a shape without dimensions would look known
                raise UnknownRank
            return [[Dim.unknown() for _ in range(x.rank - n)]]
        return [self._kept(x.dims, named)]

    @staticmethod
    def _kept(dims, axes):
        if axes is None:
            if any(isinstance(d, Dim) for d in dims):
                raise UnknownRank
            return [d for d in dims if d != 1]
        axes = axes_of(axes, len(dims))
        for a in axes:
            if not isinstance(dims[a], Dim) and dims[a] != 1:
                raise ModelError(f"axis {a} has {dims[a]} elements; only an axis of 1 can be dropped")
        return [d for i, d in enumerate(dims) if i not in axes]

    def python(self, x, axes=None):
        return x.reshape(self._kept(x.shape, None if axes is None else [int(a) for a in axes.reshape(-1)]))


@onnx("Squeeze", since=1)
def squeeze_1(b, x, *, axes=None):
    """Axes as an attribute."""
    return b.emit(Squeeze(), x, *([] if axes is None else [b.const(axes, dtypes.INT64)]))


@onnx("Squeeze", since=13)
def squeeze(b, x, axes=None):
    """Axes as an input."""
    return b.emit(Squeeze(), x, *([] if axes is None else [axes]))


class Unsqueeze(Op):
    """Inserts dimensions of size 1 where the second input says, counted in the output."""

    view: ClassVar[bool] = True
    shape_inputs: ClassVar[tuple[int, ...]] = (1,)
    symbolic: ClassVar[bool] = True

    def shapes(self, x, axes):
        at = ints_of(axes)
        if at is None:
            n = length_of(axes)
            if isinstance(n, Dim):
                raise UnknownRank
            return [[Dim.unknown() for _ in range(x.rank + n)]]
        return [self._with(x.dims, at)]

    @staticmethod
    def _with(dims, axes):
        axes = axes_of(axes, len(dims) + len(axes))
        rest = iter(dims)
        return [1 if i in axes else next(rest) for i in range(len(dims) + len(axes))]

    def python(self, x, axes):
        return x.reshape(self._with(x.shape, [int(a) for a in axes.reshape(-1)]))


@onnx("Unsqueeze", since=1)
def unsqueeze_1(b, x, *, axes):
    """Axes as an attribute."""
    return b.emit(Unsqueeze(), x, b.const(axes, dtypes.INT64))


@onnx("Unsqueeze", since=13)
def unsqueeze(b, x, axes):
    """Axes as an input."""
    return b.emit(Unsqueeze(), x, axes)


@onnx("Identity", since=1)
def identity(b, x):
    """The value itself: readers of the output read the input."""
    return x


class Shape(Op):
    """The shape of x, or its dimensions start to end; known before anything runs."""

    start: int = 0
    end: int | None = None

    def facts(self, x):
        if x.shape is None:
            return (Fact(dtypes.INT64, (Dim.unknown(),)),)
        rank = x.rank
        start, end = (min(max(v + rank if v < 0 else v, 0), rank)
                      for v in (self.start, rank if self.end is None else self.end))
        dims = x.dims[start:end]
        return (Fact(dtypes.INT64, (len(dims),), symbolic(dims)),)


@onnx("Shape", since=1)
def shape_(b, x, *, start=0, end=None):
    """start and end from version 15."""
    return b.emit(Shape(start, end), x)


class Size(Op):
    """The number of elements of x."""

    def facts(self, x):
        return (Fact(dtypes.INT64, (), None if x.shape is None else symbolic([x.size], ())),)


@onnx("Size", since=1)
def size(b, x):
    """ONNX Size, all versions."""
    return b.emit(Size(), x)


@onnx("Constant", since=1)
def constant(b, *, value=None, sparse_value=None, value_int=None, value_ints=None, value_float=None,
             value_floats=None, value_string=None, value_strings=None):
    """Exactly one attribute gives the content."""
    forms = [(value, None), (sparse_value, None), (value_int, dtypes.INT64), (value_ints, dtypes.INT64),
             (value_float, dtypes.FLOAT), (value_floats, dtypes.FLOAT), (value_string, dtypes.STRING),
             (value_strings, dtypes.STRING)]
    given = [(v, t) for v, t in forms if v is not None]
    if len(given) != 1:
        raise ModelError(f"{len(given)} attributes give a content; exactly one is needed")
    return b.const(*given[0])


class ConstantOfShape(Op):
    """A tensor of the shape that the input lists, filled with one value (`item`: its bytes)."""

    dtype: np.dtype
    item: bytes
    shape_inputs: ClassVar[tuple[int, ...]] = (0,)

    def shapes(self, shape):
        dims = shape.ints()
        if dims is None:
            n = length_of(shape)
            if isinstance(n, Dim):
                raise UnknownRank
            return [[Dim.unknown() for _ in range(n)]]
        for i, d in enumerate(dims):
            if not isinstance(d, Dim) and d < 0:
                raise ModelError(f"shape {dims}: {d} at position {i} is below 0")
        return [dims]

    def dtypes(self, shape):
        return [self.dtype]

    @property
    def value(self) -> np.ndarray:
        """The value as an array of one element."""
        return np.frombuffer(self.item, self.dtype)

    def native(self, m, ins, outs):
        if "fill" not in m or self.dtype.itemsize not in (1, 2, 4, 8, 16):
            return None
        return Call("fill", (self.value, Out(0)), (self.dtype.itemsize, outs[0].size), work=outs[0].size / 8)

    def python(self, shape):
        y = np.empty([int(d) for d in shape.reshape(-1)], self.dtype)
        y[...] = self.value[0]
        return y


@onnx("ConstantOfShape", since=9)
def constant_of_shape(b, shape, *, value=None):
    """Zeros of float32 unless `value` says otherwise."""
    value = np.zeros(1, np.float32) if value is None else value
    if value.size != 1:
        raise ModelError(f"attribute value has {value.size} elements; 1 is needed")
    if value.dtype == dtypes.STRING:
        raise ModelError("attribute value is a string; a number is needed")
    return b.emit(ConstantOfShape(value.dtype, value.tobytes()), shape)


class Range(Op):
    """start, start + delta, … up to but without limit."""

    shape_inputs: ClassVar[tuple[int, ...]] = (0, 1, 2)

    def shapes(self, start, limit, delta):
        for name, fact in (("start", start), ("limit", limit), ("delta", delta)):
            if fact.shape is not None and not isinstance(fact.size, Dim) and fact.size != 1:
                raise ModelError(f"{name} has {fact.size} elements; 1 is needed")
        values = [f.constant for f in (start, limit, delta)]
        if any(v is None for v in values):
            known = [f.ints() if dtypes.is_integer(f.dtype) else None for f in (start, limit, delta)]
            return [[known[1][0] if known[1] and known[0] == [0] and known[2] == [1] else Dim.unknown()]]
        return [[self._count(*(v.reshape(-1)[0] for v in values))]]

    @staticmethod
    def _count(start, limit, delta) -> int:
        if dtypes.is_integer(np.asarray(start).dtype):
            start, limit, delta = int(start), int(limit), int(delta)
            if delta == 0:
                raise ModelError("delta is 0; any other number is allowed")
            return max(0, -((start - limit) // delta))
        start, limit, delta = float(start), float(limit), float(delta)
        steps = (limit - start) / delta if delta else math.nan
        if not math.isfinite(steps):
            raise ModelError(f"start {start}, limit {limit}, delta {delta} do not make a finite range")
        return max(0, math.ceil(steps))

    def native(self, m, ins, outs):
        values = [f.constant for f in ins]
        name = f"{dtypes.prefix(outs[0].dtype)}_range"
        if name not in m or any(v is None for v in values):
            return None
        first, step, n = values[0].reshape(-1)[0], values[2].reshape(-1)[0], outs[0].size
        if dtypes.is_integer(outs[0].dtype):
            return Call(name, (Out(0),), (n, int(first), int(step)), work=n)
        return Call(name, (Out(0),), (n,), (float(first), float(step)), work=n)

    def python(self, start, limit, delta):
        first, step = start.reshape(-1)[0], delta.reshape(-1)[0]
        n = self._count(first, limit.reshape(-1)[0], step)
        if dtypes.is_integer(start.dtype):
            return (int(first) + np.arange(n, dtype=np.int64) * int(step)).astype(start.dtype)
        return (float(first) + np.arange(n) * float(step)).astype(start.dtype)


@onnx("Range", since=11)
def range_(b, start, limit, delta, *, stash_type=1):
    """float16 and bfloat16 from version 27; every sum is taken in float64, which covers each stash_type."""
    return b.emit(Range(), start, limit, delta)


class EyeLike(Op):
    """Ones on diagonal k, zeros elsewhere, in the shape of x."""

    dtype: np.dtype
    k: int = 0

    def shapes(self, x):
        if x.rank != 2:
            raise ModelError(f"the input has {x.rank} dimensions; 2 are needed")
        return [x.dims]

    def dtypes(self, x):
        return [self.dtype]

    def python(self, x):
        y = np.zeros(x.shape, self.dtype)
        rows = np.arange(max(0, -self.k), min(x.shape[0], max(0, x.shape[1] - self.k)))
        y[rows, rows + self.k] = 1
        return y


@onnx("EyeLike", since=9)
def eye_like(b, x, *, dtype=None, k=0):
    """dtype: an ONNX type number; the input's type without it."""
    return b.emit(EyeLike(x.fact.dtype if dtype is None else dtypes.from_onnx(dtype), k), x)


__all__ = ["ConstantOfShape", "EyeLike", "Flatten", "Range", "Reshape", "Shape", "Size", "Squeeze", "Unsqueeze"]
