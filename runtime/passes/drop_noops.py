"""Removes nodes that give their first input unchanged (Identity, a Reshape to the same shape, …)."""

from __future__ import annotations

from cynfer.runtime.graph import Graph
from cynfer.runtime.passes.rewrite import Context, rewrite


def drop_noops(graph: Graph, context: Context) -> Graph:
    """The graph without them."""

    def rule(b, node, inputs):
        if len(node.outputs) == 1 and node.op.pure and inputs and inputs[0] is not None:
            facts = [None if v is None else v.fact for v in inputs]
            if node.op.is_noop(facts, [v.fact for v in node.outputs]):
                return inputs[0]
        return None

    return rewrite(graph, rule, context, "drop_noops")
