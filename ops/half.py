"""Half types are computed in float32, of which every float16 and bfloat16 is an exact value, and rounded once."""

from __future__ import annotations

from dataclasses import replace

from cynfer.ops.cast import Cast
from cynfer.ops.dtypes import FLOAT, prefix
from cynfer.ops.fact import Fact
from cynfer.ops.op import Call, In, Op, Out, Temp, calls

HALVES = ("float16", "bfloat16")


def in_float32(b, op: Op, *inputs):
    """Emits `op`; around it, where input 0 is of a half type, casts of all inputs and of the first output."""
    dtype = inputs[0].fact.dtype
    if dtype.name not in HALVES:
        return b.emit(op, *inputs)
    y = b.emit(op, *(None if v is None else b.emit(Cast(FLOAT), v) for v in inputs))
    first = b.emit(Cast(dtype), y[0] if isinstance(y, tuple) else y)
    return (first, *y[1:]) if isinstance(y, tuple) else first


def halves(native):
    """Decorates `Op.native`, which knows float32: operands of half types pass through float32 buffers."""

    def both(self, m, ins, outs):
        if ins[0].dtype.name not in HALVES:
            return native(self, m, ins, outs)
        if f"cast_{prefix(ins[0].dtype)}_f32" not in m:
            return None
        wider = [None if f is None else _widened(f) for f in ins]
        found = calls(native(self, m, wider, [_widened(f) for f in outs]))
        if found is None:
            return None
        places: dict[tuple, Temp] = {}  # by type too: In(0) and Out(0) are equal tuples
        used = {(type(x), x) for call in found for x in call.operands if isinstance(x, (In, Out))}
        before, after = [], []
        for place, fact in (*((In(i), f) for i, f in enumerate(ins)), *((Out(i), f) for i, f in enumerate(outs))):
            key = type(place), place
            if fact is None or fact.dtype.name not in HALVES or key not in used:
                continue
            places[key] = Temp(4 * fact.size)
            names, operands = [prefix(fact.dtype), "f32"], [place, places[key]]
            if isinstance(place, Out):
                names.reverse(), operands.reverse()
            (before if isinstance(place, In) else after).append(
                Call(f"cast_{names[0]}_{names[1]}", operands, (fact.size,), work=fact.size))
        inner = [replace(c, operands=[places.get((type(x), x), x) if isinstance(x, (In, Out)) else x
                                      for x in c.operands]) for c in found]
        return [*before, *inner, *after]

    return both


def _widened(fact: Fact) -> Fact:
    if fact.dtype.name not in HALVES:
        return fact
    return replace(fact, dtype=FLOAT, value=None if fact.value is None else fact.value.astype(FLOAT))
