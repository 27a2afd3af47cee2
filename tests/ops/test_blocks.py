"""A network of operators that all run on blocks of channels: the same answers as on plain layout, no conversion."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.layout import Reorder
from cynfer.runtime.session import Session


def network(channels):
    """Convolutions with everything between them that is element by element, by channel or over the pixels."""
    rng = np.random.default_rng(0)
    weights, nodes = [], []

    def weight(*shape, scale=0.2):
        name = f"w{len(weights)}"
        weights.append(numpy_helper.from_array((rng.normal(size=shape) * scale).astype(np.float32), name))
        return name

    def node(op, *inputs, **attributes):
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    c = channels
    x = node("Conv", "x", weight(c, 3, 3, 3), weight(c), pads=[1] * 4)
    x = node("HardSwish", x)
    x = node("PRelu", x, weight(c, 1, 1))
    x = skip = node("LRN", x, size=5)
    x = node("Conv", x, weight(c, c, 3, 3), pads=[1] * 4)
    x = node("Add", x, skip)
    gate = node("ReduceMean", x, axes=[2, 3])
    gate = node("Relu", node("Conv", gate, weight(8, c, 1, 1), weight(8)))
    gate = node("Sigmoid", node("Conv", gate, weight(c, 8, 1, 1)))
    x = node("Mul", x, gate)
    x = node("Div", node("Sub", x, weight(1, c, 1, 1)), weight())
    x = node("Mul", x, node("Sigmoid", x))
    x = node("Max", x, weight())
    x = node("Conv", x, weight(33, c, 3, 3), strides=[2, 2])
    x = node("ReduceMean", x, axes=[-1, -2], keepdims=0)
    graph = helper.make_graph(
        nodes, "blocks", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", 33])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("channels", [16, 19])
def test_the_same_answers_and_no_conversion_between(channels):
    model = network(channels)
    x = np.random.default_rng(1).normal(size=(2, 3, 21, 17)).astype(np.float32)
    plain, blocked = Session(model, optimise=False), Session(model, threads=3)
    want, got = (s.run(None, {"x": x})[0] for s in (plain, blocked))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    nodes = blocked.program.graph.nodes
    conversions = [i for i, n in enumerate(nodes) if isinstance(n.op, Reorder)]
    assert len(nodes) > 10 and all(i in (0, len(nodes) - 2) for i in conversions)
