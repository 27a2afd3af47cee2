"""TensorScatter: new entries written into caches of keys and values."""

from __future__ import annotations

import numpy as np

from cynfer.ops.axes import axis_of
from cynfer.ops.errors import KernelError, ModelError, show
from cynfer.ops.op import Op, onnx


class TensorScatter(Op):
    """The cache (input 0) with the update (1) from position write_indices[batch] (2, or 0) on, along an axis."""

    axis: int
    circular: bool

    def shapes(self, cache, update, indices=None):
        axis = axis_of(self.axis, cache.rank)
        if axis == 0:
            raise ModelError(f"axis {self.axis} is that of the batch")
        if update.rank != cache.rank or any(
                isinstance(u, int) and isinstance(c, int) and (u > c if i == axis else u != c)
                for i, (u, c) in enumerate(zip(update.dims, cache.dims, strict=True))):
            raise ModelError(f"an update of shape {list(update.dims)} does not fit a cache of {list(cache.dims)} along "
                             f"axis {self.axis}")
        if indices is not None and (indices.rank != 1 or (indices.known and isinstance(cache.dims[0], int)
                                                          and indices.dims[0] != cache.dims[0])):
            raise ModelError(f"write_indices has shape {list(indices.dims)}, expected [{cache.dims[0]}]")
        return [cache.dims]

    def python(self, cache, update, indices=None):
        axis = axis_of(self.axis, cache.ndim)
        size, count = cache.shape[axis], update.shape[axis]
        first = np.zeros(cache.shape[0], np.int64) if indices is None else indices
        if count and first.size and (first.min() < 0 or (not self.circular and first.max() + count > size)):
            where = int(((first < 0) | (first + count > size)).argmax())
            raise KernelError(f"write index {int(first[where])} at position {where}: {count} entries do not fit "
                              f"0 to {size - 1}")
        y = cache.copy()
        at = first[:, None] + np.arange(count)
        at = at % size if self.circular and size else at
        np.moveaxis(y, axis, 1)[np.arange(cache.shape[0])[:, None], at] = np.moveaxis(update, axis, 1)
        return y


@onnx("TensorScatter", since=24)
def tensor_scatter(b, past_cache, update, write_indices=None, *, axis=-2, mode="linear"):
    """ONNX TensorScatter."""
    if mode not in ("linear", "circular"):
        raise ModelError(f"mode is {show(mode)}, expected linear or circular")
    return b.emit(TensorScatter(axis, mode == "circular"), past_cache, update, write_indices)
