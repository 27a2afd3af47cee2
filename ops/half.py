"""Half types are computed in float32, of which every float16 and bfloat16 is an exact value, and rounded once."""

from __future__ import annotations

from cynfer.ops.cast import Cast
from cynfer.ops.dtypes import FLOAT
from cynfer.ops.op import Op


def in_float32(b, op: Op, *inputs):
    """Emits `op`; around it, where input 0 is of a half type, casts of all inputs and of the first output."""
    dtype = inputs[0].fact.dtype
    if dtype.name not in ("float16", "bfloat16"):
        return b.emit(op, *inputs)
    y = b.emit(op, *(None if v is None else b.emit(Cast(FLOAT), v) for v in inputs))
    first = b.emit(Cast(dtype), y[0] if isinstance(y, tuple) else y)
    return (first, *y[1:]) if isinstance(y, tuple) else first
