"""Resize and Upsample: one table of source positions and weights per axis, applied axis by axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axes_of, ints_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import LimitError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.move import blocks_of
from cynfer.ops.op import Call, In, Op, Out, Temp, onnx

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_half_pixel_for_nn", "tf_crop_and_resize")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
#: Entries of one axis's table: a bound on memory that a result's own size does not give.
MAX_TABLE = 1 << 26
POLICIES = ("stretch", "not_larger", "not_smaller")


def one_of(name: str, value: str, choices) -> None:
    """Raises ModelError unless the attribute's value is one of the choices."""
    if value not in choices:
        raise ModelError(f"{name} is {value!r}; choose from {', '.join(choices)}")


@dataclass(frozen=True)
class Taps:
    """For every output index of an axis: source indices and their weights ([size, taps]), and where it is outside.

    A nearest table has one tap and no weights.
    """

    index: np.ndarray
    weight: np.ndarray | None
    outside: np.ndarray | None = None


class Resize(Op):
    """x at other sizes; inputs x, roi, scales, sizes as in ONNX, of which scales or sizes is given."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    exclude_outside: bool = False
    extrapolation: float = 0.0
    antialias: bool = False
    axes: tuple[int, ...] | None = None
    policy: str = "stretch"
    shape_inputs: ClassVar[tuple[int, ...]] = (2, 3)

    def shapes(self, x, roi=None, scales=None, sizes=None):
        one_of("mode", self.mode, MODES)
        one_of("coordinate_transformation_mode", self.coordinates, COORDINATES)
        one_of("nearest_mode", self.nearest, NEAREST)
        one_of("keep_aspect_ratio_policy", self.policy, POLICIES)
        if self.mode != "nearest" and not (x.dtype.kind in "iu" or dtypes.is_float(x.dtype)):
            raise ModelError(f"mode {self.mode} of {x.dtype}; floats and integers can be interpolated")
        if self.antialias and self.mode == "nearest":
            raise ModelError("antialias with mode nearest; linear or cubic is needed")
        if (scales is None) == (sizes is None):
            raise ModelError(f"{'neither' if sizes is None else 'both'} of scales and sizes given; one is needed")
        if self.coordinates == "tf_crop_and_resize" and roi is None:
            raise ModelError("coordinate_transformation_mode tf_crop_and_resize needs the input roi")
        axes, dims = self._axes(x.rank), list(x.dims)
        if sizes is not None:
            target = sizes.ints() if self.policy == "stretch" else ints_of(sizes)
            if target is None or (any(isinstance(dims[a], Dim) for a in axes) and self.policy != "stretch"):
                for a in axes:
                    dims[a] = Dim.unknown()
            elif self.policy == "stretch":
                for a, n in zip(axes, self._listed(target, axes, "sizes"), strict=True):
                    dims[a] = self._size(n, dims[a])
            else:
                dims, _ = self._fit(dims, axes, target)
            return [dims]
        factors = scales.constant
        if factors is None:
            for a in axes:
                dims[a] = Dim.unknown()
            return [dims]
        for a, s in zip(axes, self._scales(factors, axes), strict=True):
            dims[a] = _scaled(dims[a], s)
        return [dims]

    def _axes(self, rank: int) -> tuple[int, ...]:
        return tuple(range(rank)) if self.axes is None else axes_of(self.axes, rank)

    @staticmethod
    def _listed(values, axes, name):
        if len(values) != len(axes):
            raise ModelError(f"{name} has {len(values)} elements; {len(axes)} are needed")
        return values

    @staticmethod
    def _size(n, dim):
        if isinstance(n, Dim):
            return n
        if n < 0:
            raise ModelError(f"sizes has {n}; at least 0 is needed")
        if n and isinstance(dim, int) and dim == 0:
            raise ModelError(f"an axis without elements cannot become {n} long")
        return n

    def _scales(self, factors, axes) -> list[np.float32]:
        factors = self._listed([np.float32(f) for f in factors.reshape(-1)], axes, "scales")
        for f in factors:
            if not (f > 0 and math.isfinite(f)):
                raise ModelError(f"scales has {f}; a finite number above 0 is needed")
        return factors

    def _fit(self, dims, axes, target):
        """Output dims and the one scale that keeps the aspect ratio."""
        ratios = [self._size(n, dims[a]) / dims[a] if dims[a] else 1.0
                  for a, n in zip(axes, self._listed(target, axes, "sizes"), strict=True)]
        scale = min(ratios) if self.policy == "not_larger" else max(ratios)
        out = list(dims)
        for a in axes:
            out[a] = int(scale * dims[a] + 0.5)
        return out, scale

    def taps(self, shape, roi, scales, sizes) -> list[tuple[int, Taps]]:
        """(axis, its table) for each axis that changes, in the order to apply them; arguments are arrays or None."""
        axes = self._axes(len(shape))
        if sizes is None:
            factors = [float(s) for s in self._scales(scales, axes)]
            out = [_scaled(shape[a], s) for a, s in zip(axes, self._scales(scales, axes), strict=True)]
        else:
            target = [int(v) for v in sizes.reshape(-1)]
            out = [self._size(n, shape[a]) for a, n in zip(axes, self._listed(target, axes, "sizes"), strict=True)]
            factors = [n / shape[a] if shape[a] else 1.0 for a, n in zip(axes, out, strict=True)]
            if self.policy != "stretch":
                dims, scale = self._fit(list(shape), axes, target)
                out, factors = [dims[a] for a in axes], [scale] * len(axes)
        tables = []
        for i, (a, n, scale) in enumerate(zip(axes, out, factors, strict=True)):
            part = None
            if self.coordinates == "tf_crop_and_resize":
                if roi.size != 2 * len(axes):
                    raise ModelError(f"roi has {roi.size} elements; {2 * len(axes)} are needed")
                part = float(roi.reshape(-1)[i]), float(roi.reshape(-1)[len(axes) + i])
                if not all(map(math.isfinite, part)):
                    raise ModelError(f"roi has {part[0]} to {part[1]}; finite numbers are needed")
            same = n == shape[a] and math.isclose(scale, 1.0) and part in (None, (0.0, 1.0))
            if not same:
                tables.append((a, self.table(shape[a], n, scale, part)))
        return sorted(tables, key=lambda t: t[1].index.shape[0] / shape[t[0]])  # shrink first: small intermediates

    def positions(self, size: int, out: int, scale: float, part) -> np.ndarray:
        """Where each output index lies on the input axis."""
        x, length = np.arange(out, dtype=np.float64), scale * size
        if self.coordinates == "align_corners":
            return np.zeros(out) if length == 1 else x * (size - 1) / (length - 1)
        if self.coordinates == "asymmetric":
            return self._divided(x, scale)
        if self.coordinates == "tf_half_pixel_for_nn":
            return self._divided(x + 0.5, scale)
        if self.coordinates == "tf_crop_and_resize":
            first, last = part
            if length == 1:
                return np.full(out, 0.5 * (first + last) * (size - 1))
            return first * (size - 1) + x * (last - first) * (size - 1) / (length - 1)
        if self.coordinates == "pytorch_half_pixel" and out == 1:  # of the standard's text; the reference has -0.5
            return np.zeros(out)
        if self.coordinates == "half_pixel_symmetric":  # half_pixel counted from both centres
            return self._divided(x + 0.5 - out / 2, scale) + (size - 1) / 2
        return self._divided(x + 0.5, scale) - 0.5

    def _divided(self, x: np.ndarray, scale: float) -> np.ndarray:
        """x / scale; for nearest rounded to float32, which hides that a scale like 2/3 is itself rounded: 2 / (2/3)
        is 3 then, not a little less."""
        x = x / scale
        return x.astype(np.float32).astype(np.float64) if self.mode == "nearest" else x

    def table(self, size: int, out: int, scale: float, part=None) -> Taps:
        """The table of one axis of `size` elements that becomes `out` long."""
        reach, squeeze = (2 if self.mode == "cubic" else 1), min(scale, 1.0) if self.antialias else 1.0
        first = math.floor(-reach / squeeze) + 1
        if out * (2 - 2 * first) > MAX_TABLE:
            raise LimitError(f"an axis of {size} that becomes {out} long needs a table of {out * (2 - 2 * first)} "
                             f"entries; {MAX_TABLE} are allowed")
        x = self.positions(size, out, scale, part)
        outside = (x < 0) | (x > size - 1) if self.coordinates == "tf_crop_and_resize" else None
        x = x.clip(-2.0 - size, 2.0 * size + 2)  # an index fits its type whatever the scale
        left = np.ceil(x) - 1
        ratio = x - left  # in (0, 1]: a whole position is its left neighbour's ratio 1
        if self.mode == "nearest":
            if self.nearest == "round_prefer_floor":
                up = ratio > 0.5
            elif self.nearest == "round_prefer_ceil":
                up = ratio >= 0.5
            else:
                up = ratio >= (1 if self.nearest == "floor" else 0)
            index = (left + up).astype(np.int64).clip(0, size - 1)
            return Taps(index[:, None], None, outside)
        offset = np.arange(first, 2 - first)
        distance = np.abs((offset[None] - ratio[:, None]) * squeeze)
        if self.mode == "linear":
            weight = np.clip(1 - distance, 0, 1)
        else:
            a, d = self.cubic_a, distance
            weight = np.where(d <= 1, ((a + 2) * d - (a + 3)) * d * d + 1,
                              np.where(d < 2, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a, 0.0))
        index = left.astype(np.int64)[:, None] + offset[None]
        if self.exclude_outside:
            weight = np.where((index < 0) | (index >= size), 0.0, weight)
        if self.exclude_outside or self.antialias:
            total = weight.sum(1, keepdims=True)
            weight = weight / np.where(total == 0, 1.0, total)
        return Taps(index.clip(0, size - 1), weight, outside)

    def native(self, m, ins, outs):
        content = [None if f is None else f.constant for f in ins[1:]]
        content += [None] * (3 - len(content))
        if any(f is not None and c is None for f, c in zip(ins[1:], content, strict=False)):
            return None
        x, y = ins[0], outs[0]
        if x.dtype == dtypes.STRING:
            return None
        if 0 in y.dims:
            return []
        tables = self.taps(x.dims, *content)
        if any(t.outside is not None and t.outside.any() for _, t in tables):
            return None
        if self.mode == "nearest":
            return self._native_nearest(m, x, y, dict(tables))
        name = f"{dtypes.prefix(x.dtype)}_resize_"
        if name + "taps" not in m:
            return None
        found = dict(tables)
        if sorted(found) == [x.rank - 2, x.rank - 1] and all(t.index.shape[1] == 2 for t in found.values()):
            return self._native_linear_2d(name, x, y, found[x.rank - 2], found[x.rank - 1])
        return _chain(x, y, [(a, t, name + "taps") for a, t in tables])

    @staticmethod
    def _native_nearest(m, x, y, tables):
        if "resize_nearest_2d" not in m or "gather" not in m:
            return None
        if len(x.dims) < 2 or min(tables, default=0) < len(x.dims) - 2:
            return _chain(x, y, [(a, t, "gather") for a, t in tables.items()])
        h, w = x.dims[-2:]
        rows, columns = (tables[a].index.reshape(-1) if a in tables else np.arange(x.dims[a], dtype=np.int64)
                         for a in (len(x.dims) - 2, len(x.dims) - 1))
        item = x.dtype.itemsize * (x.layout.block or 1)
        n = (item, _images(x), h, w, *y.dims[-2:])
        return Call("resize_nearest_2d", (In(0), rows, columns, Out(0)), n, work=y.nbytes / 8)

    @staticmethod
    def _native_linear_2d(name, x, y, rows, columns):
        operands = (In(0), rows.index, rows.weight.astype(x.dtype), columns.index, columns.weight.astype(x.dtype),
                    Out(0))
        n = (_images(x), *x.dims[-2:], *y.dims[-2:])
        wide = x.layout.block or 1
        return Call(name + ("linear_2d_c16" if x.layout.block else "linear_2d"), operands, n,
                    scratch=x.dims[-1] * wide * x.dtype.itemsize, work=2.0 * (y.nbytes + x.nbytes) / x.dtype.itemsize)

    def blocked(self, m, ins, outs):
        x, y = ins[0], outs[0]
        if blocks_of(x) is None or blocks_of(y) is None or tuple(x.dims[:2]) != tuple(y.dims[:2]) \
                or self.coordinates == "tf_crop_and_resize" or "resize_nearest_2d" not in m \
                or f"{dtypes.prefix(x.dtype)}_resize_taps" not in m:
            return False
        axes = self._axes(4)
        if min(axes, default=2) >= 2:
            return True
        if len(ins) < 3 or ins[2] is None:
            return self.policy == "stretch"
        factors = ins[2].constant
        return factors is not None and all(f == 1 for a, f in zip(axes, factors.reshape(-1), strict=True) if a < 2)

    def python(self, x, roi=None, scales=None, sizes=None):
        if 0 in x.shape:
            facts = [None if v is None else Fact.of(v) for v in (x, roi, scales, sizes)]
            return x.reshape(self.shapes(*facts)[0])
        tables = self.taps(x.shape, roi, scales, sizes)
        if self.mode == "nearest" and not any(t.outside is not None and t.outside.any() for _, t in tables):
            for a, t in tables:
                x = x.take(t.index[:, 0], a)
            return x
        dtype = x.dtype
        y = x.astype(np.float64)
        for a, t in tables:
            weight = np.ones_like(t.index) if t.weight is None else t.weight
            total = 0.0
            tail = (1,) * (y.ndim - a - 1)
            for k in range(t.index.shape[1]):
                total = total + y.take(t.index[:, k], a) * weight[:, k].reshape(-1, *tail)
            y = total if t.outside is None else np.where(t.outside.reshape(-1, *tail), self.extrapolation, total)
        if dtypes.is_integer(dtype):
            info = np.iinfo(dtype)
            return np.clip(np.rint(y), info.min, info.max).astype(dtype)
        return y.astype(dtype)


def _images(x: Fact) -> int:
    """How many images (of a block of channels) come before the last two axes."""
    return math.prod(x.stored_shape[: -3 if x.layout.block else -2])


def _chain(x: Fact, y: Fact, steps) -> list[Call] | None:
    """One call per axis, (axis, table, kernel) each, through buffers in between; a copy if nothing changes."""
    if not steps:
        return [Call("copy_bytes", (In(0), Out(0)), (x.nbytes,), work=x.nbytes / 16)]
    shape, result = list(x.stored_shape), []
    source: In | Out | Temp = In(0)
    for k, (a, t, kernel) in enumerate(steps):
        outer, size, inner, out = math.prod(shape[:a]), shape[a], math.prod(shape[a + 1:]), t.index.shape[0]
        shape[a] = out
        count, item = outer * out * inner, x.dtype.itemsize
        target = Out(0) if k + 1 == len(steps) else Temp(count * item)
        work = float(count) * t.index.shape[1]
        if kernel == "gather":
            result.append(Call(kernel, (source, t.index.reshape(-1), target), (outer, size, inner * item, out, 8),
                               work=work))
        else:
            result.append(Call(kernel, (source, t.index, t.weight.astype(x.dtype), target),
                               (outer, size, inner, out, t.index.shape[1]), work=work))
        source = target
    return result


def _scaled(dim, scale: np.float32):
    """floor(dim * scale) in float32, as ONNX infers shapes; exact for a factor that is whole or 1 / 2^n."""
    if not isinstance(dim, Dim):
        value = np.float32(dim) * scale
        if not math.isfinite(value):
            raise ModelError(f"scales has {scale}: {dim} times that is not a length")
        return math.floor(value)
    if scale == int(scale):
        return dim * int(scale)
    inverse = 1 / float(scale)
    return dim // int(inverse) if inverse == int(inverse) and int(inverse).bit_count() == 1 else Dim.unknown()


def _given(v):
    """None for an optional tensor that is absent or empty."""
    return None if v is None or (v.fact.known and v.fact.size == 0) else v


@onnx("Upsample", since=1)
def upsample_1(b, x, *, height_scale, width_scale, mode="nearest"):
    """Factors for height and width."""
    return upsample(b, x, b.const([1, 1, height_scale, width_scale], dtypes.FLOAT), mode=mode)


@onnx("Upsample", since=7)
def upsample_7(b, x, *, scales, mode="nearest"):
    """Factors as an attribute."""
    return upsample(b, x, b.const(scales, dtypes.FLOAT), mode=mode)


@onnx("Resize", since=10)
@onnx("Upsample", since=9)
def upsample(b, x, scales, *, mode="nearest"):
    """Factors as an input; positions are index / scale, and nearest is the one below."""
    mode = {"bilinear": "linear"}.get(mode, mode)
    return b.emit(Resize(mode, "asymmetric", "floor"), x, None, scales)


@onnx("Resize", since=11)
def resize(b, x, roi=None, scales=None, sizes=None, *, mode="nearest", coordinate_transformation_mode="half_pixel",
           nearest_mode="round_prefer_floor", cubic_coeff_a=-0.75, exclude_outside=0, extrapolation_value=0.0,
           antialias=0, axes=None, keep_aspect_ratio_policy="stretch"):
    """Empty tensors count as absent; antialias, axes and the aspect ratio from version 18."""
    op = Resize(mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, bool(exclude_outside),
                extrapolation_value, bool(antialias), None if axes is None else tuple(axes), keep_aspect_ratio_policy)
    roi = _given(roi) if coordinate_transformation_mode == "tf_crop_and_resize" else None
    rest = [roi, _given(scales), _given(sizes)]
    while rest and rest[-1] is None:
        rest.pop()
    return b.emit(op, x, *rest)
