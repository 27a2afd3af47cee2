"""Folds γx+β by channel into the constant weights of the product before it.

BatchNormalization lowers to Affine; exporters also write it as Mul, Add, Sub and Div by constants. The product
(Conv, ConvTranspose, Gemm, MatMul) says how its weights change (`Op.scaled`); shared weights are not touched, the
product gets its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cynfer.ops.affine import Affine
from cynfer.ops.binary import Binary
from cynfer.ops.fact import Fact
from cynfer.ops.op import Op
from cynfer.runtime.graph import Graph
from cynfer.runtime.passes.rewrite import Context, rewrite


def fold_affine(graph: Graph, context: Context) -> Graph:
    """The graph with those pairs joined."""

    def rule(b, node, inputs):
        facts = [None if v is None else v.fact for v in inputs]
        found = as_affine(node.op, facts)
        if found is None:
            return None
        position, gamma, beta = found
        product = inputs[position].producer
        if product is None or product.op.channel_axis is None or not b.only_use(inputs[position]):
            return None
        out = product.outputs[0].fact
        if out.shape is None or node.outputs[0].fact.shape != out.shape:  # the constant would widen the result
            return None
        axis = product.op.channel_axis % out.rank
        channels = out.dims[axis]
        gamma, beta = (_by_channel(a, axis, out.rank, channels) for a in (gamma, beta))
        weights = [None if v is None else v.fact.constant for v in product.inputs[1:]]
        if gamma is None or beta is None or any(w is None and v is not None
                                                for w, v in zip(weights, product.inputs[1:], strict=True)):
            return None
        with np.errstate(all="ignore"):
            scaled = product.op.scaled(weights, gamma, beta)
        if scaled is None or any(w is not None and not np.isfinite(w).all() for w in scaled):
            return None  # what overflows in a weight may not in the product
        return b.emit(product.op, product.inputs[0], *(None if w is None else b.const(w) for w in scaled))

    return rewrite(graph, rule, context, "fold_affine")


def as_affine(op: Op, facts: Sequence[Fact | None]) -> tuple[int, np.ndarray, np.ndarray] | None:
    """(input x, γ, β) if the op is γx+β with constants that broadcast against x; None if it is not."""
    there = [f for f in facts if f is not None]  # neither op has optional inputs
    if isinstance(op, Affine):
        x, gamma, beta = there[0], there[1].constant, there[2].constant
        if x.shape is None or gamma is None or beta is None:
            return None
        shape = (1, -1) + (1,) * (x.rank - 2)
        return 0, gamma.astype(np.float64).reshape(shape), beta.astype(np.float64).reshape(shape)
    if not isinstance(op, Binary) or op.kernel not in ("add", "sub", "mul", "div") or there[0].dtype.kind != "f":
        return None
    for position in (0, 1):
        constant = there[1 - position].constant
        if constant is None or there[position].constant is not None:
            continue
        c = constant.astype(np.float64)
        if op.kernel == "add":
            return position, np.ones(1), c
        if op.kernel == "mul":
            return position, c, np.zeros(1)
        if op.kernel == "sub":
            return (0, np.ones(1), -c) if position == 0 else (1, -np.ones(1), c)
        if op.kernel == "div" and position == 0 and np.all(c != 0):
            return 0, 1 / c, np.zeros(1)
    return None


def _by_channel(a: np.ndarray, axis: int, rank: int, channels) -> np.ndarray | None:
    """`a` as one number for each channel, or None if it varies along another axis too."""
    if not isinstance(channels, int) or a.ndim > rank:
        return None
    shape = (1,) * (rank - a.ndim) + a.shape
    if any(d != 1 for i, d in enumerate(shape) if i != axis) or shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(a.ravel(), channels)
