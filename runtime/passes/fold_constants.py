"""Constant folding: nodes whose inputs are all known are computed once, now.

What folding adds counts against limits.max_folded_bytes; beyond it nodes stay and a note says so. A constant that
feeds a weight is needed in full anyway: it folds up to limits.max_bytes.
"""

from __future__ import annotations

from cynfer.ops.errors import CynferError
from cynfer.ops.op import evaluate
from cynfer.runtime.builder import named
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.passes.rewrite import Context, Rewriter, rewrite


def fold_constants(graph: Graph, context: Context) -> Graph:
    """The graph with constant nodes replaced by their results."""
    weights: set[Value] = set()
    for node in reversed(graph.nodes):  # a weight made by a chain of nodes: all of the chain feeds it
        wanted = any(v in weights for v in node.outputs if v is not None)
        for i, value in enumerate(node.inputs):
            if value is not None and (wanted or i in node.op.weight_inputs):
                weights.add(value)

    def rule(b: Rewriter, node, inputs):
        op = node.op
        known = [None if v is None else v.fact.constant for v in inputs]
        if not op.pure or hasattr(op, "control") or any(k is None and v is not None
                                                        for k, v in zip(known, inputs, strict=True)):
            return None
        facts = [v.fact for v in node.outputs if v is not None]
        if not facts or not all(f.known and f.holdable for f in facts):
            return None
        done = [f.constant for f in facts]
        if len(done) == len(node.outputs) and all(d is not None for d in done):
            return tuple(b.const(d) for d in done)
        if any(v.fact.layout.block for v in (*inputs, *node.outputs) if v is not None):
            return None
        size = sum(f.nbytes for f in facts)
        if any(v in weights for v in node.outputs):
            if size > context.limits.bytes:
                return None
        elif context.spent + size > context.limits.max_folded_bytes:
            context.notes.append(f"{node.origin}: left unfolded, its {size} bytes would pass limits.max_folded_bytes "
                                 f"({context.limits.max_folded_bytes})")
            return None
        else:
            context.spent += size
        try:
            with named(node.origin):
                results = evaluate(op, context.machine, known)
        except CynferError as error:  # a bad value: it is reported if and when the node runs
            context.notes.append(str(error))
            return None
        if not all(hasattr(r, "dtype") for r in results):
            return None
        return tuple(b.const(r, v.fact.dtype) for r, v in zip(results, node.outputs, strict=True))

    return rewrite(graph, rule, context, "fold_constants")
