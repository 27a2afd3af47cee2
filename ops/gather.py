"""Reading at indices (Gather, GatherElements, GatherND) and writing at indices (ScatterElements, ScatterND)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axis_of, check_indices
from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import Fact, UnknownRank
from cynfer.ops.op import Call, In, Op, Out, onnx


def _integers(indices: np.ndarray) -> np.ndarray:
    return indices if indices.dtype != object else indices.astype(np.int64)


def _indexable(m, kernel: str, x: Fact, indices: Fact) -> bool:
    return kernel in m and x.dtype != dtypes.STRING and indices.dtype.itemsize in (4, 8) \
        and 1 <= x.rank <= 32 and 1 <= indices.rank <= 32


class Gather(Op):
    """Slices of x along an axis, picked by an index tensor of any rank."""

    axis: int = 0
    symbolic: ClassVar[bool] = True

    def shapes(self, x, indices):
        axis = axis_of(self.axis, x.rank)
        return [[*x.dims[:axis], *indices.dims, *x.dims[axis + 1:]]]

    def native(self, m, ins, outs):
        x, indices = ins
        if "gather" not in m or x.dtype == dtypes.STRING or indices.dtype.itemsize not in (4, 8):
            return None
        axis = axis_of(self.axis, x.rank)
        inner = math.prod(x.dims[axis + 1:]) * x.dtype.itemsize
        n = (math.prod(x.dims[:axis]), x.dims[axis], inner, indices.size, indices.dtype.itemsize)
        return Call("gather", (In(0), In(1), Out(0)), n, work=outs[0].nbytes / 16 + indices.size)

    def python(self, x, indices):
        axis, indices = axis_of(self.axis, x.ndim), _integers(indices)
        check_indices(indices, x.shape[axis], axis)
        return x.take(indices, axis)


@onnx("Gather", since=1)
def gather(b, x, indices, *, axis=0):
    """ONNX Gather; negative indices (from version 11) count from the end in all."""
    return b.emit(Gather(axis), x, indices)


def _check_elements(x, indices, axis):
    """The axis; raises ModelError unless indices fit x everywhere but along it."""
    axis = axis_of(axis, x.rank)
    if indices.rank != x.rank:
        raise ModelError(f"indices has {indices.rank} dimensions, the input {x.rank}")
    for a, (i, d) in enumerate(zip(indices.dims, x.dims, strict=True)):
        if a != axis and isinstance(i, int) and isinstance(d, int) and i > d:
            raise ModelError(f"indices has {i} elements along axis {a}, the input only {d}")
    return axis


def _coordinates(shape, indices, axis, size):
    """An index tuple that pairs every index with its own place along the other axes."""
    check_indices(indices, size, axis)
    grid = list(np.ogrid[tuple(slice(d) for d in indices.shape)])
    grid[axis] = np.where(indices < 0, indices + size, indices)
    return tuple(grid)


class GatherElements(Op):
    """One element of x for every index, at the index's own place along all axes but one."""

    axis: int = 0

    def shapes(self, x, indices):
        _check_elements(x, indices, self.axis)
        return [indices.dims]

    def native(self, m, ins, outs):
        x, indices = ins
        if not _indexable(m, "gather_elements", x, indices) or x.dtype.itemsize not in (1, 2, 4, 8, 16):
            return None
        n = (x.dtype.itemsize, indices.dtype.itemsize, axis_of(self.axis, x.rank), x.rank, *x.dims, *indices.dims)
        return Call("gather_elements", (In(0), In(1), Out(0)), n, work=2.0 * indices.size)

    def python(self, x, indices):
        axis = axis_of(self.axis, x.ndim)
        return x[_coordinates(x.shape, indices, axis, x.shape[axis])]


@onnx("GatherElements", since=11)
def gather_elements(b, x, indices, *, axis=0):
    """ONNX GatherElements, all versions."""
    return b.emit(GatherElements(axis), x, indices)


class GatherND(Op):
    """Slices of x; the last dimension of indices is a coordinate of the first axes after the batch axes."""

    batch_dims: int = 0

    def shapes(self, x, indices):
        b = self.batch_dims
        if indices.rank < 1 or x.rank < 1:
            raise ModelError(f"indices has {indices.rank} dimensions, the input {x.rank}; at least 1 each is needed")
        if not 0 <= b < min(x.rank, indices.rank):
            raise ModelError(f"batch_dims {b} is outside 0 to {min(x.rank, indices.rank) - 1}")
        depth = indices.dims[-1]
        if isinstance(depth, Dim):
            raise UnknownRank
        if not 1 <= depth <= x.rank - b:
            raise ModelError(f"the last dimension of indices is {depth}, outside 1 to {x.rank - b}")
        for a in range(b):
            i, d = indices.dims[a], x.dims[a]
            if isinstance(i, int) and isinstance(d, int) and i != d:
                raise ModelError(f"batch axis {a} differs: {i} in indices, {d} in the input")
        return [[*indices.dims[:-1], *x.dims[b + depth:]]]

    def native(self, m, ins, outs):
        x, indices = ins
        if not _indexable(m, "gather_nd", x, indices):
            return None
        b, depth = self.batch_dims, indices.dims[-1]
        sizes, inner = x.dims[b: b + depth], math.prod(x.dims[b + depth:]) * x.dtype.itemsize
        n = (math.prod(x.dims[:b]), depth, math.prod(indices.dims[b:-1]), inner, indices.dtype.itemsize, *sizes)
        return Call("gather_nd", (In(0), In(1), Out(0)), n, work=outs[0].nbytes / 16 + 2.0 * indices.size)

    def python(self, x, indices):
        b, depth = self.batch_dims, indices.shape[-1]
        for k in range(depth):
            check_indices(indices[..., k], x.shape[b + k], b + k)
        batch = np.ogrid[tuple(slice(d) for d in indices.shape[:-1])][:b] if indices.ndim > 1 else []
        at = (*batch, *np.moveaxis(indices, -1, 0))
        return x[at]


@onnx("GatherND", since=11)
def gather_nd(b, x, indices, *, batch_dims=0):
    """batch_dims from version 12."""
    return b.emit(GatherND(batch_dims), x, indices)


REDUCTIONS = {"none": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _check_reduction(reduction, dtype):
    if reduction not in REDUCTIONS:
        raise ModelError(f"reduction is {reduction!r}; choose from {', '.join(REDUCTIONS)}")
    if reduction != "none" and dtype == dtypes.STRING:
        raise ModelError(f"reduction {reduction} of strings; only none is allowed")


def _scatter_kernel(m, family: str, reduction: str, x: Fact, indices: Fact) -> str | None:
    """The kernel's name; without reduction any type of the same size will do."""
    letter = f"u{8 * x.dtype.itemsize}" if reduction == "none" else dtypes.prefix(x.dtype)
    name = f"{letter}_{family}"
    return name if _indexable(m, name, x, indices) else None


def _copy(x: Fact) -> Call:
    return Call("copy_bytes", (In(0), Out(0)), (x.nbytes,), work=x.nbytes / 16)


def _scatter(x, at, updates, reduction):
    """A copy of x with updates put in, in the order of indices: of two at one place the later one counts."""
    ufunc = REDUCTIONS[reduction]
    if ufunc is None:
        y = x.copy()
        y[at] = updates
        return y
    small = x.dtype.kind == "V" or x.dtype.name in ("bfloat16", "float16")
    y = x.astype(np.float32) if small else x.copy()
    ufunc.at(y, at, updates.astype(y.dtype))
    return y.astype(x.dtype)


class ScatterElements(Op):
    """x with one element written for every index, at the index's own place along all axes but one."""

    axis: int = 0
    reduction: str = "none"

    def shapes(self, x, indices, updates):
        _check_reduction(self.reduction, x.dtype)
        _check_elements(x, indices, self.axis)
        if (updates.shape is not None and len(updates.shape) != indices.rank) or any(
                isinstance(i, int) and isinstance(u, int) and i != u
                for i, u in zip(indices.dims, updates.dims, strict=True)):
            raise ModelError(f"updates have shape {list(updates.dims)}, indices {list(indices.dims)}")
        return [x.dims]

    def native(self, m, ins, outs):
        x, indices, _ = ins
        name = _scatter_kernel(m, "scatter_elements", self.reduction, x, indices)
        if name is None:
            return None
        n = (list(REDUCTIONS).index(self.reduction), indices.dtype.itemsize, axis_of(self.axis, x.rank), x.rank,
             *x.dims, *indices.dims)
        return [_copy(x), Call(name, (Out(0), In(1), In(2)), n, work=2.0 * indices.size)]

    def python(self, x, indices, updates):
        axis = axis_of(self.axis, x.ndim)
        return _scatter(x, _coordinates(x.shape, indices, axis, x.shape[axis]), updates, self.reduction)


@onnx("Scatter", since=9)
def scatter(b, x, indices, updates, *, axis=0):
    """The old name of ScatterElements."""
    return b.emit(ScatterElements(axis), x, indices, updates)


@onnx("ScatterElements", since=11)
def scatter_elements(b, x, indices, updates, *, axis=0, reduction="none"):
    """reduction from version 16, max and min from 18."""
    return b.emit(ScatterElements(axis, reduction), x, indices, updates)


class ScatterND(Op):
    """x with slices written; the last dimension of indices is a coordinate of the first axes."""

    reduction: str = "none"

    def shapes(self, x, indices, updates):
        _check_reduction(self.reduction, x.dtype)
        if indices.rank < 1:
            raise ModelError("indices is a scalar; at least 1 dimension is needed")
        depth = indices.dims[-1]
        if not isinstance(depth, Dim):
            if not 1 <= depth <= x.rank:
                raise ModelError(f"the last dimension of indices is {depth}, outside 1 to {x.rank}")
            want = [*indices.dims[:-1], *x.dims[depth:]]
            if len(want) != updates.rank or any(isinstance(w, int) and isinstance(u, int) and w != u
                                                for w, u in zip(want, updates.dims, strict=True)):
                raise ModelError(f"updates have shape {list(updates.dims)}, {want} is needed")
        return [x.dims]

    def native(self, m, ins, outs):
        x, indices, updates = ins
        name = _scatter_kernel(m, "scatter_nd", self.reduction, x, indices)
        if name is None:
            return None
        depth = indices.dims[-1]
        n = (list(REDUCTIONS).index(self.reduction), depth, math.prod(indices.dims[:-1]), math.prod(x.dims[depth:]),
             indices.dtype.itemsize, *x.dims[:depth])
        return [_copy(x), Call(name, (Out(0), In(1), In(2)), n, work=updates.size + 2.0 * indices.size)]

    def python(self, x, indices, updates):
        for k in range(indices.shape[-1]):
            check_indices(indices[..., k], x.shape[k], k)
        return _scatter(x, tuple(indices[..., k] for k in range(indices.shape[-1])), updates, self.reduction)


@onnx("ScatterND", since=11)
def scatter_nd(b, x, indices, updates, *, reduction="none"):
    """reduction from version 16, max and min from 18."""
    return b.emit(ScatterND(reduction), x, indices, updates)
