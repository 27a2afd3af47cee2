"""Pooling over windows and over all of space.

ONNX: MaxPool 1-12+, AveragePool 1-19+, LpPool 1-18+, GlobalMaxPool, GlobalAveragePool, GlobalLpPool. One to three
spatial axes. A NaN in a window gives NaN; the average of a window of padding alone is 0.
"""

from __future__ import annotations

import numpy as np

from cynfer.ops.dtypes import FLOAT, INT64, prefix
from cynfer.ops.errors import ModelError, UnsupportedError
from cynfer.ops.half import in_float32
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.window import Window


class Pool(Op):
    """kind: "max", "average" or "lp". option: count padding (average); p: the norm (lp).

    indices: also give the position of each maximum in the flat input; column_major: counted that way in space.
    """

    kind: str
    window: Window
    option: int = 0
    p: float = 2.0
    indices: bool = False
    column_major: bool = False

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return 2 if self.indices else 1

    def shapes(self, x, *_):
        if x.rank < 3:
            raise ModelError(f"the input has rank {x.rank}, at least 3 is needed")
        rank, w = len(self.window.kernel), self.window
        if rank > 3:
            raise UnsupportedError(f"kernel_shape {list(w.kernel)} has {rank} spatial axes; 1 to 3 are supported")
        if w.pads is not None:
            for i, pad in enumerate(w.pads):
                if pad >= w.extents[i % rank]:
                    raise ModelError(f"pads {list(w.pads)}: the pad {pad} is not below the window's reach "
                                     f"{w.extents[i % rank]}")
        return [(*x.dims[:2], *w.output(x.dims[2:]))] * self.n_outputs

    def dtypes(self, x, *_):
        return [x.dtype, INT64][: self.n_outputs]

    def blocked(self, m, ins, outs):
        return ins[0].dtype == FLOAT and ins[0].rank == 4 and not self.indices and self.kind != "lp"

    def native(self, m, ins, outs):
        x, y = ins[0], outs[0]
        kernel = f"{prefix(x.dtype)}_{self.kind}_pool" + ("_c16" if x.layout.block else "")
        rank = len(self.window.kernel)
        if kernel not in m or rank > 3 or y.size == 0:
            return None
        pads = self.window.padding(x.dims[2:])
        work = y.size * int(np.prod(self.window.kernel))
        if x.layout.block:
            n = [x.dims[0], x.stored_shape[1], *x.dims[2:], *y.dims[2:], *self.window.kernel, *self.window.strides,
                 *self.window.dilations, *pads, self.option]
            return Call(kernel, (In(0), Out(0)), n, work=work)

        def three(values, fill=1) -> list[int]:
            return [fill] * (3 - rank) + list(values)

        n = [x.dims[0] * x.dims[1], *three(x.dims[2:]), *three(y.dims[2:]), *three(self.window.kernel),
             *three(self.window.strides), *three(self.window.dilations), *three(pads[:rank], 0),
             *three(pads[rank:], 0), int(self.column_major) if self.kind == "max" else self.option]
        operands = [In(0), Out(0)]
        if self.kind == "max":
            operands.append(Out(1) if self.indices else None)
        return Call(kernel, operands, n, (self.p,), work=work)

    @property
    def title(self) -> str:
        return {"max": "MaxPool", "average": "AveragePool", "lp": "LpPool"}[self.kind]


class GlobalPool(Op):
    """One value for each channel of each image. kind: "max", "average" or "lp" (the p-norm)."""

    kind: str
    p: float = 2.0

    def shapes(self, x):
        if x.rank < 3:
            raise ModelError(f"the input has rank {x.rank}, at least 3 is needed")
        if 0 in x.dims[2:] and 0 not in x.dims[:2]:
            raise ModelError(f"the input {list(x.dims)} has no pixels; every spatial axis needs at least 1")
        return [(*x.dims[:2], *[1] * (x.rank - 2))]

    def blocked(self, m, ins, outs):
        return ins[0].dtype == FLOAT and ins[0].rank == 4 and self.kind != "lp"

    def native(self, m, ins, outs):
        x = ins[0]
        pixels = int(np.prod(x.dims[2:]))
        if x.size == 0 or (x.layout.block and self.kind == "lp"):
            return None
        if x.layout.block:
            return Call(f"f32_global_{self.kind}_pool_c16", (In(0), Out(0)), (x.dims[0], x.stored_shape[1], pixels),
                        work=x.size)
        kernel = f"{prefix(x.dtype)}_reduce_{'max' if self.kind == 'max' else 'sum'}"
        if kernel not in m:
            return None
        n = [x.dims[0] * x.dims[1], pixels, 1, 1]  # see reduce.pyx: how each element and the sum are mapped
        n += {"max": [], "average": [0, 1, pixels], "lp": [3, 4, 0]}[self.kind]
        return Call(kernel, (In(0), Out(0)), n, (self.p,), work=x.size)

    def python(self, x):
        axes = tuple(range(2, x.ndim))
        if self.kind == "max":
            return x.max(axis=axes, keepdims=True)
        if self.kind == "average":
            return x.mean(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype)
        return ((np.abs(x.astype(np.float64)) ** self.p).sum(axis=axes, keepdims=True) ** (1 / self.p)).astype(x.dtype)

    @property
    def title(self) -> str:
        return {"max": "GlobalMaxPool", "average": "GlobalAveragePool", "lp": "GlobalLpPool"}[self.kind]


@onnx("MaxPool", since=1)
def max_pool(b, x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, dilations=(), pads=(), storage_order=0, strides=(),
             n_outputs=1):
    """ONNX MaxPool, all versions."""
    window = Window.of(kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return in_float32(b, Pool("max", window, indices=n_outputs > 1, column_major=bool(storage_order)), x)


@onnx("AveragePool", since=1)
def average_pool(b, x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, dilations=(), pads=(),
                 strides=()):
    """ONNX AveragePool, all versions."""
    window = Window.of(kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return in_float32(b, Pool("average", window, int(count_include_pad)), x)


@onnx("LpPool", since=1)
def lp_pool(b, x, *, kernel_shape=None, auto_pad="NOTSET", ceil_mode=0, dilations=(), p=2, pads=(), strides=()):
    """ONNX LpPool, all versions."""
    if kernel_shape is None:
        raise ModelError("kernel_shape is missing")
    window = Window.of(kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return in_float32(b, Pool("lp", window, p=float(p)), x)


@onnx("GlobalMaxPool", since=1)
def global_max_pool(b, x):
    """ONNX GlobalMaxPool, all versions."""
    return in_float32(b, GlobalPool("max"), x)


@onnx("GlobalAveragePool", since=1)
def global_average_pool(b, x):
    """ONNX GlobalAveragePool, all versions."""
    return in_float32(b, GlobalPool("average"), x)


@onnx("GlobalLpPool", since=1)
def global_lp_pool(b, x, *, p=2):
    """ONNX GlobalLpPool, all versions."""
    return in_float32(b, GlobalPool("lp", float(p)), x)
