"""Constant folding, no-op removal, packing, dead code: each fires, and must not fire."""

import numpy as np
import pytest
from passes.graphs import model, optimised, same_answers, titles

from cynfer.ops.conv import PackConv
from cynfer.ops.matmul import PackB
from cynfer.runtime.limits import Limits
from cynfer.runtime.passes import drop_noops, fold_constants, pack_weights

RNG = np.random.default_rng(4)
X = {"x": ["N", 4]}


def test_a_constant_chain_folds():
    proto = model([("Add", "a b", "c", {}), ("Sqrt", "c", "d", {}), ("Mul", "x d", "y", {})], X, ["y"],
                  {"a": np.float32([1, 2, 3, 4]), "b": np.float32([3])})
    graph, context = optimised(proto, (fold_constants,))
    assert titles(graph) == ["mul"] and context.fired["fold_constants"] == 2
    same_answers(proto)


def test_folding_respects_its_budget_and_says_so():
    nodes = [("Expand", "one shape", "big", {}), ("Sin", "big", "b2", {}), ("Mul", "x b2", "y", {})]
    proto = model(nodes, {"x": [1, 1]}, ["y"], {"one": np.float32([[1]]), "shape": np.int64([100, 100])})
    graph, context = optimised(proto, (fold_constants,), limits=Limits(max_folded_bytes=1000))
    assert len(graph.nodes) == 3
    assert any("max_folded_bytes" in note for note in context.notes)


def test_a_constant_that_feeds_a_weight_folds_beyond_the_budget():
    proto = model([("ConstantOfShape", "shape", "w", {}), ("MatMul", "x w", "y", {})], X, ["y"],
                  {"shape": np.int64([4, 1000])})
    graph, _ = optimised(proto, (fold_constants,), limits=Limits(max_folded_bytes=10))
    assert titles(graph) == ["MatMul"]


def test_a_node_with_a_bad_value_is_left_for_the_run():
    proto = model([("Gather", "x9 i", "y", {})], {"x": [1]}, ["y"],
                  {"x9": np.zeros(4, np.float32), "i": np.int64([9])})
    graph, context = optimised(proto, (fold_constants,))
    assert len(graph.nodes) == 1 and any("9" in note for note in context.notes)



NOOPS = {
    "identity": [("Identity", "x", "a", {}), ("Relu", "a", "y", {})],
    "reshape to the same shape": [("Shape", "x", "s", {}), ("Reshape", "x s", "a", {}), ("Relu", "a", "y", {})],
    "dropout": [("Dropout", "x", "a", {}), ("Relu", "a", "y", {})],
    "transpose by the identity": [("Transpose", "x", "a", {"perm": [0, 1]}), ("Relu", "a", "y", {})],
    "cast to the same type": [("Cast", "x", "a", {"to": 1}), ("Relu", "a", "y", {})],
}


@pytest.mark.parametrize("name", NOOPS)
def test_a_noop_goes(name):
    proto = model(NOOPS[name], X, ["y"])
    assert titles(optimised(proto, (fold_constants, drop_noops))[0]) == ["relu"]
    same_answers(proto)


@pytest.mark.parametrize("nodes", [
    [("Transpose", "x", "a", {"perm": [1, 0]}), ("Relu", "a", "y", {})],
    [("Cast", "x", "a", {"to": 11}), ("Cast", "a", "y", {"to": 1})],
    [("Unsqueeze", "x one", "a", {}), ("Relu", "a", "y", {})],
], ids=["a real transpose", "a real cast", "a new axis"])
def test_what_changes_something_stays(nodes):
    proto = model(nodes, X, ["y"], {"one": np.int64([1])} if nodes[0][0] == "Unsqueeze" else None)
    assert len(optimised(proto, (fold_constants, drop_noops))[0].nodes) == 2


def test_an_output_that_is_an_input_is_a_copy():
    proto = model([("Identity", "x", "y", {})], X, ["y"])
    same_answers(proto)


def test_constant_weights_are_packed_once():
    w = RNG.standard_normal((4, 5)).astype(np.float32)
    proto = model([("MatMul", "x w", "p", {}), ("MatMul", "q w", "r", {}), ("Add", "p r", "y", {})],
                  {**X, "q": ["N", 4]}, ["y"], {"w": w})
    graph, context = optimised(proto, (pack_weights,))
    assert context.fired["pack_weights"] == 2
    packed = {id(n.inputs[1].fact.value) for n in graph.nodes if n.op.title == "MatMul"}
    assert len(packed) == 1
    same_answers(proto)


def test_fed_weights_are_not_packed():
    proto = model([("MatMul", "x w", "y", {})], {**X, "w": [4, 5]}, ["y"])
    graph, context = optimised(proto, (pack_weights,))
    assert context.fired["pack_weights"] == 0 and len(graph.nodes) == 1
    same_answers(proto)


def test_packed_sizes_are_known_before_packing():
    pack = PackConv("c16", (20, 5, 3, 3), 1, 1)
    assert pack.shapes(None) == [(32 * 16 * 9,)]
    assert PackB(2, 7, 33, False).shapes(type("F", (), {"dtype": np.dtype(np.float32)})) == [(2 * 64 * 7,)]


def test_dead_nodes_go():
    proto = model([("Relu", "x", "y", {}), ("Sin", "x", "dead", {}), ("Cos", "dead", "dead2", {})], X, ["y"])
    assert titles(optimised(proto, (fold_constants,))[0]) == ["relu"]
