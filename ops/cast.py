"""Cast and its kin.

What the standard leaves open: floats out of an integer type's range saturate (types under 8 bits keep the low bits, as
the standard's test data do) and NaN gives 0, on every machine alike; a string that says a fraction is cut towards zero.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.broadcast import wide
from cynfer.ops.dtypes import BOOL, DOUBLE, FLOAT, INT64, STRING, is_float, is_integer, prefix
from cynfer.ops.errors import KernelError, ModelError, show
from cynfer.ops.op import Call, In, Op, Out, onnx


class Cast(Op):
    """The same values in another type.

    saturate: whether floats of 8 bits take their largest value, and not NaN or Inf, for one beyond it. rounding: of
    float8e8m0, "up" (away from zero), "down" or "nearest".
    """

    to: np.dtype
    saturate: bool = True
    rounding: str = "up"

    @property
    def symbolic(self):
        return self.to.kind in "iu"

    def dtypes(self, x):
        return [self.to]

    def native(self, m, ins, outs):
        name = f"cast_{prefix(ins[0].dtype)}_{prefix(self.to)}"
        return Call(name, (In(0), Out(0)), (ins[0].size,), work=ins[0].size) if name in m else None

    def python(self, x):
        return x if x.dtype == object and self.to.kind in "iu" and not _strings(x) else \
            cast(x, self.to, self.saturate, self.rounding)


def _strings(x) -> bool:
    return any(isinstance(v, str) for v in x.flat)


def cast(x: np.ndarray, to: np.dtype, saturate: bool = True, rounding: str = "up") -> np.ndarray:
    """x in the type `to`; see Cast. Raises KernelError for a string that is not a number."""
    if x.dtype == to:
        return x
    if x.dtype == STRING:
        x = _parse(x, to)
    if to == STRING:
        return _print(x)
    if to == BOOL:
        return x.astype(wide(x.dtype)) != 0
    if is_float(x.dtype) and is_integer(to):
        return to_integer(x.astype(wide(x.dtype)), to)
    if to.itemsize > 1 or not is_float(to):
        return x.astype(wide(x.dtype)).astype(to)
    if to.name == "float8_e8m0fnu":
        return _to_e8m0(x, saturate, rounding).view(to)
    x = x.astype(DOUBLE if x.dtype == DOUBLE else FLOAT)
    if saturate:
        highest = largest(to)
        x = np.clip(x, -highest, highest)  # keeps NaN
    return x.astype(to)


def to_integer(x: np.ndarray, to: np.dtype) -> np.ndarray:
    """Floats cut towards zero; out of range they saturate, NaN gives 0. Types under 8 bits keep the low bits."""
    if dtypes.bits(dtypes.to_onnx(to)) < 8:
        return to_integer(x, INT64).astype(to)
    low, high = integer_range(to)
    x = np.trunc(x)
    above, below = x >= float(high + 1), x < float(low)  # powers of two, or 0: exact
    inside = np.where(above | below | np.isnan(x), 0, x).astype(to)
    return np.where(above, to.type(high), np.where(below, to.type(low), inside))


def integer_range(dtype: np.dtype) -> tuple[int, int]:
    """Smallest and largest number of an integer type, also of those under 8 bits."""
    bits = dtypes.bits(dtypes.to_onnx(dtype))
    return (0, (1 << bits) - 1) if dtype.name.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)


@cache
def largest(dtype: np.dtype) -> float:
    """The largest finite number of a float type of ml_dtypes."""
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).max)


def _to_e8m0(x: np.ndarray, saturate: bool, rounding: str) -> np.ndarray:
    """Powers of two by their exponent plus 127; 255 is NaN. The sign is ignored."""
    bits = x.astype(FLOAT).view(np.uint32)
    exponent, fraction = (bits >> 23 & 0xFF).astype(np.int32), bits & 0x7FFFFF
    tie = np.where(exponent > 0, 0x400000, 0x400001)  # ties go up; 2^-127 itself is a subnormal float32, code 0
    up = {"up": fraction > np.where(exponent > 0, 0, 0x400000), "down": np.zeros(x.shape, bool),
          "nearest": fraction >= np.where(exponent > 0, tie, 0x600000)}[rounding]
    code = exponent + up
    if saturate:
        code = np.where(np.isinf(x.astype(FLOAT)), 254, np.minimum(code, 254))
    else:
        code = np.where((exponent == 0) & (fraction < 0x400000), 255, np.minimum(code, 255))
    return np.where(np.isnan(x.astype(FLOAT)), 255, code).astype(np.uint8)


def _parse(x: np.ndarray, to: np.dtype) -> np.ndarray:
    """Strings as int64, uint64 or float64."""
    try:
        return x.astype(np.uint64 if to == np.uint64 else INT64) if is_integer(to) else x.astype(DOUBLE)
    except (ValueError, OverflowError):
        pass
    for position, text in enumerate(x.flat):
        try:
            float(text)
        except ValueError:
            raise KernelError(f"{show(text)} at position {position} is not a number") from None
    return x.astype(DOUBLE)


def _print(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "biuf" or x.dtype.itemsize == 1:
        x = x.astype(wide(x.dtype))
    texts = x.astype(str).astype(object)
    if x.dtype.kind == "f":
        texts[np.isnan(x)] = "NaN"
        texts[np.isposinf(x)], texts[np.isneginf(x)] = "INF", "-INF"
    return texts


def element_type(code: int) -> np.dtype:
    """The type with ONNX's number `code`; raises ModelError if there is none."""
    try:
        return dtypes.from_onnx(code)
    except (KeyError, AttributeError):
        raise ModelError(f"element type {code} is not known") from None


@onnx("Cast", since=1)
def cast_name(b, x, *, to):
    """The type is given by its name."""
    codes = {name.upper(): code for code, (name, *_) in dtypes._TYPES.items()}
    if str(to).upper() not in codes:
        raise ModelError(f"to is {show(to)}, which is not an element type")
    return _emit(b, x, dtypes.from_onnx(codes[str(to).upper()]))


@onnx("Cast", since=6)
@onnx("Cast", since=19)
@onnx("Cast", since=24)
def cast_to(b, x, *, to, saturate=1, round_mode="up"):
    """The type is given by its number."""
    return _emit(b, x, element_type(to), saturate, round_mode)


@onnx("CastLike", since=15)
@onnx("CastLike", since=19)
@onnx("CastLike", since=24)
def cast_like(b, x, target, *, saturate=1, round_mode="up"):
    """The type is that of another tensor."""
    return _emit(b, x, target.fact.dtype, saturate, round_mode)


def _emit(b, x, to, saturate=1, round_mode="up"):
    if round_mode not in ("up", "down", "nearest"):
        raise ModelError(f"round_mode is {show(round_mode)}, expected 'up', 'down' or 'nearest'")
    return x if x.fact.dtype == to else b.emit(Cast(to, bool(saturate), round_mode), x)


class BitCast(Op):
    """The same bits as another type of the same width."""

    to: np.dtype

    def dtypes(self, x):
        if STRING in (x.dtype, self.to) or _bits(x.dtype) != _bits(self.to):
            raise ModelError(f"the bits of {x.type_name()} do not make {dtypes.onnx_name(self.to)}")
        return [self.to]

    def python(self, x):
        small = _bits(x.dtype) < 8 and is_integer(x.dtype) and is_integer(self.to)
        return x.astype(wide(x.dtype)).astype(self.to) if small else x.view(self.to)


def _bits(dtype: np.dtype) -> int:
    return dtypes.bits(dtypes.to_onnx(dtype))


@onnx("BitCast", since=26)
def bit_cast(b, x, *, to):
    """ONNX BitCast."""
    return b.emit(BitCast(element_type(to)), x)
