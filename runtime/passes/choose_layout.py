"""Chooses layouts: convolutions and what lies between them run on blocks of 16 channels.

A convolution that can run blocked does; another op does if it can and one of its inputs lies blocked already. A value
is converted at the border, once for each direction however many nodes read it.
"""

from __future__ import annotations

from cynfer.ops.fact import C16, PLAIN
from cynfer.ops.layout import Reorder
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.passes.rewrite import Context, Rewriter, rewrite


def choose_layout(graph: Graph, context: Context) -> Graph:
    """The graph with layouts chosen and conversions inserted."""
    blocked_of: dict[Value, Value] = {}  # new plain value: its blocked twin
    plain_of: dict[Value, Value] = {}
    machine = context.machine
    if "f32_to_c16" not in machine:
        return graph

    def to_blocked(b: Rewriter, value: Value) -> Value:
        if value.fact.layout.block:
            return value
        if value not in blocked_of:
            blocked_of[value] = b.emit(Reorder(C16), value)
            context.fired["choose_layout: conversions"] += 1
        return blocked_of[value]

    def to_plain(b: Rewriter, value: Value) -> Value:
        if not value.fact.layout.block:
            return value
        if value not in plain_of:
            plain_of[value] = b.emit(Reorder(PLAIN), value)
            plain_of[value].name, value.name = value.name, ""
            context.fired["choose_layout: conversions"] += 1
        return plain_of[value]

    def rule(b: Rewriter, node, inputs):
        op = node.op
        outs = [v.fact for v in node.outputs]
        candidates = [v is not None and v.fact.constant is None and _blockable(v.fact) for v in inputs]
        if inputs and candidates[0] and all(_blockable(o) for o in outs):
            plain = [None if v is None else v.fact.with_layout(PLAIN) for v in inputs]
            hypothetical = [f.with_layout(C16) if c and f is not None else f
                            for f, c in zip(plain, candidates, strict=True)]
            hypothetical_outs = [o.with_layout(C16) for o in outs]
            new = None
            near = any(c and (v.fact.layout.block or v in blocked_of) for c, v in zip(candidates, inputs, strict=True))
            wants = near or op.seeks_blocked(machine, plain, outs)
            lies_blocked = inputs[0].fact.layout.block or inputs[0] in blocked_of
            entering = [plain[0], *hypothetical[1:]]
            if wants and not lies_blocked and op.blocked_entry(machine, entering, hypothetical_outs):
                new = [inputs[0], *(to_blocked(b, v) if c else v
                                    for v, c in list(zip(inputs, candidates, strict=True))[1:])]
            elif wants and op.blocked(machine, hypothetical, hypothetical_outs):
                new = [to_blocked(b, v) if c else v for v, c in zip(inputs, candidates, strict=True)]
            if new is not None:
                result = b.emit(op, *new)
                for value in (result,) if isinstance(result, Value) else result:
                    value.fact = value.fact.with_layout(C16)
                return result
        if any(v is not None and v.fact.layout.block for v in inputs):
            return b.emit(op, *(None if v is None else to_plain(b, v) for v in inputs))
        return None

    result = rewrite(graph, rule, context, "choose_layout")
    if any(v.fact.layout.block for v in result.outputs):
        b = Rewriter(result)
        b.graph = result
        result.outputs = [to_plain(b, v) for v in result.outputs]
    return result


def _blockable(fact) -> bool:
    return fact.kind == "tensor" and fact.shape is not None and fact.rank == 4 and isinstance(fact.dims[1], int) \
        and fact.dtype.kind == "f" and fact.dtype.itemsize >= 4
