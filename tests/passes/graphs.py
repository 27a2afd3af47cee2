"""Small ONNX models for tests of passes: one line a model."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.machine import Machine
from cynfer.runtime.load_onnx import load
from cynfer.runtime.lower import lower
from cynfer.runtime.passes import INFERENCE, Context, optimise
from cynfer.runtime.session import Session


def model(nodes, inputs, outputs, constants=None, opset=17):
    """nodes: (op, "in in", "out out", attributes); inputs: {name: shape}; outputs: names; constants: {name: array}."""
    made = [helper.make_node(op, ins.split(" "), outs.split(" "), **attributes) for op, ins, outs, attributes in nodes]
    graph = helper.make_graph(
        made, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def optimised(proto, passes=INFERENCE, isa=None, limits=None):
    """(lowered graph after the passes, their context)."""
    context = Context(Machine(isa)) if limits is None else Context(Machine(isa), limits)
    return optimise(lower(load(proto).graph), context, passes), context


def titles(graph) -> list[str]:
    return [node.op.title for node in graph.nodes]


def feeds_of(proto, seed=0, free=2):
    rng = np.random.default_rng(seed)
    return {i.name: rng.standard_normal([d.dim_value or free for d in i.type.tensor_type.shape.dim]).astype(np.float32)
            for i in proto.graph.input}


def same_answers(proto, tolerance=2e-5, free=2):
    """Asserts that passes change no answer by more than `tolerance` of the output's scale; returns the answers."""
    feeds = feeds_of(proto, free=free)
    plain = Session(proto, optimise=False).run(None, feeds)
    fast = Session(proto, optimise=True).run(None, feeds)
    for a, b in zip(plain, fast, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.abs(a.astype(np.float64) - b).max() <= tolerance * max(1e-30, np.abs(a).max())
    return plain
