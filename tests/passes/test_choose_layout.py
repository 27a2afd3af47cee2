"""Blocked layout: where it is chosen, where conversions stand, and that answers stay."""

import numpy as np
import pytest
from passes.graphs import model, optimised, same_answers, titles

from cynfer.ops.layout import Reorder
from cynfer.ops.machine import runnable

RNG = np.random.default_rng(3)


def weight(o, c, k=3):
    return (RNG.standard_normal((o, c, k, k)) / np.sqrt(c * k * k)).astype(np.float32)


def conv(name, x, y, **attributes):
    return ("Conv", f"{x} {name}", y, {"pads": [1, 1, 1, 1], **attributes})


def conversions(proto) -> int:
    return sum(isinstance(n.op, Reorder) for n in optimised(proto)[0].nodes)


def test_one_conversion_in_and_one_out():
    proto = model([conv("a", "x", "p"), ("Relu", "p", "q", {}), ("MaxPool", "q", "r", {"kernel_shape": [2, 2]}),
                   conv("b", "r", "y")], {"x": ["N", 32, 9, 10]}, ["y"], {"a": weight(48, 32), "b": weight(20, 48)})
    assert conversions(proto) == 2
    same_answers(proto)


def test_few_input_channels_need_no_conversion_in():
    proto = model([conv("a", "x", "y")], {"x": ["N", 3, 9, 10]}, ["y"], {"a": weight(40, 3)})
    assert conversions(proto) == 1
    same_answers(proto)


def test_a_value_is_converted_once_for_many_readers():
    proto = model([conv("a", "x", "p"), conv("b", "x", "q"), conv("c", "x", "r"), ("Softmax", "p", "y", {"axis": 1}),
                   ("Softmax", "p", "z", {"axis": 3})], {"x": [1, 16, 5, 5]}, ["y", "z", "q", "r"],
                  {"a": weight(16, 16), "b": weight(16, 16), "c": weight(16, 16)})
    assert conversions(proto) == 1 + 3  # x in; p, q and r out, p once for both its readers
    same_answers(proto)


def test_a_graph_without_convolution_stays_plain():
    nodes = [("MaxPool", "x", "p", {"kernel_shape": [2, 2]}), ("Relu", "p", "y", {})]
    proto = model(nodes, {"x": [1, 16, 8, 8]}, ["y"])
    assert conversions(proto) == 0


@pytest.mark.parametrize("nodes,constants", [
    ([("Conv", "x w", "y", {})], {"w": RNG.standard_normal((16, 16, 3)).astype(np.float32)}),
    ([("Conv", "x w", "y", {})], {"w": RNG.standard_normal((16, 16, 3, 3, 3)).astype(np.float32)}),
], ids=["1-D", "3-D"])
def test_only_two_spatial_axes_are_blocked(nodes, constants):
    proto = model(nodes, {"x": [1, 16] + [6] * (constants["w"].ndim - 2)}, ["y"], constants)
    assert conversions(proto) == 0
    same_answers(proto)


def test_a_fed_weight_runs_plain():
    proto = model([("Conv", "x w", "y", {})], {"x": [1, 16, 6, 6], "w": [16, 16, 3, 3]}, ["y"])
    assert conversions(proto) == 0
    same_answers(proto)


@pytest.mark.parametrize("isa", runnable())
def test_a_small_network_of_everything_that_runs_blocked(isa):
    nodes = [
        conv("stem", "x", "a", strides=[2, 2]), ("Relu", "a", "b", {}),
        conv("dw", "b", "c", group=24), ("Clip", "c lo hi", "d", {}),
        ("Conv", "d pw", "e", {}), ("BatchNormalization", "e g b2 m v", "f", {}), ("Add", "f b", "h", {}),
        ("GlobalAveragePool", "h", "s", {}), ("Conv", "s se", "t", {}), ("Sigmoid", "t", "u", {}),
        ("Mul", "h u", "i", {}), ("AveragePool", "i", "j", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("Concat", "i j", "k", {"axis": 1}), ("Conv", "k gr", "l", {"group": 2}), ("Tanh", "l", "y", {})]
    vector = {k: RNG.uniform(0.5, 1.5, 24).astype(np.float32) for k in ("g", "b2", "m", "v")}
    proto = model(nodes, {"x": ["N", 3, 20, 18]}, ["y", "i"],
                  {"stem": weight(24, 3), "dw": weight(24, 1), "pw": weight(24, 24, 1), "se": weight(24, 24, 1),
                   "gr": weight(32, 24, 1), "lo": np.float32(0), "hi": np.float32(6), **vector})
    graph, _ = optimised(proto, isa=isa)
    assert any(v.fact.layout.block for n in graph.nodes for v in n.outputs), titles(graph)
    same_answers(proto, free=3)
