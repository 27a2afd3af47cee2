"""QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.

Quotients are rounded to even and saturate; NaN becomes the zero point.
"""

from __future__ import annotations

from math import prod

import numpy as np

from cynfer.ops.axes import axis_of
from cynfer.ops.binary import Binary, Where
from cynfer.ops.broadcast import wide
from cynfer.ops.cast import Cast, cast, element_type, integer_range
from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import DOUBLE, FLOAT, is_integer, prefix
from cynfer.ops.elementwise import Unary
from cynfer.ops.errors import ModelError
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.reduce import Reduce

_UINT8 = np.dtype(np.uint8)


class Scaled(Op):
    """What quantising and its inverse share: a scale and a zero point for all, per index of an axis, or per block."""

    axis: int
    block: int
    to: np.dtype

    def shapes(self, x, scale, zero=None):
        shape = scale.dims
        if zero is not None and zero.known and scale.known and zero.dims != shape and zero.size * scale.size != 1:
            raise ModelError(f"the zero point has shape {list(zero.dims)}, the scale {list(shape)}")
        if self.block:
            if self.block < 0:
                raise ModelError(f"block_size is {self.block}, at least 0 is needed")
            axis = axis_of(self.axis, x.rank)
            expected = tuple(-(-d // self.block) if i == axis and not isinstance(d, Dim) else d
                             for i, d in enumerate(x.dims))
            if scale.rank != x.rank or (scale.known and x.known and tuple(shape) != expected):
                raise ModelError(f"the scale has shape {list(shape)}, expected {list(expected)}")
        elif scale.rank == 1 and shape[0] != 1:
            axis = axis_of(self.axis, x.rank)
            if scale.known and x.known and shape[0] != x.dims[axis]:
                raise ModelError(f"the scale has {shape[0]} elements, axis {self.axis} of the input {x.dims[axis]}")
        elif scale.rank > 1:
            raise ModelError(f"the scale has shape {list(shape)}: without block_size it has at most one dimension")
        return [x.dims]

    def dtypes(self, x, scale, zero=None):
        return [self.to]

    def kernel(self, m, name, ins) -> Call | None:
        """A call of one of the kernels of quant.pyx, if it is there and has these sizes."""
        x, scale, zero = (*ins, None)[:3]
        if name not in m or self.block or scale.dtype != FLOAT or (zero is not None and zero.size != scale.size):
            return None
        n = (1, 1, x.size)
        if scale.size != 1:
            axis = axis_of(self.axis, x.rank)
            n = (prod(x.dims[:axis]), x.dims[axis], prod(x.dims[axis + 1:]))
        return Call(name, (In(0), In(1), None if zero is None else In(2), Out(0)), n, work=2 * x.size)

    def spread(self, v: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """A scale or zero point in a shape that broadcasts to the input's."""
        if self.block:
            axis = axis_of(self.axis, len(shape))
            return np.take(v, np.arange(shape[axis]) // self.block, axis)
        if v.size == 1:
            return v.reshape(())
        return v.reshape([-1 if i == axis_of(self.axis, len(shape)) else 1 for i in range(len(shape))])


class Quantize(Scaled):
    """saturate(round(x / scale) + zero point). precision: the type of the division."""

    precision: np.dtype
    saturate: bool = True

    def native(self, m, ins, outs):
        if ins[0].dtype != FLOAT or self.precision != FLOAT:
            return None
        return self.kernel(m, f"{prefix(self.to)}_quantize", ins)

    def python(self, x, scale, zero=None):
        scale = self.spread(scale, x.shape)
        quotient = x.astype(wide(self.precision)) / scale.astype(wide(self.precision))
        if self.precision.itemsize < 4:
            quotient = quotient.astype(self.precision)
        zero = None if zero is None else self.spread(zero, x.shape)
        if not is_integer(self.to):
            quotient = quotient.astype(wide(quotient.dtype))
            return cast(quotient if zero is None else quotient + zero.astype(quotient.dtype), self.to, self.saturate)
        rounded = np.rint(quotient.astype(DOUBLE))
        rounded = np.where(np.isnan(rounded), 0, rounded)
        if zero is not None:
            rounded = rounded + zero.astype(wide(zero.dtype)).astype(DOUBLE)
        return np.clip(rounded, *integer_range(self.to)).astype(wide(self.to)).astype(self.to)


class Dequantize(Scaled):
    """(x - zero point) * scale, computed in the output's type or float32."""

    def native(self, m, ins, outs):
        return self.kernel(m, f"{prefix(ins[0].dtype)}_dequantize", ins) if self.to == FLOAT else None

    def python(self, x, scale, zero=None):
        y = x.astype(wide(x.dtype)).astype(FLOAT)
        if zero is not None:
            y = y - self.spread(zero.astype(wide(zero.dtype)).astype(FLOAT), x.shape)
        return (y * self.spread(scale.astype(FLOAT), x.shape)).astype(self.to)


@onnx("QuantizeLinear", since=10)
def quantize_tensor(b, x, scale, zero=None):
    """One scale for all."""
    return quantize(b, x, scale, zero)


@onnx("QuantizeLinear", since=13)
@onnx("QuantizeLinear", since=19)
@onnx("QuantizeLinear", since=21)
@onnx("QuantizeLinear", since=23)
def quantize(b, x, scale, zero=None, *, axis=1, saturate=1, block_size=0, output_dtype=0, precision=0):
    """The type is that of the zero point, or output_dtype, or uint8."""
    to = element_type(output_dtype) if output_dtype else _UINT8 if zero is None else zero.fact.dtype
    if zero is not None and zero.fact.dtype != to:
        raise ModelError(f"output_dtype is {to}, the zero point has type {zero.fact.dtype}")
    division = element_type(precision) if precision else scale.fact.dtype
    if division.name == "float8_e8m0fnu" or is_integer(division):
        division = FLOAT if division.itemsize == 1 else DOUBLE
    return b.emit(Quantize(axis, block_size, to, division, bool(saturate)), x, scale, zero)


@onnx("DequantizeLinear", since=10)
def dequantize_tensor(b, x, scale, zero=None):
    """One scale for all."""
    return dequantize(b, x, scale, zero)


@onnx("DequantizeLinear", since=13)
@onnx("DequantizeLinear", since=21)
@onnx("DequantizeLinear", since=23)
def dequantize(b, x, scale, zero=None, *, axis=1, block_size=0, output_dtype=0):
    """The type is output_dtype, or that of the scale."""
    if zero is not None and zero.fact.dtype != x.fact.dtype:
        raise ModelError(f"the zero point has type {zero.fact.dtype}, the input {x.fact.dtype}")
    to = element_type(output_dtype) if output_dtype else scale.fact.dtype
    return b.emit(Dequantize(axis, block_size, FLOAT if to.name == "float8_e8m0fnu" else to), x, scale, zero)


@onnx("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(b, x):
    """uint8 values, their scale and zero point, chosen so that the range of x and 0 just fits."""
    def number(v):
        return b.const(v, x.fact.dtype)

    high = b.emit(Binary("max"), b.emit(Reduce("max", keepdims=False), x), number(0))
    low = b.emit(Binary("min"), b.emit(Reduce("min", keepdims=False), x), number(0))
    span = b.emit(Binary("sub"), high, low)
    span = b.emit(Where(), b.emit(Binary("equal"), high, low), number(1), span)
    scale = b.emit(Binary("div"), span, number(255))
    zero = b.emit(Unary("clip", (0.0, 255.0)), b.emit(Binary("div"), b.emit(Unary("neg"), low), scale))
    zero = b.emit(Cast(_UINT8), b.emit(Unary("round"), zero))
    return b.emit(Quantize(1, 0, _UINT8, x.fact.dtype), x, scale, zero), scale, zero
