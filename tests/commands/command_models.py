"""Makes small models as files."""

from __future__ import annotations

import onnx
from onnx import helper


def save(path, nodes, inputs, outputs, initializers=(), **attributes):
    """Writes a model of opset 17; inputs and outputs: (name, type, shape)."""
    graph = helper.make_graph(nodes, "small", [helper.make_tensor_value_info(*i) for i in inputs],
                              [helper.make_tensor_value_info(*o) for o in outputs], list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **attributes)
    onnx.save(model, path)
    return path
