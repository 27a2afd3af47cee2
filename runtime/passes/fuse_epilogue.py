"""Lets a product take the element-wise ops after it into its epilogue (`Op.absorb`), while its tile is in registers."""

from __future__ import annotations

from cynfer.runtime.graph import Graph
from cynfer.runtime.passes.rewrite import Context, rewrite


def fuse_epilogue(graph: Graph, context: Context) -> Graph:
    """The graph with every product and its element-wise followers joined as far as the product allows."""
    def rule(b, node, inputs):
        if len(node.outputs) != 1 or len(inputs) > 3:
            return None
        # of two products that are added, the later one takes the sum: the other is there by then
        for position in sorted(range(len(inputs)), key=lambda i: -b.position.get(inputs[i], -1)):
            value = inputs[position]
            if value is None or value.producer is None or not b.only_use(value):
                continue
            product = value.producer
            if len(product.outputs) != 1 or node.outputs[0].fact.shape != value.fact.shape:
                continue
            others = [v for i, v in enumerate(inputs) if i != position and v is not None]
            op = product.op.absorb(node.op, position, [None if v is None else v.fact for v in product.inputs],
                                   [v.fact for v in others])
            if op is not None:
                taken = list(product.inputs)
                if any(s.operand >= 0 for s in op.epilogue[-1:]):
                    taken += [None] * (3 - len(taken)) + others
                return b.emit(op, *taken)
        return None

    return rewrite(graph, rule, context, "fuse_epilogue")
