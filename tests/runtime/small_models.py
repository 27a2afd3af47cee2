"""Small models as text of onnx.parser, for tests of sessions."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def parse(graph: str, opset: int = 17) -> onnx.ModelProto:
    """The model of one graph in the syntax of onnx.parser."""
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{graph}')


#: Inputs of `add_relu`, and what it gives.
A = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
B = np.array([[1, 1, 1], [-9, 1, 1]], np.float32)
Y = np.maximum(A + B, 0)


def add_relu() -> onnx.ModelProto:
    """y = relu(a + b); the sum s has a name."""
    return parse("g (float[N, 3] a, float[N, 3] b) => (float[N, 3] y) { s = Add(a, b) y = Relu(s) }")


def with_initializer() -> onnx.ModelProto:
    """y = x + w, where w is an initializer that is an input too."""
    model = parse("g (float[N, 3] x, float[3] w) => (float[N, 3] y) { y = Add(x, w) }")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w"))
    return model


def typed(dtype: str, shape: str = "N") -> onnx.ModelProto:
    """y = identity(x) for an element type."""
    return parse(f"g ({dtype}[{shape}] x) => ({dtype}[{shape}] y) {{ y = Identity(x) }}")


def matmuls(rows: int, size: int, count: int, seed: int = 0) -> onnx.ModelProto:
    """A chain of products with the same square weight, with a Relu after each: as long as you like."""
    weight = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32) / np.float32(size) ** 0.5
    nodes, last = [], "x"
    for i in range(count):
        nodes += [helper.make_node("MatMul", [last, "w"], [f"p{i}"]), helper.make_node("Relu", [f"p{i}"], [f"r{i}"])]
        last = f"r{i}"
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [rows, size]) for n in ("x", last)]
    graph = helper.make_graph(nodes, "chain", info[:1], info[1:], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def convs(seed: int = 0) -> onnx.ModelProto:
    """Convolutions with stride, groups and odd sizes, a pooling and a product."""
    rng = np.random.default_rng(seed)
    model = parse("""g (float[N, 3, 65, 57] x) => (float[N, 10] y) {
        a = Conv <kernel_shape = [7, 7], strides = [2, 2], pads = [3, 3, 3, 3]> (x, w1)
        b = Relu(a)
        c = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (b)
        d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c, w2)
        e = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 37> (d, w3)
        f = Relu(e)
        h = GlobalAveragePool(f)
        i = Flatten(h)
        y = Gemm <transB = 1> (i, w4)
    }""")
    for name, shape in (("w1", (24, 3, 7, 7)), ("w2", (37, 24, 3, 3)), ("w3", (37, 1, 3, 3)), ("w4", (10, 37))):
        weight = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
    return model


def run(session, **feeds) -> np.ndarray:
    """The first output."""
    return session.run(None, feeds)[0]
