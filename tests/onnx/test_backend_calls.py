"""The functions of cynfer.backend by themselves."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import cynfer
from cynfer import backend

MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["" : 17]> g (float[2] a, float[2] b) => (float[2] y) { y = Sub(a, b) }')
A, B = np.array([1, 2], np.float32), np.array([5, 7], np.float32)


def test_prepare_and_run():
    prepared = backend.prepare(MODEL, "CPU", threads=1)
    for inputs in ([A, B], (A, B), {"b": B, "a": A}):
        outputs = prepared.run(inputs)
        assert isinstance(outputs, tuple) and np.array_equal(outputs[0], A - B)
    assert np.array_equal(backend.run_model(MODEL, [A, B])[0], A - B)
    with pytest.raises(cynfer.InputError, match="got 1 inputs, the model has 2: a, b"):
        prepared.run([A])


def test_run_node():
    node = onnx.helper.make_node("Sub", ["a", "b"], ["y"])
    assert np.array_equal(backend.run_node(node, [A, B])[0], A - B)
    assert np.array_equal(backend.run_node(node, {"b": B, "a": A}, opset_version=13)[0], A - B)
    clip = onnx.helper.make_node("Clip", ["x", "", "high"], ["y"])
    assert backend.run_node(clip, [A, np.float32(1.5)])[0].tolist() == [1, 1.5]
    assert backend.run_node(onnx.helper.make_node("Neg", ["x"], ["y"]), A)[0].tolist() == [-1, -2]
    split = onnx.helper.make_node("Split", ["x"], ["p", "q"], num_outputs=2)
    assert [o.tolist() for o in backend.run_node(split, [A])] == [[1], [2]]
    with pytest.raises(cynfer.InputError, match="got 1 inputs, the node has 2"):
        backend.run_node(node, [A])


def test_compatibility_and_devices():
    assert backend.is_compatible(MODEL)
    other = onnx.ModelProto()
    other.CopyFrom(MODEL)
    other.graph.node[0].op_type = "NoSuchOperator"
    assert not backend.is_compatible(other)
    assert backend.supports_device("CPU") and backend.supports_device("CPU:0") and not backend.supports_device("CUDA")
    with pytest.raises(cynfer.UnsupportedError, match="CUDA"):
        backend.prepare(MODEL, "CUDA")
