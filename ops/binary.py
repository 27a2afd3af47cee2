"""Element-wise operators of two inputs (and of many, as chains), with NumPy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import prod

import numpy as np

from cynfer.ops.axes import axis_of
from cynfer.ops.broadcast import broadcast, fits, widen
from cynfer.ops.cast import Cast, to_integer
from cynfer.ops.dim import Dim, is_known
from cynfer.ops.dtypes import BOOL, STRING, is_float, prefix
from cynfer.ops.errors import KernelError, ModelError, show
from cynfer.ops.half import halves
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.strides import elements, is_channels, padded, walk


class Binary(Op):
    """z = f(x, y), element by element; kernel names f. Integer sums and products wrap."""

    kernel: str

    @property
    def symbolic(self):
        return self.kernel in ("add", "sub", "mul", "div", "equal")

    def shapes(self, x, y):
        if x.dtype != y.dtype and self.kernel not in ("pow", "prelu"):
            raise ModelError(f"the inputs have types {x.type_name()} and {y.type_name()}, one type is needed")
        if self.kernel == "prelu":
            fits(y.dims, x.dims, "slope")
            return [x.dims]
        return [broadcast(x.dims, y.dims)]

    def dtypes(self, x, y):
        return [BOOL if self.kernel in COMPARISONS else x.dtype]

    @halves
    def native(self, m, ins, outs):
        name = f"{prefix(ins[0].dtype)}_{self.kernel}"
        if ins[0].dtype != ins[1].dtype or name not in m:
            return None
        if outs[0].layout.block:
            return self._native_c16(name, ins, outs[0])
        dims, strides = walk(outs[0].dims, ins[0].dims, ins[1].dims)
        return Call(name, (In(0), In(1), Out(0)), (len(dims), *dims, *strides[0], *strides[1]),
                    work=outs[0].size * WORK.get(self.kernel, 1))

    def _native_c16(self, name, ins, out):
        case, x, y = self._case_c16(ins, out)
        if case != "channels":
            n = elements(out)
            return Call(name, (In(0), In(1), Out(0)), (1, n, *(int(bool(f.layout.block)) for f in ins)), work=n)
        operand = In(y) if ins[y].layout.block or ins[y].constant is None else padded(ins[y])
        n, c, *pixels = out.dims
        return Call(f"{name}_c16", (In(x), operand, Out(0)),
                    (n, -(-c // 16), prod(pixels), int(ins[y].rank == 4 and ins[y].dims[0] == n)), work=elements(out))

    def _case_c16(self, ins, out) -> tuple[str, int, int]:
        """How blocked operands meet: ("flat" | "channels" | "", index of the large operand, index of the other)."""
        for x, y in ((0, 1), (1, 0)):
            large, other = ins[x], ins[y]
            if not large.layout.block or large.dims != out.dims:
                continue
            if other.layout.block:
                if other.dims == out.dims:
                    return "flat", x, y
            elif other.constant is not None and other.size == 1:  # a scalar also meets the padding: keep that finite
                return ("flat" if np.isfinite(other.constant).all() else ""), x, y
            if is_channels(other, out) and (x == 0 or self.kernel in ("add", "mul", "max", "min")) \
                    and (other.layout.block or other.constant is not None):
                return "channels", x, y
        return "", 0, 1

    def blocked(self, m, ins, outs):
        name = f"{prefix(ins[0].dtype)}_{self.kernel}"
        if ins[0].dtype != ins[1].dtype or name not in m:
            return False
        case, x, _ = self._case_c16(ins, outs[0])
        if self.kernel == "div":  # the padding must stay finite: by a scalar other than 0 only
            return case == "flat" and x == 0 and not ins[1].layout.block and bool(ins[1].constant.all())
        return self.kernel in ("add", "sub", "mul", "max", "min", "prelu") and bool(case) and f"{name}_c16" in m

    def python(self, x, y):
        if x.dtype == object:
            return NUMPY[self.kernel](x, y)
        return np.asarray(NUMPY[self.kernel](*widen(x, y)), BOOL if self.kernel in COMPARISONS else x.dtype)

    @property
    def title(self):
        return self.kernel


def _equal(x, y):
    if x.dtype == object and any(isinstance(v, Dim) for a in (x, y) for v in a.flat):
        return np.frompyfunc(_same_size, 2, 1)(x, y).astype(BOOL)
    return np.equal(x, y)


def _same_size(a, b) -> bool:
    """Whether two sizes are equal; raises TypeError where that depends on the feeds."""
    if a == b:
        return True
    dim, other = (a, b) if isinstance(a, Dim) else (b, a)
    if isinstance(dim, Dim) and (isinstance(other, Dim) or other >= 0 or not _is_size(dim)):
        raise TypeError("not known before the feeds are")
    return False


def _is_size(dim: Dim) -> bool:
    """True if it surely is not negative: a product of names."""
    return all(n >= 0 and all(isinstance(atom, str) for atom in atoms) for atoms, n in dim.terms)


def _first_zero(x, y) -> None:
    """Raises KernelError for the first element of a broadcast integer divisor that is 0."""
    if not y.all() and x.size:
        position = int(np.argmin(np.broadcast_to(y != 0, np.broadcast_shapes(x.shape, y.shape))))
        raise KernelError(f"integer division by zero at position {position}")


def _divide(x, y):
    if x.dtype == object:  # sizes: not negative, so that the floor is the quotient
        return x // y
    if x.dtype.kind == "f":
        return x / y
    _first_zero(x, y)
    quotient = np.floor_divide(x, y)  # of the smallest number by -1: itself
    if x.dtype.kind == "i":  # towards zero
        quotient += ((quotient < 0) & (quotient * y != x)).astype(x.dtype)
    return quotient


def _remainder(function):
    def mod(x, y):
        if x.dtype.kind != "f":
            _first_zero(x, y)
        return function(x, y)

    return mod


def _power(x, y):
    if x.dtype.kind == "f":
        return np.power(x, y.astype(x.dtype, copy=False))
    if y.dtype.kind == "f":
        return to_integer(np.power(x.astype(np.float64), y.astype(np.float64)), x.dtype)
    # unsigned powers wrap as signed ones do; 0 to a negative power gives 0, as every other base but 1 and -1 does
    power = np.power(x.astype(np.uint64), np.where(y < 0, 0, y).astype(np.uint64)).astype(x.dtype)
    return np.where(y < 0, np.where(np.abs(x) == 1, np.where(y % 2 == 0, 1, x), 0), power)


def _shift(left: bool):
    """Shifts by the width or more, or by a negative number, shift everything out."""

    def shift(x, y):
        width = x.dtype.itemsize * 8
        outside = (y < 0) | (y >= width)
        count = np.where(outside, 0, y).astype(x.dtype)
        if left:
            unsigned = np.dtype(f"u{x.dtype.itemsize}")
            shifted = np.left_shift(x.view(unsigned), count.view(unsigned)).view(x.dtype)
            return np.where(outside, x.dtype.type(0), shifted)
        return np.where(outside, np.where(x < 0, -1, 0).astype(x.dtype), np.right_shift(x, count))

    return shift


#: {kernel name: its NumPy form}. NaN wins in max and min.
NUMPY: dict[str, Callable] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": _divide, "pow": _power,
    "max": np.maximum, "min": np.minimum, "mod": _remainder(np.mod), "fmod": _remainder(np.fmod),
    "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
    "equal": _equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal,
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
    "shift_left": _shift(True), "shift_right": _shift(False),
    "prelu": lambda x, y: np.where(x < 0, x * y, x),
}

#: Those whose output is bool.
COMPARISONS = {"equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "xor"}


#: Elementary steps of one element, where it is more than a few.
WORK = {"pow": 20, "div": 2, "mod": 4, "fmod": 4}


class Trailing(Op):
    """The same tensor with `ones` dimensions of 1 behind."""

    ones: int
    view = True

    def shapes(self, x):
        return [(*x.dims, *(1,) * self.ones)]

    def python(self, x):
        return x.reshape(x.shape + (1,) * self.ones)


def _register_legacy(name: str, kernel: str) -> None:
    onnx(name, since=1)(lambda b, x, y, *, axis=None, broadcast=0, consumed_inputs=():
                        _legacy(b, kernel, x, y, axis, broadcast))


def _legacy(b, kernel, x, y, axis, broadcast):
    """Versions below 7: no broadcasting, or that of y to dimensions of x from `axis` on (or to the last ones)."""
    if not broadcast:
        if is_known(x.fact.shape) and is_known(y.fact.shape) and x.fact.shape != y.fact.shape:
            raise ModelError(f"shapes {list(x.fact.dims)} and {list(y.fact.dims)} differ, and broadcast is 0")
    elif axis is not None:
        if x.fact.shape is None or y.fact.shape is None:
            raise ModelError("broadcast with an axis needs inputs of known rank")
        ones = x.fact.rank - axis_of(axis, x.fact.rank) - y.fact.rank
        if ones < 0:
            raise ModelError(f"axis {axis}: {y.fact.rank} dimensions do not fit behind it in {x.fact.rank}")
        y = b.emit(Trailing(ones), y) if ones else y
    return b.emit(Binary(kernel), x, y)


def _register(name: str, since: int, kernel: str) -> None:
    if since == 1:
        _register_legacy(name, kernel)
    onnx(name, since=max(since, 7))(lambda b, x, y: b.emit(Binary(kernel), x, y))


for _name, _since, _kernel in (
    ("Add", 1, "add"), ("Sub", 1, "sub"), ("Mul", 1, "mul"), ("Div", 1, "div"),
    ("And", 1, "and"), ("Or", 1, "or"), ("Xor", 1, "xor"), ("Equal", 1, "equal"), ("Less", 1, "less"),
    ("Greater", 1, "greater"), ("LessOrEqual", 12, "less_equal"), ("GreaterOrEqual", 12, "greater_equal"),
    ("BitwiseAnd", 18, "bit_and"), ("BitwiseOr", 18, "bit_or"), ("BitwiseXor", 18, "bit_xor"),
):
    _register(_name, _since, _kernel)


_register_legacy("Pow", "pow")


@onnx("Pow", since=7)
def power(b, x, y):
    """The type is that of x."""
    content, dtype = y.fact.constant, x.fact.dtype
    if not is_float(dtype):
        return b.emit(Binary("pow"), x, y)
    if content is not None and content.size == 1 and x.fact.shape is not None and content.ndim <= x.fact.rank:
        exponent = float(content.reshape(-1)[0])
        if exponent in (1, 2):
            return x if exponent == 1 else b.emit(Binary("mul"), x, x)
    return b.emit(Binary("pow"), x, y if y.fact.dtype == dtype else b.emit(Cast(dtype), y))


@onnx("Mod", since=10)
def mod(b, x, y, *, fmod=0):
    """The remainder: of the floor (sign of y), or with fmod=1 of the truncated quotient (sign of x)."""
    return b.emit(Binary("fmod" if fmod else "mod"), x, y)


@onnx("BitShift", since=11)
def bit_shift(b, x, y, *, direction):
    """Shift by a number of bits; an arithmetic shift to the right for signed types."""
    if direction not in ("LEFT", "RIGHT"):
        raise ModelError(f"direction is {show(direction)}, expected 'LEFT' or 'RIGHT'")
    return b.emit(Binary("shift_left" if direction == "LEFT" else "shift_right"), x, y)


@onnx("PRelu", since=1)
def prelu_channels(b, x, slope, *, consumed_inputs=()):
    """The slope is one number or one per channel (axis 1)."""
    if slope.fact.shape is not None and slope.fact.rank == 1 and slope.fact.dims != (1,) and x.fact.rank > 2:
        slope = b.emit(Trailing(x.fact.rank - 2), slope)
    return b.emit(Binary("prelu"), x, slope)


@onnx("PRelu", since=7)
def prelu(b, x, slope):
    """x, times slope where x < 0; slope broadcasts to x."""
    return b.emit(Binary("prelu"), x, slope)


def _many(name: str, kernel: str, mean: bool = False) -> None:
    def lower(b, *xs, consumed_inputs=()):
        if not xs:
            raise ModelError("at least one input is needed")
        result = reduce(lambda x, y: b.emit(Binary(kernel), x, y), xs)
        if mean and len(xs) > 1:
            result = b.emit(Binary("div"), result, b.const(len(xs), result.fact.dtype))
        return result

    onnx(name, since=1)(lower)


for _name, _kernel in (("Max", "max"), ("Min", "min"), ("Sum", "add")):
    _many(_name, _kernel)
_many("Mean", "add", mean=True)


class Where(Op):
    """x where the condition holds, else y."""

    symbolic = True

    def shapes(self, condition, x, y):
        if x.dtype != y.dtype:
            raise ModelError(f"the inputs have types {x.type_name()} and {y.type_name()}, one type is needed")
        return [broadcast(condition.dims, x.dims, y.dims)]

    def dtypes(self, condition, x, y):
        return [x.dtype]

    def native(self, m, ins, outs):
        name, shape = f"where_{outs[0].dtype.itemsize}", outs[0].dims
        if name not in m or outs[0].dtype == STRING:
            return None
        dims, strides = walk(shape, *(f.dims for f in ins))
        return Call(name, (In(0), In(1), In(2), Out(0)), (len(dims), *dims, *strides[0], *strides[1], *strides[2]),
                    work=outs[0].size)

    def python(self, condition, x, y):
        return np.where(condition.astype(BOOL), x, y)


@onnx("Where", since=9)
def where(b, condition, x, y):
    """ONNX Where."""
    return b.emit(Where(), condition, x, y)
