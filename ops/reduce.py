"""Reductions over axes, positions of extremes, and running sums.

Over nothing a sum is 0, a product 1, a largest or smallest value the identity (∓Inf, or the type's end), a mean NaN
(0 for integers) and a position an error. NaN wins in ReduceMax and ReduceMin, and the first NaN in ArgMax and ArgMin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from cynfer.ops.axes import axes_of, axis_of
from cynfer.ops.broadcast import widen
from cynfer.ops.cast import to_integer
from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import FLOAT, INT64, is_float, prefix
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import UnknownRank
from cynfer.ops.half import halves
from cynfer.ops.op import Call, In, Op, Out, Temp, onnx
from cynfer.ops.shape import Squeeze
from cynfer.ops.strides import elements


class Reduce(Op):
    """kind: a key of NUMPY. axes: None for all, or for those that input 1 holds; noop: none where it holds none."""

    kind: str
    axes: tuple[int, ...] | None = None
    keepdims: bool = True
    noop: bool = False
    shape_inputs = (1,)

    @property
    def symbolic(self):
        return self.kind in ("sum", "prod")

    def over(self, x, axes=None) -> tuple[int, ...] | None:
        """The axes counted from the front for these facts; None where they are not known yet."""
        chosen = self.axes
        if axes is not None:
            chosen = axes.ints()
            if chosen is None or any(isinstance(a, Dim) for a in chosen):
                return None
            if not chosen and not self.noop:
                chosen = None
        return tuple(range(x.rank)) if chosen is None else tuple(sorted(axes_of(chosen, x.rank)))

    def shapes(self, x, axes=None):
        over = self.over(x, axes)
        if over is None:
            if not self.keepdims:
                raise UnknownRank
            return [[Dim.unknown() for _ in x.dims]]
        return [[1 if i in over else d for i, d in enumerate(x.dims) if self.keepdims or i not in over]]

    @halves
    def native(self, m, ins, outs):
        x, over = ins[0], self.over(*ins)
        if x.layout.block:
            return Call(f"f32_global_{self._pooling}_pool_c16", (In(0), Out(0)),
                        (x.dims[0], x.stored_shape[1], prod(x.dims[2:])), work=elements(x))
        kernel, first, last = KERNELS.get(self.kind, (self.kind, None, None))
        name = f"{prefix(x.dtype)}_reduce_{kernel}"
        if name not in m or over is None or not x.size or (x.dtype.kind != "f" and last in (2, 3)):
            return None
        groups = _groups(x.dims, over)
        steps: list[tuple[int, int, int, int]] = []  # outer, reduced, inner, chunks
        for i in reversed([i for i, (_, reduced) in enumerate(groups) if reduced]):
            outer, inner = (prod(n for n, _ in part) for part in (groups[:i], groups[i + 1:]))
            reduced, groups[i] = groups[i][0], (1, False)
            chunks = _chunks(outer, reduced, inner)
            steps += [(outer, reduced, inner, chunks)] + [(outer, chunks, inner, 1)] * (chunks > 1)
        count = x.size // outs[0].size
        calls: list[Call] = []
        source: In | Temp = In(0)
        for i, step in enumerate(steps):
            final = i == len(steps) - 1
            target = Out(0) if final else Temp(step[0] * step[2] * step[3] * x.dtype.itemsize)
            extra = () if first is None else (0 if i else first, last if final else 0, count)
            calls.append(Call(name, (source, target), (*step, *extra), (0.0,), work=2 * prod(step[:3])))
            source = target
        return calls

    @property
    def _pooling(self) -> str:
        return {"mean": "average"}.get(self.kind, self.kind)

    def blocked(self, m, ins, outs):
        return self.kind in ("mean", "max") and self.keepdims and ins[0].dtype == FLOAT \
            and self.over(*ins) == (2, 3) and f"f32_global_{self._pooling}_pool_c16" in m

    def python(self, x, axes=None):
        chosen = self.axes
        if axes is not None:
            chosen = None if axes.size == 0 and not self.noop else tuple(int(a) for a in axes.flat)
        chosen = tuple(range(x.ndim)) if chosen is None else axes_of(chosen, x.ndim)
        y = NUMPY[self.kind](*widen(x), chosen)
        y = y if self.keepdims else np.squeeze(y, chosen)
        if is_float(y.dtype) and not is_float(x.dtype):
            return to_integer(y, x.dtype)
        return y.astype(x.dtype)

    @property
    def title(self):
        return f"reduce_{self.kind}"


#: {kind: (kernel, what is added, what is done to the sum)}; the numbers are those of reduce_sum.
KERNELS = {"sum": ("sum", 0, 0), "mean": ("sum", 0, 1), "l1": ("sum", 1, 0), "sum_square": ("sum", 2, 0),
           "l2": ("sum", 2, 2), "log_sum": ("sum", 0, 3)}


def _groups(shape: Sequence[int], axes: Sequence[int]) -> list[tuple[int, bool]]:
    """[(size, whether it is reduced)] of neighbouring axes taken together; at least one is reduced."""
    groups: list[tuple[int, bool]] = []
    for i, d in enumerate(shape):
        reduced = i in axes
        if d == 1:
            continue
        if groups and groups[-1][1] == reduced:
            groups[-1] = groups[-1][0] * d, reduced
        else:
            groups.append((d, reduced))
    return groups if any(reduced for _, reduced in groups) else [*groups, (1, True)]


def _chunks(outer: int, reduced: int, inner: int) -> int:
    """In how many parts to reduce, so that there is work for all threads: a function of the shape alone."""
    units = outer * -(-inner // 64)
    if units >= 16 or outer * reduced * inner < 1 << 16:
        return 1
    return max(1, min(16 // units, reduced // 64))


def _sum(x, axes):
    return np.sum(x, axes, dtype=x.dtype, keepdims=True)


def _real(x):
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _mean(x, axes):
    total = _sum(x, axes)
    count = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
    if x.dtype.kind == "f":
        return total / x.dtype.type(count)
    if not count:
        return np.zeros_like(total)
    count = total.dtype.type(count)
    return np.sign(total) * (np.abs(total) // count) if x.dtype.kind == "i" else total // count


def _log_sum_exp(x, axes):
    x = _real(x)
    top = np.max(x, axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(_sum(np.exp(x - top), axes)) + top


def _extreme(function, last: bool):
    def run(x, axes):
        if x.dtype == bool:
            return function(x, axes, keepdims=True, initial=last)
        if x.dtype.kind == "f":
            return function(x, axes, keepdims=True, initial=np.inf if last else -np.inf)
        info = np.iinfo(x.dtype)
        return function(x, axes, keepdims=True, initial=info.max if last else info.min)

    return run


#: {kind: function of the input and the axes, which keeps them as 1}.
NUMPY: dict[str, Callable] = {
    "sum": _sum, "mean": _mean, "prod": lambda x, axes: np.prod(x, axes, dtype=x.dtype, keepdims=True),
    "max": _extreme(np.max, False), "min": _extreme(np.min, True),
    "l1": lambda x, axes: _sum(np.abs(x), axes), "l2": lambda x, axes: np.sqrt(_sum(_real(x) ** 2, axes)),
    "sum_square": lambda x, axes: _sum(x * x, axes), "log_sum": lambda x, axes: np.log(_real(_sum(x, axes))),
    "log_sum_exp": _log_sum_exp,
}


def _emit(b, kind: str, x, axes: tuple[int, ...] | None, keepdims: int):
    """Over the pixels of images the axes are kept and dropped after, since images may lie in blocks of channels."""
    if not keepdims and axes and x.fact.shape is not None and x.fact.rank == 4 and set(axes_of(axes, 4)) == {2, 3}:
        return b.emit(Squeeze(), b.emit(Reduce(kind, axes), x), b.const((2, 3), INT64))
    return b.emit(Reduce(kind, axes, bool(keepdims)), x)


def _register(name: str, kind: str, since_input: int) -> None:
    onnx(name, since=1)(lambda b, x, *, axes=None, keepdims=1: _emit(
        b, kind, x, None if axes is None else tuple(axes), keepdims))

    def with_input(b, x, axes=None, *, keepdims=1, noop_with_empty_axes=0):
        op = Reduce(kind, () if noop_with_empty_axes else None, bool(keepdims), bool(noop_with_empty_axes))
        if axes is None:
            return b.emit(op, x)
        if axes.fact.constant is None:
            return b.emit(op, x, axes)
        chosen = tuple(int(a) for a in axes.fact.constant.flat)
        return _emit(b, kind, x, chosen or op.axes, keepdims)

    onnx(name, since=since_input)(with_input)


for _name, _kind, _since in (
    ("ReduceSum", "sum", 13), ("ReduceMean", "mean", 18), ("ReduceMax", "max", 18), ("ReduceMin", "min", 18),
    ("ReduceProd", "prod", 18), ("ReduceL1", "l1", 18), ("ReduceL2", "l2", 18), ("ReduceLogSum", "log_sum", 18),
    ("ReduceLogSumExp", "log_sum_exp", 18), ("ReduceSumSquare", "sum_square", 18),
):
    _register(_name, _kind, _since)


class ArgExtreme(Op):
    """Position of the largest (or smallest) along an axis: the first, or with `last` the last of equal ones."""

    kind: str
    axis: int
    keepdims: bool = True
    last: bool = False

    def shapes(self, x):
        axis = axis_of(self.axis, x.rank)
        if x.dims[axis] == 0:
            raise ModelError(f"axis {self.axis} of {x} is empty")
        return [[1 if i == axis else d for i, d in enumerate(x.dims) if self.keepdims or i != axis]]

    def dtypes(self, x):
        return [INT64]

    @halves
    def native(self, m, ins, outs):
        x = ins[0]
        name = f"{prefix(x.dtype)}_{self.title}"
        axis = axis_of(self.axis, x.rank)
        n = (prod(x.dims[:axis]), x.dims[axis], prod(x.dims[axis + 1:]), int(self.last))
        return Call(name, (In(0), Out(0)), n, work=2 * x.size) if name in m and x.size else None

    def python(self, x):
        find = np.argmax if self.kind == "max" else np.argmin
        (x,) = widen(x)
        axis = axis_of(self.axis, x.ndim)
        if self.last:
            found = x.shape[axis] - 1 - find(np.flip(x, axis), axis, keepdims=self.keepdims)
        else:
            found = find(x, axis, keepdims=self.keepdims)
        return np.asarray(found, np.int64)

    @property
    def title(self):
        return f"arg{self.kind}"


def _register_arg(name: str, kind: str) -> None:
    onnx(name, since=1)(lambda b, x, *, axis=0, keepdims=1: b.emit(ArgExtreme(kind, axis, bool(keepdims)), x))
    onnx(name, since=12)(lambda b, x, *, axis=0, keepdims=1, select_last_index=0: b.emit(
        ArgExtreme(kind, axis, bool(keepdims), bool(select_last_index)), x))


_register_arg("ArgMax", "max")
_register_arg("ArgMin", "min")


class Cumulative(Op):
    """Running sums (or products) along the axis that input 1 holds."""

    kind: str
    exclusive: bool
    reverse: bool

    def shapes(self, x, axis):
        if axis.constant is not None:
            axis_of(int(axis.constant.reshape(-1)[0]), x.rank)
        return [x.dims]

    @halves
    def native(self, m, ins, outs):
        x, where = ins[0], ins[1].constant
        name = f"{prefix(x.dtype)}_cum{self.kind}"
        if name not in m or where is None or not x.size:
            return None
        axis = axis_of(int(where.reshape(-1)[0]), x.rank)
        n = (prod(x.dims[:axis]), x.dims[axis], prod(x.dims[axis + 1:]), int(self.exclusive), int(self.reverse))
        return Call(name, (In(0), Out(0)), n, work=2 * x.size)

    def python(self, x, axis):
        at = axis_of(int(axis.reshape(-1)[0]), x.ndim)
        y = np.moveaxis(widen(x)[0], at, -1)
        y = y[..., ::-1] if self.reverse else y
        if self.exclusive:
            first = np.full((*y.shape[:-1], 1), self.kind == "prod", y.dtype)
            y = np.concatenate([first, y[..., :-1]], -1) if y.shape[-1] else y
        y = (np.cumsum if self.kind == "sum" else np.cumprod)(y, -1, dtype=y.dtype)
        return np.moveaxis(y[..., ::-1] if self.reverse else y, -1, at).astype(x.dtype)


def _register_cumulative(name: str, since: int, kind: str) -> None:
    onnx(name, since=since)(lambda b, x, axis, *, exclusive=0, reverse=0: b.emit(
        Cumulative(kind, bool(exclusive), bool(reverse)), x, axis))


_register_cumulative("CumSum", 11, "sum")
_register_cumulative("CumProd", 26, "prod")
