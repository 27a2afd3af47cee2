"""BatchNormalization, and what it is at inference: Affine, y = gamma x + beta by channel."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np

from cynfer.ops.binary import Binary
from cynfer.ops.broadcast import length, single, wide, widen
from cynfer.ops.dtypes import prefix
from cynfer.ops.errors import UnsupportedError
from cynfer.ops.half import halves
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.strides import elements, padded


def _channels(v, rank: int):
    return v.reshape(v.shape + (1,) * (rank - 2)) if rank > 2 else v


class Affine(Op):
    """y = gamma x + beta by channel (axis 1). Inputs x, gamma, beta; the latter two in the type x is computed in."""

    channel_axis: ClassVar[int | None] = 1

    def scaled(self, weights, gamma, beta):
        first_gamma, first_beta = weights
        return (first_gamma * gamma).astype(first_gamma.dtype), (first_beta * gamma + beta).astype(first_beta.dtype)

    def shapes(self, x, gamma, beta):
        channels = x.dims[1] if x.rank > 1 else 1
        length(gamma, channels, "the scale")
        length(beta, channels, "the bias")
        return [x.dims]

    @halves
    def native(self, m, ins, outs):
        x, gamma, beta = ins
        name = f"{prefix(x.dtype)}_affine"
        if not x.layout.block:
            n, c, *pixels = x.dims if x.rank > 1 else (x.dims[0] if x.rank else 1, 1)
            return Call(name, (In(0), In(1), In(2), Out(0)), (n, c, prod(pixels)), work=x.size) if name in m else None
        n, c, *pixels = x.dims
        rows = [In(i) if f.constant is None else padded(f) for i, f in ((1, gamma), (2, beta))]
        return Call(f"{name}_c16", (In(0), *rows, Out(0)), (n, -(-c // 16), prod(pixels), 0), work=elements(x))

    def blocked(self, m, ins, outs):
        return f"{prefix(ins[0].dtype)}_affine_c16" in m and all(
            f.constant is not None or ins[0].dims[1] % 16 == 0 for f in ins[1:])

    def python(self, x, gamma, beta):
        wider, gamma, beta = widen(x, gamma, beta)
        return (wider * _channels(gamma, x.ndim) + _channels(beta, x.ndim)).astype(x.dtype)


class Coefficients(Op):
    """gamma and beta of a BatchNormalization (scale, bias, mean, variance), computed in float64, of type `to`."""

    epsilon: float
    to: np.dtype
    n_outputs = 2

    def shapes(self, scale, bias, mean, variance):
        if scale.known and scale.rank == 1:
            for fact, name in ((bias, "bias"), (mean, "mean"), (variance, "variance")):
                length(fact, scale.dims[0], f"the {name}")
        return [scale.dims, scale.dims]

    def dtypes(self, scale, bias, mean, variance):
        return [self.to, self.to]

    def python(self, scale, bias, mean, variance):
        scale, bias, mean, variance = (a.astype(np.float64) for a in (scale, bias, mean, variance))
        gamma = scale / np.sqrt(variance + self.epsilon)
        return gamma.astype(self.to), (bias - mean * gamma).astype(self.to)


class BatchNormTraining(Op):
    """y by the statistics of this batch; running mean and variance; and, where asked, the batch's own.

    Variances are those of the population. stats: the number of outputs besides y: 2, or 4 as before opset 14.
    """

    epsilon: float
    momentum: float
    stats: int = 2

    @property
    def n_outputs(self):
        return 1 + self.stats

    def shapes(self, x, scale, bias, mean, variance):
        for fact, name in ((scale, "scale"), (bias, "bias"), (mean, "mean"), (variance, "variance")):
            length(fact, x.dims[1] if x.rank > 1 else 1, f"the {name}")
        return [x.dims, *[mean.dims] * self.stats]

    def dtypes(self, x, scale, bias, mean, variance):
        return [x.dtype, mean.dtype, variance.dtype, mean.dtype, variance.dtype][: 1 + self.stats]

    def python(self, x, scale, bias, mean, variance):
        x64, scale64, bias64, mean64, variance64 = (a.astype(np.float64) for a in (x, scale, bias, mean, variance))
        axes = tuple(i for i in range(x.ndim) if i != 1)
        here, spread = x64.mean(axes), x64.var(axes)
        gamma = scale64 / np.sqrt(spread + self.epsilon)
        y = x64 * _channels(gamma, x.ndim) + _channels(bias64 - here * gamma, x.ndim)
        keep, add = self.momentum, 1 - self.momentum
        results = (mean64 * keep + here * add, variance64 * keep + spread * add, here, spread)[: self.stats]
        return (y.astype(x.dtype), *(r.astype(t.dtype) for r, t in zip(results, (mean, variance) * 2, strict=False)))


def _inference(b, x, scale, bias, mean, variance, epsilon, spatial=1):
    gamma, beta = b.emit(Coefficients(*single(epsilon), wide(x.fact.dtype)), scale, bias, mean, variance)
    if spatial:
        return b.emit(Affine(), x, gamma, beta)
    return b.emit(Binary("add"), b.emit(Binary("mul"), x, gamma), beta)  # one of each per element of an image


@onnx("BatchNormalization", since=1)
def batch_norm_1(b, x, scale, bias, mean, variance, *, epsilon=1e-5, momentum=0.9, is_test=0, spatial=1,
                 consumed_inputs=(), n_outputs=1):
    """A node with one output is at inference whatever is_test says, as from opset 7 on."""
    if is_test or n_outputs == 1:
        return _inference(b, x, scale, bias, mean, variance, epsilon, spatial)
    return batch_norm_7(b, x, scale, bias, mean, variance, epsilon=epsilon, momentum=momentum, spatial=spatial,
                        n_outputs=n_outputs)


@onnx("BatchNormalization", since=7)
def batch_norm_7(b, x, scale, bias, mean, variance, *, epsilon=1e-5, momentum=0.9, spatial=1, n_outputs=1):
    """Training where there is more than one output."""
    if n_outputs == 1:
        return _inference(b, x, scale, bias, mean, variance, epsilon, spatial)
    if not spatial:
        raise UnsupportedError("training with spatial=0 is not supported")
    return b.emit(BatchNormTraining(*single(epsilon, momentum), 4), x, scale, bias, mean, variance)


@onnx("BatchNormalization", since=9)
def batch_norm_9(b, x, scale, bias, mean, variance, *, epsilon=1e-5, momentum=0.9, n_outputs=1):
    """Training where there is more than one output."""
    return batch_norm_7(b, x, scale, bias, mean, variance, epsilon=epsilon, momentum=momentum, n_outputs=n_outputs)


@onnx("BatchNormalization", since=14)
def batch_norm(b, x, scale, bias, mean, variance, *, epsilon=1e-5, momentum=0.9, training_mode=0):
    """Training where training_mode says so."""
    if not training_mode:
        return _inference(b, x, scale, bias, mean, variance, epsilon)
    return b.emit(BatchNormTraining(*single(epsilon, momentum)), x, scale, bias, mean, variance)
