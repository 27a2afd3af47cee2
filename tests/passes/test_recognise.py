"""Spelled-out activations: found in every order, and not found where a constant or a wire differs."""

import numpy as np
import pytest
from passes.graphs import model, optimised, same_answers, titles

from cynfer.runtime.passes import recognise

X = {"x": [2, 40]}
C = {"half": 0.5, "one": 1.0, "three": 3.0, "six": 6.0, "zero": 0.0, "sixth": 1 / 6, "root": np.sqrt(2),
     "iroot": 1 / np.sqrt(2)}
RELU6 = [("Add", "x three", "a", {}), ("Clip", "a zero six", "c", {})]
ERF = [("Div", "x root", "d", {}), ("Erf", "d", "e", {}), ("Add", "e one", "g", {})]
FOUND = {
    "silu": ([("Sigmoid", "x", "s", {}), ("Mul", "x s", "y", {})], "silu"),
    "silu, gate first": ([("Sigmoid", "x", "s", {}), ("Mul", "s x", "y", {})], "silu"),
    "hard sigmoid": ([("HardSigmoid", "x", "s", {"alpha": 1 / 6}), ("Mul", "x s", "y", {})], "hard_swish"),
    "clip, product, division": ([*RELU6, ("Mul", "x c", "m", {}), ("Div", "m six", "y", {})], "hard_swish"),
    "clip, division, product": ([*RELU6, ("Div", "c six", "m", {}), ("Mul", "m x", "y", {})], "hard_swish"),
    "clip, sixth": ([*RELU6, ("Mul", "c sixth", "m", {}), ("Mul", "x m", "y", {})], "hard_swish"),
    "erf, half last": ([*ERF, ("Mul", "x g", "m", {}), ("Mul", "m half", "y", {})], "gelu"),
    "erf, half first": ([*ERF, ("Mul", "x half", "m", {}), ("Mul", "m g", "y", {})], "gelu"),
    "erf, half in the middle": ([*ERF, ("Mul", "g half", "m", {}), ("Mul", "x m", "y", {})], "gelu"),
    "erf of a product": ([("Mul", "iroot x", "d", {}), ("Erf", "d", "e", {}), ("Add", "one e", "g", {}),
                          ("Mul", "x g", "m", {}), ("Mul", "half m", "y", {})], "gelu"),
}
OTHER = {
    "another x": [("Sin", "x", "z", {}), ("Sigmoid", "z", "s", {}), ("Mul", "x s", "y", {})],
    "another constant": [("Add", "x one", "a", {}), ("Clip", "a zero six", "c", {}), ("Mul", "x c", "m", {}),
                         ("Div", "m six", "y", {})],
    "another divisor": [*RELU6, ("Mul", "x c", "m", {}), ("Div", "m three", "y", {})],
    "another slope": [("HardSigmoid", "x", "s", {"alpha": 0.2}), ("Mul", "x s", "y", {})],
    "division by the gate": [("Sigmoid", "x", "s", {}), ("Div", "x s", "y", {})],
    "erf without its half": [*ERF, ("Mul", "x g", "y", {})],
    "erf of x": [("Erf", "x", "e", {}), ("Add", "e one", "g", {}), ("Mul", "x g", "m", {}), ("Mul", "m half", "y", {})],
}


def constants(nodes):
    used = {n for _, ins, _, _ in nodes for n in ins.split(" ")}
    return {k: np.float32(v) for k, v in C.items() if k in used}


@pytest.mark.parametrize("name", FOUND)
def test_found(name):
    nodes, kernel = FOUND[name]
    proto = model(nodes, X, ["y"], constants(nodes))
    assert titles(optimised(proto, (recognise,))[0]) == [kernel]
    same_answers(proto, tolerance=2e-6)


@pytest.mark.parametrize("name", OTHER)
def test_left_alone(name):
    proto = model(OTHER[name], X, ["y"], constants(OTHER[name]))
    assert optimised(proto, (recognise,))[1].fired["recognise"] == 0
    same_answers(proto, tolerance=2e-6)


def test_a_part_with_another_reader_stays():
    proto = model([("Sigmoid", "x", "s", {}), ("Mul", "x s", "y", {})], X, ["y", "s"])
    assert sorted(titles(optimised(proto, (recognise,))[0])) == ["sigmoid", "silu"]
    same_answers(proto, tolerance=2e-6)


def test_a_convolution_takes_it_in():
    w = np.random.default_rng(0).standard_normal((16, 16, 1, 1)).astype(np.float32)
    proto = model([("Conv", "x w", "c", {}), ("Sigmoid", "c", "s", {}), ("Mul", "c s", "y", {})], {"x": [1, 16, 4, 4]},
                  ["y"], {"w": w})
    assert "Conv+silu" in titles(optimised(proto)[0])
    same_answers(proto, tolerance=2e-6)
