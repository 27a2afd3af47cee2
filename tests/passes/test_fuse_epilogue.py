"""Fusing element-wise followers into a product's epilogue: fires, and must not fire."""

import numpy as np
import pytest
from passes.graphs import model, optimised, same_answers, titles

from cynfer.runtime.passes import drop_noops, fold_affine, fold_constants, fuse_epilogue

RNG = np.random.default_rng(2)
W = RNG.standard_normal((6, 6, 3, 3)).astype(np.float32) / 7
X = {"x": ["N", 6, 7, 7]}
CONV = ("Conv", "x w", "c", {"pads": [1, 1, 1, 1]})
PASSES = (fold_constants, drop_noops, fold_affine, fuse_epilogue)


def after(proto):
    return titles(optimised(proto, PASSES)[0])


ACTIVATIONS = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.2}, "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {"alpha": 0.3},
    "HardSwish": {}, "Elu": {"alpha": 0.7},
}


@pytest.mark.parametrize("op", ACTIVATIONS)
@pytest.mark.parametrize("product", ["conv", "conv transpose", "matmul"])
def test_an_activation_fuses(op, product):
    first = {"conv": CONV, "conv transpose": ("ConvTranspose", "x w", "c", {}), "matmul": ("MatMul", "x w", "c", {})}
    inputs = {"x": ["N", 5]} if product == "matmul" else X
    w = RNG.standard_normal((5, 6)).astype(np.float32) if product == "matmul" else W
    proto = model([first[product], (op, "c", "y", ACTIVATIONS[op])], inputs, ["y"], {"w": w})
    assert len(after(proto)) == 1
    same_answers(proto, tolerance=1e-5)


CHAINS = {
    "clip": [CONV, ("Clip", "c lo hi", "y", {})],
    "residual and relu": [CONV, ("Add", "c x", "d", {}), ("Relu", "d", "y", {})],
    "residual first": [CONV, ("Add", "x c", "d", {}), ("Relu", "d", "y", {})],
    "gate": [CONV, ("Mul", "c x", "y", {})],
    "scalar": [CONV, ("Relu", "c", "d", {}), ("Mul", "d two", "e", {}), ("Add", "three e", "y", {})],
    "bias, relu, residual, relu": [CONV, ("Add", "c bias", "d", {}), ("Relu", "d", "e", {}), ("Add", "e x", "f", {}),
                                   ("Relu", "f", "y", {})],
}
CONSTANTS = {"w": W, "lo": np.float32(-0.5), "hi": np.float32(0.25), "two": np.float32(2), "three": np.float32([3]),
             "bias": RNG.standard_normal((1, 6, 1, 1)).astype(np.float32)}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_becomes_one_node(name):
    used = {c for _, ins, _, _ in CHAINS[name] for c in ins.split(" ")}
    proto = model(CHAINS[name], X, ["y"], {k: v for k, v in CONSTANTS.items() if k in used})
    assert len(after(proto)) == 1
    same_answers(proto)


def test_two_products_that_are_added_fuse_once():
    proto = model([CONV, ("Conv", "x v", "d", {}), ("Add", "c d", "e", {}), ("Relu", "e", "y", {})], X, ["y"],
                  {"w": W, "v": W[:, :, :1, :1].copy()})
    assert sorted(after(proto)) == ["Conv", "Conv+add+relu"]
    same_answers(proto)


STAYS = {
    "the product is an output too": ([CONV, ("Relu", "c", "y", {})], ["y", "c"]),
    "the product is read twice": ([CONV, ("Relu", "c", "y", {}), ("Tanh", "c", "z", {})], ["y", "z"]),
    "added to itself": ([CONV, ("Add", "c c", "y", {})], ["y"]),
    "the other operand broadcasts": ([CONV, ("GlobalMaxPool", "x", "p", {}), ("Mul", "c p", "y", {})], ["y"]),
    "no such step": ([CONV, ("Sin", "c", "y", {})], ["y"]),
    "a product of integers": ([("Cast", "x", "i", {"to": 7}), ("MatMul", "i i", "c", {}), ("Relu", "c", "d", {}),
                               ("Cast", "d", "y", {"to": 1})], ["y"]),
}


@pytest.mark.parametrize("name", STAYS)
def test_must_not_fire(name):
    nodes, outputs = STAYS[name]
    used = {c for _, ins, _, _ in nodes for c in ins.split(" ")}
    proto = model(nodes, X, outputs, {k: v for k, v in CONSTANTS.items() if k in used})
    assert not any("+" in t for t in after(proto))
    same_answers(proto)
