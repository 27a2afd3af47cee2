"""What may ride on the tile of a product: element-wise steps applied to its sums before they are stored.

The kernels' side is kernels/epilogue.h, which also has the numbers of the kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cynfer.ops.binary import Binary
from cynfer.ops.elementwise import Unary
from cynfer.ops.fact import Fact
from cynfer.ops.op import In, Op

#: Unary kernels (and their scalars) that the epilogue has under another name or parametrisation.
_UNARY = {"relu": "relu", "clip": "clip", "leaky_relu": "leaky", "sigmoid": "sigmoid", "tanh": "tanh",
          "hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish", "silu": "silu", "elu": "elu", "gelu": "gelu"}


@dataclass(frozen=True)
class Step:
    """One step. operand: which of the op's extra inputs it reads, or -1."""

    kind: str
    f: tuple[float, ...] = ()
    operand: int = -1


def step(consumer: Op, position: int, out: Fact, others: Sequence[Fact], operands: int, channel_axis: int
         ) -> tuple[Step, bool] | None:
    """The consumer as a step on a product with output `out` that has `operands` extra inputs already.

    Returns the step and whether it reads a further input (the consumer's other one); None if there is no such step.
    """
    if isinstance(consumer, Unary):
        kind = _UNARY.get(consumer.kernel)
        return None if kind is None else (Step(kind, tuple(consumer.f)), False)
    if not isinstance(consumer, Binary) or consumer.kernel not in ("add", "mul") or len(others) != 1:
        return None
    other = others[0]
    if other.shape is None or other.dtype != out.dtype:
        return None
    constant = other.constant
    if constant is not None and constant.size == 1 and len(other.shape) <= out.rank:
        return Step(consumer.kernel + "_scalar", (float(constant.ravel()[0]),)), False
    if other.shape == out.shape:
        return Step(consumer.kernel, (), operands), True
    return None


def encode(steps: Sequence[Step], m, at: int, first: int, count: int) -> tuple[list[int], list[float], list[In]]:
    """(n, f, operands) for a kernel call.

    at: where the extra operands stand in the call's operand list; first: the op's first extra input; count: how many.
    """
    kinds = m.module("conv").EPILOGUE
    n, f = [len(steps)], []
    for s in steps:
        n += [kinds[s.kind], at + s.operand if s.operand >= 0 else -1]
        f += [*s.f, 0.0, 0.0][:2]
    return n, f, [In(first + i) for i in range(count)]


def apply(steps: Sequence[Step], y: np.ndarray, extra: Sequence[np.ndarray]) -> np.ndarray:
    """The steps in NumPy (for types that no kernel has)."""
    for s in steps:
        if s.kind in ("add", "mul"):
            y = y + extra[s.operand] if s.kind == "add" else y * extra[s.operand]
        elif s.kind.endswith("_scalar"):
            y = y + y.dtype.type(s.f[0]) if s.kind.startswith("add") else y * y.dtype.type(s.f[0])
        else:
            kernel = next(k for k, v in _UNARY.items() if v == s.kind)
            y = Unary(kernel, s.f).python(y)
    return y
