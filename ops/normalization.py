"""Normalisations over parts of one example: layer, group, instance, root mean square, local response, Lp."""

from __future__ import annotations

from math import prod

import numpy as np

from cynfer.ops.axes import axes_of, axis_of
from cynfer.ops.broadcast import fits, length, single, widen
from cynfer.ops.cast import element_type
from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import prefix
from cynfer.ops.errors import ModelError
from cynfer.ops.half import halves
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.strides import elements


class LayerNorm(Op):
    """Over all axes from `axis` on: y = scale (x - mean) / sqrt(variance + epsilon) + bias.

    rms: no mean is taken off and the mean square is used. stats: the type of the further outputs mean and
    1 / sqrt(variance + epsilon), or None where nobody reads them. Inputs x, scale, bias (may be absent).
    """

    axis: int
    epsilon: float
    rms: bool = False
    stats: np.dtype | None = None

    @property
    def n_outputs(self):
        return 1 if self.stats is None else 3

    def shapes(self, x, scale, bias=None):
        axis = axis_of(self.axis, x.rank)
        for fact, name in ((scale, "the scale"), (bias, "the bias")):
            if fact is not None:
                fits(fact.dims, x.dims, name)
        kept = (*x.dims[:axis], *(1,) * (x.rank - axis))
        return [x.dims, kept, kept][: self.n_outputs]

    def dtypes(self, x, scale, bias=None):
        return [x.dtype, self.stats, self.stats][: self.n_outputs]

    @halves
    def native(self, m, ins, outs):
        x, scale, bias = (*ins, None)[:3]
        name, axis = f"{prefix(x.dtype)}_{'rms' if self.rms else 'layer'}_norm", axis_of(self.axis, x.rank)
        rows = x.dims[axis:]
        if name not in m or any(f is not None and (f.dims != rows or f.dtype != x.dtype) for f in (scale, bias)) \
                or self.stats not in (None, x.dtype) or not x.size:
            return None
        stats = (None, None) if self.stats is None else (Out(1), Out(2))
        operands = (In(0), In(1), Out(0), None) if self.rms else \
            (In(0), In(1), None if bias is None else In(2), Out(0), *stats)
        return Call(name, operands, (prod(x.dims[:axis]), prod(rows)), (self.epsilon,), work=4 * x.size)

    def python(self, x, scale, bias=None):
        y, scale, bias = widen(x, scale, bias)
        axes = tuple(range(axis_of(self.axis, x.ndim), x.ndim))
        mean = y.mean(axes, keepdims=True)
        centred = y if self.rms else y - mean
        inverse = 1 / np.sqrt((centred * centred).mean(axes, keepdims=True) + self.epsilon)
        y = centred * inverse * scale
        y = (y if bias is None else y + bias).astype(x.dtype)
        return y if self.stats is None else (y, mean.astype(self.stats), inverse.astype(self.stats))


@onnx("LayerNormalization", since=17)
def layer_normalization(b, x, scale, bias=None, *, axis=-1, epsilon=1e-5, stash_type=1, n_outputs=1):
    """Computed in the type of x, or float32 if that is narrower; stash_type is the type of the further outputs."""
    stats = element_type(stash_type)
    return b.emit(LayerNorm(axis, *single(epsilon), stats=stats if n_outputs > 1 else None), x, scale, bias)


@onnx("RMSNormalization", since=23)
def rms_normalization(b, x, scale, *, axis=-1, epsilon=1e-5, stash_type=1):
    """Computed in the type of x, or float32 if that is narrower."""
    element_type(stash_type)
    return b.emit(LayerNorm(axis, *single(epsilon), rms=True), x, scale)


class GroupNorm(Op):
    """Channels in groups, mean and variance over each group of each example. Inputs x, scale, bias.

    groups: 0 for one per channel. per_group: scale and bias are one per group, not one per channel.
    """

    groups: int
    epsilon: float
    per_group: bool = False

    def shapes(self, x, scale, bias):
        if x.rank < 2:
            raise ModelError(f"input of shape {list(x.dims)}, at least 2 dimensions are needed")
        channels = x.dims[1]
        if self.groups < 0 or (self.groups and not isinstance(channels, Dim) and channels % self.groups):
            raise ModelError(f"num_groups {self.groups} does not divide {channels} channels")
        for fact, name in ((scale, "the scale"), (bias, "the bias")):
            length(fact, self.groups if self.per_group else channels, name)
        return [x.dims]

    @halves
    def native(self, m, ins, outs):
        x = ins[0]
        name = f"{prefix(x.dtype)}_group_norm"
        if name not in m or self.per_group or not x.size or any(f.dtype != x.dtype for f in ins):
            return None
        n, c, *pixels = x.dims
        return Call(name, (In(0), In(1), In(2), Out(0), None, None), (n, c, self.groups or c, prod(pixels)),
                    (self.epsilon,), work=4 * x.size)

    def python(self, x, scale, bias):
        rows, scale, bias = widen(x, scale, bias)
        groups, channels = self.groups or x.shape[1], x.shape[1]
        if not x.size:
            return x
        rows = rows.reshape(x.shape[0], groups, -1)
        rows = rows - rows.mean(2, keepdims=True)
        rows = rows / np.sqrt((rows * rows).mean(2, keepdims=True) + self.epsilon)
        if self.per_group:
            scale, bias = np.repeat(scale, channels // groups), np.repeat(bias, channels // groups)
        ones = (channels,) + (1,) * (x.ndim - 2)
        return (rows.reshape(x.shape) * scale.reshape(ones) + bias.reshape(ones)).astype(x.dtype)


def _groups(num_groups: int) -> int:
    if num_groups < 1:
        raise ModelError(f"num_groups is {num_groups}, at least 1 is needed")
    return num_groups


@onnx("InstanceNormalization", since=1)
def instance_normalization(b, x, scale, bias, *, epsilon=1e-5, consumed_inputs=()):
    """Every channel by itself."""
    return b.emit(GroupNorm(0, *single(epsilon)), x, scale, bias)


@onnx("GroupNormalization", since=18)
def group_normalization_18(b, x, scale, bias, *, num_groups, epsilon=1e-5):
    """Scale and bias for each group."""
    return b.emit(GroupNorm(_groups(num_groups), *single(epsilon), per_group=True), x, scale, bias)


@onnx("GroupNormalization", since=21)
def group_normalization(b, x, scale, bias, *, num_groups, epsilon=1e-5, stash_type=1):
    """Scale and bias for each channel. Computed in the type of x, or float32 if that is narrower."""
    element_type(stash_type)
    return b.emit(GroupNorm(_groups(num_groups), *single(epsilon)), x, scale, bias)


class LRN(Op):
    """x / (bias + alpha / size * sum of x² over `size` channels around) ^ beta."""

    size: int
    alpha: float
    beta: float
    bias: float

    def shapes(self, x):
        if self.size < 1:
            raise ModelError(f"size is {self.size}, at least 1 is needed")
        if x.rank < 2:
            raise ModelError(f"input of shape {list(x.dims)}, at least 2 dimensions are needed")
        return [x.dims]

    @halves
    def native(self, m, ins, outs):
        x = ins[0]
        name = f"{prefix(x.dtype)}_lrn" + ("_c16" if x.layout.block else "")
        if name not in m:
            return None
        n, c, *pixels = x.dims
        return Call(name, (In(0), Out(0)), (n, c, prod(pixels), self.size), (self.alpha, self.beta, self.bias),
                    work=20 * elements(x))

    def blocked(self, m, ins, outs):
        return f"{prefix(ins[0].dtype)}_lrn_c16" in m and self.size <= 31

    def python(self, x):
        (y,) = widen(x)
        channels, before = x.shape[1], (self.size - 1) // 2
        square, total = y * y, np.zeros_like(y)
        for d in range(max(-before, 1 - channels), min(self.size - before, channels)):
            low, high = max(0, -d), min(channels, channels - d)
            total[:, low:high] += square[:, low + d:high + d]
        return (y / (self.bias + self.alpha / self.size * total) ** self.beta).astype(x.dtype)


@onnx("LRN", since=1)
def lrn(b, x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    """ONNX LRN, all versions."""
    return b.emit(LRN(size, *single(alpha, beta, bias)), x)


class LpNorm(Op):
    """x divided by its L1 or L2 norm along an axis; 0 where that is 0."""

    axis: int
    p: int

    def shapes(self, x):
        axis_of(self.axis, x.rank)
        if self.p not in (1, 2):
            raise ModelError(f"p is {self.p}, expected 1 or 2")
        return [x.dims]

    @halves
    def native(self, m, ins, outs):
        x = ins[0]
        name, axis = f"{prefix(x.dtype)}_lp_norm", axis_of(self.axis, x.rank)
        n = (prod(x.dims[:axis]), x.dims[axis], prod(x.dims[axis + 1:]))
        return Call(name, (In(0), Out(0)), n, (self.p,), work=4 * x.size) if name in m and x.size else None

    def python(self, x):
        (y,) = widen(x)
        axis = axis_of(self.axis, x.ndim)
        norm = np.abs(y).sum(axis, keepdims=True) if self.p == 1 else np.sqrt((y * y).sum(axis, keepdims=True))
        return np.where(norm == 0, 0, y / norm).astype(x.dtype)


@onnx("LpNormalization", since=1)
def lp_normalization(b, x, *, axis=-1, p=2):
    """ONNX LpNormalization, all versions."""
    return b.emit(LpNorm(axis, p), x)


class MeanVariance(Op):
    """(x - mean) / (deviation + 1e-9), both over `axes`."""

    axes: tuple[int, ...]

    def shapes(self, x):
        axes_of(self.axes, x.rank)
        return [x.dims]

    def python(self, x):
        (y,) = widen(x)
        axes = axes_of(self.axes, x.ndim)
        y = y - y.mean(axes, keepdims=True)
        return (y / (np.sqrt((y * y).mean(axes, keepdims=True)) + 1e-9)).astype(x.dtype)


@onnx("MeanVarianceNormalization", since=9)
def mean_variance_normalization(b, x, *, axes=(0, 2, 3)):
    """ONNX MeanVarianceNormalization, all versions."""
    return b.emit(MeanVariance(tuple(axes)), x)
