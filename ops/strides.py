"""How kernels walk over broadcast operands, and over channels in the blocked layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cynfer.ops.fact import Fact


def walk(shape: Sequence[int], *operands: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """(dims, strides of each operand in elements) of a loop over `shape`, as few dims as will do.

    operands: shapes that broadcast to `shape`; their strides are 0 along broadcast axes.
    """
    if 0 in shape:
        return [0], [[1] for _ in operands]
    columns = []
    for operand in operands:
        strides, step = [], 1
        for i in range(len(shape)):
            d = operand[-1 - i] if i < len(operand) else 1
            strides.append(step if d != 1 else 0)
            step *= d
        columns.append(strides[::-1])
    dims: list[int] = []
    merged: list[list[int]] = [[] for _ in operands]
    for i, d in enumerate(shape):
        if d == 1:
            continue
        if dims and all(m[-1] == c[i] * d for m, c in zip(merged, columns, strict=True)):
            dims[-1] *= d
            for m, c in zip(merged, columns, strict=True):
                m[-1] = c[i]
        else:
            dims.append(d)
            for m, c in zip(merged, columns, strict=True):
                m.append(c[i])
    return (dims, merged) if dims else ([1], [[1] for _ in operands])


def elements(fact: Fact) -> int:
    """How many elements lie in memory, the padding of a blocked layout included."""
    return fact.nbytes // fact.dtype.itemsize


def is_channels(fact: Fact, out: Fact) -> bool:
    """True if a fact of any rank is one number per channel (axis 1) of the 4-D `out`, or one per image and channel."""
    shape = (*(1,) * (4 - len(fact.dims)), *fact.dims)
    return len(shape) == 4 and shape[1:] == (out.dims[1], 1, 1) and shape[0] in (1, out.dims[0])


def padded(fact: Fact, fill: float = 0.0) -> np.ndarray | None:
    """A constant of one number per channel, with further ones up to whole blocks of 16; None if it is not known."""
    content = fact.constant
    if content is None:
        return None
    rows = content.reshape(-1, content.shape[1] if content.ndim == 4 else content.size)
    result = np.full((rows.shape[0], -(-rows.shape[1] // 16) * 16), fill, fact.dtype)
    result[:, : rows.shape[1]] = rows
    return result
