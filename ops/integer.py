"""Products and convolutions of 8-bit integers: MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv.

Sums are exact in int32 (they wrap beyond). The QLinear operators multiply them in float32 with scale_a * scale_b /
scale_y, round to even, add the zero point and saturate.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from cynfer.ops.axes import strides_of
from cynfer.ops.binary import Binary
from cynfer.ops.broadcast import fits
from cynfer.ops.cast import Cast, integer_range
from cynfer.ops.conv import Convolution
from cynfer.ops.dtypes import FLOAT, INT64, is_integer, prefix
from cynfer.ops.elementwise import Unary
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.matmul import MatMul, integer_gemm
from cynfer.ops.move import MAX_NDIM, copy_call
from cynfer.ops.op import Call, In, Op, Out, Temp, onnx
from cynfer.ops.pad import TABLE, index_table
from cynfer.ops.quantize import Quantize
from cynfer.ops.shape import Unsqueeze

INT32 = np.dtype(np.int32)


class MatMulInteger(Op):
    """(A - zero of A) (B - zero of B) in int32; a zero point is one for all, for each row of A, each column of B."""

    weight_inputs: ClassVar[tuple[int, ...]] = (1,)

    def shapes(self, a, b, za=None, zb=None):
        shape = MatMul().shapes(a, b)[0]
        if za is not None and za.shape is not None and za.size != 1:
            fits((*za.dims, 1) if za.rank == 1 else za.dims, a.dims, "the zero point of A")
        if zb is not None and zb.shape is not None and zb.size != 1:
            fits(zb.dims, b.dims, "the zero point of B")
        return [shape]

    def dtypes(self, *ins):
        return [INT32]

    def native(self, m, ins, outs):
        a, b, za, zb = (*ins, None, None)[:4]
        name = prefix(a.dtype) + prefix(b.dtype)
        if f"{name}_gemm" not in m or not outs[0].size:
            return None
        matrices = MatMul().matrices(a, b)
        rows, columns = matrices[1][0], matrices[3][1]
        if (za is not None and za.size not in (1, rows)) or (zb is not None and zb.size not in (1, columns)):
            return None  # a zero point for each item of the batch
        steps = (int(za is not None and za.size > 1), int(zb is not None and zb.size > 1), 0, 0)
        extra = (None if za is None else In(2), None if zb is None else In(3))
        return integer_gemm(name, matrices, extra, steps)

    def python(self, a, b, za=None, zb=None):
        a, b = a.astype(INT32), b.astype(INT32)
        if za is not None:
            a = a - _column(za.astype(INT32))
        return MatMul().python(a, b if zb is None else b - zb.astype(INT32))


def _column(v: np.ndarray) -> np.ndarray:
    return v.reshape(()) if v.size == 1 else v[:, None] if v.ndim == 1 else v


class ConvInteger(Convolution):
    """Convolution of x - zero of x with w - zero of w (one for all or for each output channel) in int32.

    Padding counts as the zero of x. Inputs: x, w, zero of x, zero of w.
    """

    weight_inputs: ClassVar[tuple[int, ...]] = (1,)

    def shapes(self, x, w, zx=None, zw=None):
        self.check(x, w, None, w.dims[1] * self.group, w.dims[0])
        if zx is not None and zx.known and zx.size != 1:
            raise ModelError(f"the zero point of x has shape {list(zx.dims)}, a scalar is needed")
        if zw is not None and zw.known and w.known and zw.size not in (1, w.dims[0]):
            raise ModelError(f"the zero point of w has shape {list(zw.dims)}, expected a scalar or [{w.dims[0]}]")
        return [(x.dims[0], w.dims[0], *self.window(w).output(x.dims[2:]))]

    def dtypes(self, *ins):
        return [INT32]

    def native(self, m, ins, outs):
        """Columns (input channel, tap) by output position are gathered, then multiplied by the weight."""
        x, w, zx, zw = (*ins, None, None)[:4]
        y, name, window = outs[0], prefix(w.dtype) + prefix(x.dtype), self.window(w)
        if f"{name}_gemm" not in m or not {"pad", "copy_nd"} <= set(m.kernels()) or not y.size or not x.size:
            return None
        images, channels, *space = x.dims
        pads, rank = window.padding(space), len(space)
        calls: list[Call] = []
        source, positions = In(0), prod(y.dims[2:])
        zero = np.zeros(1, x.dtype) if zx is None else In(2)
        if any(pads):
            padded = [d + pads[i] + pads[rank + i] for i, d in enumerate(space)]
            target = Temp(images * channels * prod(padded))
            if sum(padded) > TABLE or rank > MAX_NDIM - 2:
                return None
            tables = [np.arange(images), np.arange(channels),
                      *(index_table(d, pads[i], pads[rank + i], "constant") for i, d in enumerate(space))]
            n = (1, rank + 2, *x.dims, images, channels, *padded)
            calls.append(Call("pad", (source, target, zero, np.concatenate(tables).astype(np.int64)), n,
                              work=target.nbytes / 4))
            source, space = target, padded
        if prod(window.kernel) > 1 or any(s > 1 for s in window.strides):
            columns = Temp(images * channels * prod(window.kernel) * positions)
            strides = strides_of((images, channels, *space), 1)
            shape = (images, channels, *window.kernel, *y.dims[2:])
            steps = [*strides[:2], *(s * d for s, d in zip(strides[2:], window.dilations, strict=True)),
                     *(s * d for s, d in zip(strides[2:], window.strides, strict=True))]
            call = copy_call(1, shape, steps, strides_of(shape, 1), 0, 0, source, columns)
            if call is None:
                return None
            calls.append(call)
            source = columns
        # one product for each image and group
        rows, depth = y.dims[1] // self.group, w.dims[1] * prod(window.kernel)
        zeros, many = None if zw is None else In(3), int(zw is not None and zw.size > 1)
        if many and self.group > 1:
            if zw.constant is None:
                return None
            zeros = np.tile(zw.constant.reshape(-1), images)
        image, group = np.divmod(np.arange(images * self.group, dtype=np.int64), self.group)
        item = image * self.group + group
        table = np.stack([group * rows * depth, item * depth * positions, item * rows * positions], axis=1)
        n = (images * self.group, rows, positions, depth, depth, positions, positions, 0, 0, 0,
             many, 0, rows if many and self.group > 1 else 0, 0)
        calls.append(Call(f"{name}_gemm", (In(1), source, Out(0), np.ascontiguousarray(table), zeros,
                                           None if zx is None else In(2)), n,
                          scratch=32768, work=y.size * depth))
        return calls

    def python(self, x, w, zx=None, zw=None):
        window = self.window(Fact(w.dtype, w.shape))
        rank, pads, sizes = x.ndim - 2, window.padding(x.shape[2:]), window.output(x.shape[2:])
        x = x.astype(INT32) - (0 if zx is None else int(zx.reshape(())))
        x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
        w = w.astype(INT32)
        if zw is not None:
            w = w - zw.astype(INT32).reshape((-1,) + (1,) * (w.ndim - 1))
        steps = x.strides[2:]
        columns = np.lib.stride_tricks.as_strided(
            x, (*x.shape[:2], *window.kernel, *sizes),
            (*x.strides[:2], *(s * d for s, d in zip(steps, window.dilations, strict=True)),
             *(s * d for s, d in zip(steps, window.strides, strict=True))), writeable=False)
        depth = w.shape[1] * prod(window.kernel)
        columns = columns.reshape(x.shape[0], self.group, depth, prod(sizes))
        y = MatMul().python(w.reshape(self.group, w.shape[0] // self.group, depth), columns)
        return y.reshape(x.shape[0], w.shape[0], *sizes)

    def cost(self, ins, outs):
        return float(outs[0].size) * float(prod(ins[1].dims[1:])) if outs[0].known and ins[1].known else 0.0


@onnx("MatMulInteger", since=10)
def matmul_integer(b, a, w, a_zero_point=None, b_zero_point=None):
    """ONNX MatMulInteger."""
    return b.emit(MatMulInteger(), a, w, a_zero_point, b_zero_point)


@onnx("ConvInteger", since=10)
def conv_integer(b, x, w, x_zero_point=None, w_zero_point=None, *, auto_pad="NOTSET", dilations=(), group=1,
                 kernel_shape=None, pads=(), strides=()):
    """ONNX ConvInteger."""
    if group < 1:
        raise ModelError(f"group {group} is below 1")
    return b.emit(ConvInteger(kernel_shape, strides, dilations, pads, auto_pad, group), x, w, x_zero_point,
                  w_zero_point)


def _float(b, v):
    return v if v.fact.dtype == FLOAT else b.emit(Cast(FLOAT), v)


def _spread(b, v, axes: Sequence[int]):
    """A vector of more than one element with axes of size 1 put in; anything else as it is."""
    if v.fact.shape is None or v.fact.rank != 1 or v.fact.dims[0] == 1:
        return v
    return b.emit(Unsqueeze(), v, b.const(axes, INT64))


def _requantize(b, sums, scales: Sequence, zero):
    """saturate(round(sums * scales[0] * scales[1] / scales[2]) + zero), in the type of zero."""
    sa, sb, sy = (_float(b, s) for s in scales)
    y = b.emit(Binary("mul"), _float(b, sums),
               b.emit(Binary("div"), b.emit(Binary("mul"), sa, sb), sy))
    to = zero.fact.dtype
    if not is_integer(to) or zero.fact.size == 1:
        return b.emit(Quantize(1, 0, to, FLOAT), y, b.const(1, FLOAT), zero)
    y = b.emit(Binary("add"), b.emit(Unary("round"), y), _float(b, zero))
    return b.emit(Cast(to), b.emit(Unary("clip", tuple(map(float, integer_range(to)))), y))


@onnx("QLinearMatMul", since=10)
def qlinear_matmul(b, a, a_scale, a_zero_point, w, b_scale, b_zero_point, y_scale, y_zero_point):
    """Scales and zero points of a and y may be one for each row, those of b one for each column."""
    if is_integer(a.fact.dtype):
        sums = b.emit(MatMulInteger(), a, w, a_zero_point, b_zero_point)
    else:
        row = _spread(b, a_zero_point, (1,))
        sums = b.emit(MatMul(), b.emit(Binary("sub"), _float(b, a), _float(b, row)),
                      b.emit(Binary("sub"), _float(b, w), _float(b, b_zero_point)))
    return _requantize(b, sums, (_spread(b, a_scale, (1,)), b_scale, _spread(b, y_scale, (1,))),
                       _spread(b, y_zero_point, (1,)))


@onnx("QLinearConv", since=10)
def qlinear_conv(b, x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias=None, *,
                 auto_pad="NOTSET", dilations=(), group=1, kernel_shape=None, pads=(), strides=()):
    """The bias counts in steps of x_scale * w_scale; those of w may be one for each output channel."""
    sums = conv_integer(b, x, w, x_zero_point, w_zero_point, auto_pad=auto_pad, dilations=dilations, group=group,
                        kernel_shape=kernel_shape, pads=pads, strides=strides)
    if w.fact.shape is None:
        raise ModelError("the rank of the weight is not known")
    behind = tuple(range(1, w.fact.rank - 1))
    if bias is not None:
        sums = b.emit(Binary("add"), sums, b.emit(Unsqueeze(), bias, b.const(behind, INT64)))
    return _requantize(b, sums, (x_scale, _spread(b, w_scale, behind), y_scale), y_zero_point)
