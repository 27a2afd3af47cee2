"""DeformConv: samples gathered into columns, then a matrix product."""

from __future__ import annotations

import itertools
from math import prod
from typing import ClassVar

import numpy as np

from cynfer.ops.binary import Binary
from cynfer.ops.cast import Cast
from cynfer.ops.dim import Dim, product
from cynfer.ops.dtypes import FLOAT, INT64
from cynfer.ops.errors import ModelError, UnsupportedError
from cynfer.ops.half import HALVES
from cynfer.ops.matmul import MatMul
from cynfer.ops.op import Op, onnx
from cynfer.ops.shape import Reshape
from cynfer.ops.window import Window


class Samples(Op):
    """[N, groups, channels of a group * taps, positions] of x, read at each tap's place plus its offset.

    Inputs: x, offset, mask. What lies outside counts as zero; between pixels it is linear.
    """

    window: Window
    group: int
    offset_group: int

    def shapes(self, x, offset, mask=None):
        kernel = self.window.kernel
        if x.rank != len(kernel) + 2:
            raise ModelError(f"the input has shape {list(x.dims)}, the kernel {list(kernel)}")
        for name, count in (("group", self.group), ("offset_group", self.offset_group)):
            if isinstance(x.dims[1], int) and x.dims[1] % count:
                raise ModelError(f"{name} {count} does not divide {x.dims[1]} channels")
        out, taps = self.window.output(x.dims[2:]), self.offset_group * prod(kernel)
        for name, fact, channels in (("offset", offset, taps * len(kernel)), ("mask", mask, taps)):
            want = (x.dims[0], channels, *out)
            if fact is not None and (fact.rank != x.rank or any(
                    isinstance(a, int) and isinstance(e, int) and a != e
                    for a, e in zip(fact.dims, want, strict=True))):
                raise ModelError(f"{name} has shape {list(fact.dims)}, expected {list(want)}")
        return [(x.dims[0], self.group, x.dims[1] // self.group * prod(kernel), product(out))]

    def python(self, x, offset, mask=None):
        kernel, out = self.window.kernel, self.window.output(x.shape[2:])
        rank, taps, sizes = len(kernel), prod(kernel), x.shape[2:]
        n, groups = x.shape[0], self.offset_group
        offset = offset.reshape(n, groups, taps, rank, -1)
        pads = self.window.padding(sizes)
        firsts, weights = [], []
        for i in range(rank):
            base = np.arange(out[i]) * self.window.strides[i] - pads[i]
            tap = np.arange(kernel[i]) * self.window.dilations[i]
            place = (np.expand_dims(tap, tuple(a for a in range(2 * rank) if a != i))
                     + np.expand_dims(base, tuple(a for a in range(2 * rank) if a != rank + i)))
            place = np.broadcast_to(place, (*kernel, *out)).reshape(taps, -1)
            at = offset[:, :, :, i] + place.astype(x.dtype)
            at = np.clip(np.where(np.isnan(at), -2, at), -2, sizes[i] + 1)
            first = np.floor(at)
            firsts.append(first.astype(np.int64))
            weights.append(((1 - (at - first)), at - first))
        flat = x.reshape(n, groups, x.shape[1] // groups, prod(sizes))
        total = None
        for corner in itertools.product((0, 1), repeat=rank):
            index = np.zeros(firsts[0].shape, np.int64)
            weight, valid = np.ones((), x.dtype), np.ones((), bool)
            for i, c in enumerate(corner):
                at = firsts[i] + c
                valid = valid & (at >= 0) & (at < sizes[i])
                weight = weight * weights[i][c]
                index = index * sizes[i] + np.clip(at, 0, sizes[i] - 1)
            values = np.take_along_axis(flat, index.reshape(n, groups, 1, -1), 3)
            weight = (weight * valid).reshape(n, groups, 1, -1)
            values = np.where(weight == 0, 0, values * weight)
            total = values if total is None else total + values
        if mask is not None:
            total = total * mask.reshape(n, groups, 1, -1)
        return total.reshape(n, self.group, x.shape[1] // self.group * taps, prod(out))


class Images(Op):
    """[N, groups, channels, positions] as images, with the spatial sizes of input 1."""

    view: ClassVar[bool] = True

    def shapes(self, y, like):
        return [(y.dims[0], y.dims[1] * y.dims[2], *like.dims[2:])]

    def python(self, y, like):
        return y.reshape(y.shape[0], y.shape[1] * y.shape[2], *like.shape[2:])


@onnx("DeformConv", since=19)
def deform_conv(b, x, w, offset, bias=None, mask=None, *, dilations=(), group=1, kernel_shape=None, offset_group=1,
                pads=(), strides=()):
    """ONNX DeformConv, all versions."""
    if group < 1 or offset_group < 1:
        raise ModelError(f"group is {group} and offset_group {offset_group}, both must be at least 1")
    dims = w.fact.shape
    if dims is None or any(isinstance(d, Dim) for d in dims):
        raise UnsupportedError("the shape of the weight is not known at load")
    if len(dims) < 3 or dims[0] % group or (kernel_shape is not None and tuple(kernel_shape) != tuple(dims[2:])):
        raise ModelError(f"the weight has shape {list(dims)}, which does not fit kernel_shape "
                         f"{None if kernel_shape is None else list(kernel_shape)} and group {group}")
    if x.fact.shape is not None and x.fact.rank > 1 and isinstance(x.fact.dims[1], int) \
            and x.fact.dims[1] != dims[1] * group:
        raise ModelError(f"the input has {x.fact.dims[1]} channels, the weight {list(dims)} with group {group} needs "
                         f"{dims[1] * group}")
    if bias is not None and bias.fact.known and tuple(bias.fact.dims) != (dims[0],):
        raise ModelError(f"the bias has shape {list(bias.fact.dims)}, expected [{dims[0]}]")
    dtype = x.fact.dtype

    def wide(v):
        return v if v is None or dtype.name not in HALVES else b.emit(Cast(FLOAT), v)

    window = Window.of(dims[2:], strides, dilations, pads)
    columns = b.emit(Samples(window, group, offset_group), wide(x), wide(offset), wide(mask))
    matrix = b.emit(Reshape(), wide(w), b.const((group, dims[0] // group, prod(dims[1:])), INT64))
    y = b.emit(Images(), b.emit(MatMul(), matrix, columns), offset)
    if bias is not None:
        y = b.emit(Binary("add"), y, b.emit(Reshape(), wide(bias), b.const((dims[0], *[1] * len(dims[2:])), INT64)))
    return y if dtype.name not in HALVES else b.emit(Cast(dtype), y)
