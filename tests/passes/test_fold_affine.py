"""Folding γx+β into the product before it: fires, and must not fire."""

import numpy as np
import pytest
from passes.graphs import model, optimised, same_answers, titles

from cynfer.runtime.passes import fold_affine, fold_constants

RNG = np.random.default_rng(1)
W = RNG.standard_normal((6, 3, 3, 3)).astype(np.float32)
BN = {k: RNG.uniform(0.5, 2, 6).astype(np.float32) for k in ("g", "b", "m", "v")}
X = {"x": ["N", 3, 8, 8]}
CONV = ("Conv", "x w", "c", {"pads": [1, 1, 1, 1]})
NORM = ("BatchNormalization", "c g b m v", "y", {})
PER_CHANNEL = RNG.standard_normal((6, 1, 1)).astype(np.float32)


def folded(proto) -> int:
    _, context = optimised(proto, (fold_constants, fold_affine))
    return context.fired["fold_affine"]


FIRES = {
    "conv": ([CONV, NORM], X, {"w": W, **BN}, 1),
    "conv with bias": ([("Conv", "x w bias", "c", {}), NORM], X, {"w": W, "bias": BN["b"], **BN}, 1),
    "grouped conv": ([("Conv", "x w", "c", {"group": 3}), NORM], X, {"w": W[:, :1], **BN}, 1),
    "conv transpose": ([("ConvTranspose", "x w", "c", {}), NORM], X, {"w": W.transpose(1, 0, 2, 3).copy(), **BN}, 1),
    "grouped conv transpose": ([("ConvTranspose", "x w", "c", {"group": 3}), NORM], X,
                               {"w": np.ascontiguousarray(W[:3, :2]), **BN}, 1),
    "gemm": ([("Gemm", "x w", "c", {}), NORM], {"x": ["N", 5]}, {"w": RNG.random((5, 6), np.float32), **BN}, 1),
    "gemm with alpha and transposed weight":
        ([("Gemm", "x w", "c", {"alpha": 0.5, "transB": 1}), NORM], {"x": ["N", 5]},
         {"w": RNG.random((6, 5), np.float32), **BN}, 1),
    "mul then add": ([CONV, ("Mul", "c s", "d", {}), ("Add", "t d", "y", {})], X,
                     {"w": W, "s": PER_CHANNEL, "t": PER_CHANNEL}, 2),
    "sub and div": ([CONV, ("Sub", "c s", "d", {}), ("Div", "d t", "y", {})], X,
                    {"w": W, "s": PER_CHANNEL, "t": np.float32([2.0])}, 2),
    "constant minus conv": ([CONV, ("Sub", "s c", "y", {})], X, {"w": W, "s": PER_CHANNEL}, 1),
    "bias of a matmul": ([("MatMul", "x w", "c", {}), ("Add", "c s", "y", {})], {"x": [2, 4, 5]},
                         {"w": RNG.random((5, 6), np.float32), "s": BN["b"]}, 1),
}

STAYS = {
    "the product is read twice": ([CONV, NORM, ("Relu", "c", "z", {})], X, {"w": W, **BN}, ["y", "z"]),
    "the product is an output": ([CONV, NORM], X, {"w": W, **BN}, ["y", "c"]),
    "the weight is fed": ([CONV, NORM], {**X, "w": list(W.shape)}, BN, ["y"]),
    "the constant varies along space": ([CONV, ("Mul", "c s", "y", {})], X,
                                        {"w": W, "s": RNG.random((1, 8), np.float32)}, ["y"]),
    "the constant widens the result": ([("MatMul", "x w", "c", {}), ("Add", "c s", "y", {})], {"x": [1, 5]},
                                       {"w": RNG.random((5, 6), np.float32), "s": RNG.random((4, 6), np.float32)},
                                       ["y"]),
    "an activation lies between": ([CONV, ("Relu", "c", "r", {}), ("BatchNormalization", "r g b m v", "y", {})], X,
                                   {"w": W, **BN}, ["y"]),
    "conv divides the constant": ([CONV, ("Div", "s c", "y", {})], X, {"w": W, "s": PER_CHANNEL}, ["y"]),
    "the constant has a zero divisor": ([CONV, ("Div", "c s", "y", {})], X, {"w": W, "s": 0 * PER_CHANNEL}, ["y"]),
    "the scaled weight would overflow": ([("MatMul", "x w", "c", {}), ("Mul", "c s", "y", {})], {"x": [3, 5]},
                                         {"w": np.full((5, 6), 1e30, np.float32), "s": np.float32([1e30])}, ["y"]),
    "two matmuls": ([("MatMul", "x w", "c", {}), ("MatMul", "c v", "y", {})], {"x": [3, 5]},
                    {"w": RNG.random((5, 6), np.float32), "v": RNG.random((6, 2), np.float32)}, ["y"]),
}


@pytest.mark.parametrize("name", FIRES)
def test_fires_with_the_same_answers(name):
    nodes, inputs, constants, count = FIRES[name]
    proto = model(nodes, inputs, ["y"], constants)
    assert folded(proto) == count
    assert len(titles(optimised(proto, (fold_constants, fold_affine))[0])) == 1
    same_answers(proto)


@pytest.mark.parametrize("name", STAYS)
def test_must_not_fire(name):
    nodes, inputs, constants, outputs = STAYS[name]
    proto = model(nodes, inputs, outputs, constants)
    assert folded(proto) == 0
    if "zero" not in name and "overflow" not in name:
        same_answers(proto, tolerance=1e-4)


def test_a_shared_weight_is_not_changed_for_its_other_reader():
    proto = model([CONV, NORM, ("Conv", "x w", "z", {"pads": [1, 1, 1, 1]})], X, ["y", "z"], {"w": W, **BN})
    assert folded(proto) == 1
    same_answers(proto)
