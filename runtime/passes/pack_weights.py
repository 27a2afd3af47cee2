"""Packs constant weights once, in the format that their op asks for on this machine.

The format depends on weight, instruction set and precision, never on activation shapes or threads. A weight that
several nodes read is packed once for each format.
"""

from __future__ import annotations

from cynfer.ops.op import evaluate
from cynfer.runtime.builder import named
from cynfer.runtime.graph import Graph
from cynfer.runtime.passes.rewrite import Context, rewrite


def pack_weights(graph: Graph, context: Context) -> Graph:
    """The graph with packed weights."""
    packed: dict = {}

    def rule(b, node, inputs):
        facts = [None if v is None else v.fact for v in inputs]
        answer = node.op.packing(context.machine, facts, [v.fact for v in node.outputs])
        if answer is None:
            return None
        packs, op = answer
        new = list(inputs)
        for index, pack in packs.items():
            array = inputs[index].fact.constant
            key = (id(array), pack)
            if key not in packed:
                with named(node.origin):
                    result = evaluate(pack, context.machine, [array])[0]
                packed[key] = (b.const(result, name=inputs[index].name), array)  # keeps the array: id() stays unique
            new[index] = packed[key][0]
        result = b.emit(op, *new)
        for value, old in zip((result,) if not isinstance(result, tuple) else result, node.outputs, strict=True):
            value.fact = value.fact.with_layout(old.fact.layout)
        return result

    return rewrite(graph, rule, context, "pack_weights")
