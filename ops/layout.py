"""The operator that changes how a tensor lies in memory; the layout pass alone inserts it."""

from __future__ import annotations

from math import prod

from cynfer.ops.dtypes import prefix
from cynfer.ops.fact import Fact, Layout
from cynfer.ops.op import Call, In, Op, Out


class Reorder(Op):
    """The same tensor in layout `to`, PLAIN or C16."""

    to: Layout

    def facts(self, x):
        return (Fact(x.dtype, x.shape, None, self.to),)

    def native(self, m, ins, outs):
        x = ins[0]
        direction = "to_c16" if self.to.block else "from_c16"
        n = [x.dims[0], x.dims[1], prod(x.dims[2:])]
        return Call(f"{prefix(x.dtype)}_{direction}", (In(0), Out(0)), n, work=x.size)
