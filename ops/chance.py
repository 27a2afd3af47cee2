"""Random numbers: RandomUniform, RandomNormal, their Like forms, Bernoulli, Multinomial.

With a seed the numbers are a function of the seed and the position alone (the Philox generator), the same in every run
and on every machine; without one every run differs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cynfer.ops.broadcast import widen
from cynfer.ops.cast import cast, element_type
from cynfer.ops.dtypes import DOUBLE, FLOAT, onnx_name
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.op import Op, onnx


def uniform(seed: float | None, count: int) -> np.ndarray:
    """`count` numbers from 0 to below 1, with 53 random bits each."""
    key: Any = np.float32(seed).view(np.uint32) if seed is not None else None
    source = np.random.Philox(key=int(key)) if seed is not None else np.random.Philox()
    return (source.random_raw(count) >> np.uint64(11)) * 2.0**-53


class Chance(Op):
    """What all have in common: the seed, and that there is nothing to fold or share without one."""

    seed: float | None
    to: np.dtype

    @property
    def pure(self) -> bool:  # type: ignore[override]
        return self.seed is not None

    def dtypes(self, *ins):
        return [self.to]


class Random(Chance):
    """Numbers from low to below high, or of a normal distribution. shape: None for that of the input."""

    normal: bool
    a: float
    b: float
    shape: tuple[int, ...] | None = None

    def shapes(self, *ins):
        return [ins[0].dims if self.shape is None else self.shape]

    def python(self, *arrays):
        shape = arrays[0].shape if self.shape is None else self.shape
        n = int(np.prod(shape))
        if self.normal:  # Box and Muller: two numbers from two
            u = uniform(self.seed, 2 * ((n + 1) // 2)).reshape(2, -1)
            radius, angle = np.sqrt(-2 * np.log(1 - u[0])), 2 * np.pi * u[1]
            y = self.a + self.b * np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]
        else:
            y = self.a + (self.b - self.a) * uniform(self.seed, n)
            if self.to != DOUBLE and self.a < self.b:  # rounding must not reach high
                below = cast(np.array(self.b), self.to)
                y = np.minimum(y, np.nextafter(below, below.dtype.type(self.a)).astype(DOUBLE)
                               if self.to.kind == "f" else y)
        return cast(y.reshape(shape), self.to)


class Bernoulli(Chance):
    """1 with the probability that the input says, else 0."""

    def python(self, p):
        return cast(uniform(self.seed, p.size).reshape(p.shape) < widen(p)[0], self.to)


class Multinomial(Chance):
    """Classes drawn by the probabilities exp(x) of each row, up to a factor."""

    samples: int

    def shapes(self, x):
        if x.rank != 2 or (isinstance(x.dims[1], int) and x.dims[1] < 1):
            raise ModelError(f"the input has shape {list(x.dims)}, expected [rows, classes]")
        return [(x.dims[0], self.samples)]

    def python(self, x):
        x = widen(x)[0].astype(DOUBLE)
        top = x.max(1, keepdims=True)
        if not np.isfinite(top).all():
            row = int((~np.isfinite(top)).argmax())
            raise KernelError(f"row {row} has the largest log-probability {float(top[row, 0])}, a finite one is needed")
        ends = np.cumsum(np.exp(x - top), 1)
        at = uniform(self.seed, len(x) * self.samples).reshape(len(x), self.samples) * ends[:, -1:]
        drawn = [np.searchsorted(e, a, "right") for e, a in zip(ends, at, strict=True)]
        return np.stack(drawn).astype(self.to) if drawn else np.zeros((0, self.samples), self.to)


def _float_type(code: int | None, default: np.dtype) -> np.dtype:
    to = element_type(code) if code else default
    if not (to in (FLOAT, DOUBLE) or to.name in ("float16", "bfloat16")):
        raise ModelError(f"random numbers of type {onnx_name(to)} are not possible")
    return to


def _shape(shape) -> tuple[int, ...]:
    if any(d < 0 for d in shape):
        raise ModelError(f"shape {list(shape)} has a negative dimension")
    return tuple(shape)


@onnx("RandomUniform", since=1)
def random_uniform(b, *, shape, dtype=1, high=1.0, low=0.0, seed=None):
    """ONNX RandomUniform, all versions."""
    return b.emit(Random(seed, _float_type(dtype, FLOAT), False, low, high, _shape(shape)))


@onnx("RandomNormal", since=1)
def random_normal(b, *, shape, dtype=1, mean=0.0, scale=1.0, seed=None):
    """ONNX RandomNormal, all versions."""
    return b.emit(Random(seed, _float_type(dtype, FLOAT), True, mean, scale, _shape(shape)))


@onnx("RandomUniformLike", since=1)
def random_uniform_like(b, x, *, dtype=None, high=1.0, low=0.0, seed=None):
    """ONNX RandomUniformLike, all versions."""
    return b.emit(Random(seed, _float_type(dtype, x.fact.dtype), False, low, high), x)


@onnx("RandomNormalLike", since=1)
def random_normal_like(b, x, *, dtype=None, mean=0.0, scale=1.0, seed=None):
    """ONNX RandomNormalLike, all versions."""
    return b.emit(Random(seed, _float_type(dtype, x.fact.dtype), True, mean, scale), x)


@onnx("Bernoulli", since=15)
def bernoulli(b, x, *, dtype=None, seed=None):
    """ONNX Bernoulli, all versions."""
    return b.emit(Bernoulli(seed, element_type(dtype) if dtype else x.fact.dtype), x)


@onnx("Multinomial", since=7)
def multinomial(b, x, *, dtype=6, sample_size=1, seed=None):
    """ONNX Multinomial, all versions."""
    to = element_type(dtype)
    if to.name not in ("int32", "int64") or sample_size < 1:
        raise ModelError(f"dtype {onnx_name(to)} and sample_size {sample_size}: int32 or int64, and 1 or more, are "
                         "needed")
    return b.emit(Multinomial(seed, to, sample_size), x)
