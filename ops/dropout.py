"""Dropout: at inference its input and a mask of ones; in training random zeros."""

from __future__ import annotations

import numpy as np

from cynfer.ops.broadcast import widen
from cynfer.ops.dtypes import BOOL
from cynfer.ops.errors import KernelError
from cynfer.ops.op import Op, onnx


class Ones(Op):
    """A tensor of ones as large as the input, in type `to`."""

    to: np.dtype

    def dtypes(self, x):
        return [self.to]

    def python(self, x):
        return np.ones(x.shape, self.to)


class Dropout(Op):
    """Zeros elements with probability `ratio` (input 1) and scales the others up, if input 2 is true.

    seed: as in the standard's test data, of NumPy's RandomState; without one every run differs.
    """

    seed: int | None = None
    pure = False
    n_outputs = 2

    def dtypes(self, x, ratio=None, training=None):
        return [x.dtype, BOOL]

    def python(self, x, ratio=None, training=None):
        ratio = 0.5 if ratio is None else float(ratio.reshape(-1)[0])
        if training is None or not training.reshape(-1)[0] or ratio == 0:
            return x, np.ones(x.shape, BOOL)
        if not 0 <= ratio < 1:
            raise KernelError(f"ratio is {ratio}, expected 0 to below 1")
        mask = np.random.RandomState(self.seed).uniform(0, 1, x.shape) >= ratio
        return (widen(x)[0] * (mask / (1 - ratio))).astype(x.dtype), mask


@onnx("Dropout", since=1)
@onnx("Dropout", since=6)
def dropout_1(b, x, *, ratio=0.5, is_test=0, consumed_inputs=(), n_outputs=1):
    """Always at inference; the mask has the type of the input."""
    return (x, b.emit(Ones(x.fact.dtype), x)) if n_outputs > 1 else x


@onnx("Dropout", since=7)
def dropout_7(b, x, *, ratio=0.5, n_outputs=1):
    """Always at inference; the mask has the type of the input."""
    return dropout_1(b, x, n_outputs=n_outputs)


@onnx("Dropout", since=10)
def dropout_10(b, x, *, ratio=0.5, n_outputs=1):
    """Always at inference; the mask is bool."""
    return (x, b.emit(Ones(BOOL), x)) if n_outputs > 1 else x


@onnx("Dropout", since=12)
def dropout(b, x, ratio=None, training_mode=None, *, seed=None, n_outputs=1):
    """Training is an input."""
    content = None if training_mode is None else training_mode.fact.constant
    rate = None if ratio is None else ratio.fact.constant
    if training_mode is None or (content is not None and not content.any()) or (rate is not None and not rate.any()):
        return dropout_10(b, x, n_outputs=n_outputs)
    return b.emit(Dropout(seed), x, ratio, training_mode)
