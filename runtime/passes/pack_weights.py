"""Packs constant weights once, in the format that their op asks for on this machine.

The format depends on weight, instruction set and precision, never on activation shapes or threads. A weight that
several nodes read is packed once for each format.
"""

from __future__ import annotations

from cynfer.ops.op import Op, evaluate
from cynfer.runtime.builder import named
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.passes.rewrite import Context, rewrite


def pack_weights(graph: Graph, context: Context) -> Graph:
    """The graph with packed weights."""
    packed: dict[tuple[Value, Op], Value] = {}

    def rule(b, node, inputs):
        facts = [None if v is None else v.fact for v in inputs]
        answer = node.op.packing(context.machine, facts, [v.fact for v in node.outputs])
        if answer is None:
            return None
        packs, op = answer
        new = list(inputs)
        for index, pack in packs.items():
            weight = inputs[index]
            if (weight, pack) not in packed:
                with named(node.origin):
                    result = evaluate(pack, context.machine, [weight.fact.constant])[0]
                packed[weight, pack] = b.const(result, name=weight.name)
                if b.only_use(weight):  # let the original go now, not after all are packed
                    weight.fact = weight.fact.without_value()
            new[index] = packed[weight, pack]
        result = b.emit(op, *new)
        for value, old in zip((result,) if not isinstance(result, tuple) else result, node.outputs, strict=True):
            value.fact = value.fact.with_layout(old.fact.layout)
        return result

    return rewrite(graph, rule, context, "pack_weights")
