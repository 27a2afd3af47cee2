"""Gradient against central differences in float64."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.errors import ModelError, UnsupportedError
from cynfer.runtime.session import Session

TRAINING = "ai.onnx.preview.training"
D = TensorProto.DOUBLE
RNG = np.random.default_rng(9)


def session(nodes, inputs, xs, y, zs=(), fed=None, optimise=True):
    made = [helper.make_node(op, i.split(), [o]) for op, i, o in nodes]
    attributes = {"zs": list(zs)} if zs else {}
    made.append(helper.make_node("Gradient", fed or [*xs, *zs], [f"d_{x}" for x in xs], "grad", domain=TRAINING,
                                 xs=list(xs), y=y, **attributes))
    outs = [y, *(f"d_{x}" for x in xs)]
    graph = helper.make_graph(made, "g", [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype),
                                                                       a.shape) for n, a in inputs.items()],
                              [helper.make_empty_tensor_value_info(o) for o in outs],
                              [numpy_helper.from_array(np.array([2.0, 3.0, 0.5]), "w")])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(TRAINING, 1)]
    return Session(helper.make_model(graph, opset_imports=opsets, ir_version=9), optimise=optimise)


def check(nodes, inputs, xs, y, optimise):
    one = session(nodes, inputs, xs, y, optimise=optimise)
    got = one.run(None, inputs)[1:]
    for name, gradient in zip(xs, got, strict=True):
        assert gradient.shape == inputs[name].shape
        want = np.empty_like(inputs[name])
        for at in np.ndindex(want.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = inputs[name].copy()
                moved[at] += step
                ends.append(one.run([y], {**inputs, name: moved})[0].sum())
            want[at] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(gradient, want, 1e-6, 1e-6)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((1,), (2, 1, 3)), ((2, 1), (1, 3)), ((), (2,))])
def test_two_inputs(op, shapes, optimise):
    inputs = {n: RNG.uniform(0.5, 2, s) for n, s in zip("ab", shapes, strict=True)}
    check([(op, "a b", "y")], inputs, "ab", "y", optimise)


@pytest.mark.parametrize("op", ["Neg", "Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Tanh", "Sigmoid", "Softplus",
                                "Relu", "Sin", "Cos"])
def test_one_input(op):
    low = 0.2 if op in ("Log", "Sqrt") else -2
    check([(op, "a", "y")], {"a": RNG.uniform(low, 2, (3, 4))}, "a", "y", True)


def test_a_chain_with_branches():
    inputs = {"a": RNG.uniform(0.5, 2, (2, 3)), "b": RNG.uniform(0.5, 2, (3,))}
    nodes = [("Mul", "a w", "c"), ("Add", "c b", "d"), ("Tanh", "d", "e"), ("Mul", "e d", "f"), ("Div", "f a", "y"),
             ("Exp", "y", "beside")]
    check(nodes, inputs, "ab", "y", True)
    got = session(nodes, inputs, "b", "y", zs="c").run(None, inputs)
    np.testing.assert_allclose(got[1], session(nodes, inputs, "b", "y").run(None, inputs)[1])


def test_named_values_are_free():
    inputs = {"a": RNG.uniform(1, 2, 3)}
    nodes = [("Exp", "a", "c"), ("Mul", "c a", "y")]
    both = session(nodes, inputs, "a", "y").run(None, inputs)[1]
    np.testing.assert_allclose(both, np.exp(inputs["a"]) * (1 + inputs["a"]))
    for result in (session(nodes, inputs, "ac", "y"), session(nodes, inputs, "a", "y", zs="c")):
        np.testing.assert_allclose(result.run(None, inputs)[1], np.exp(inputs["a"]))


def test_no_way():
    inputs = {"a": np.ones(3), "b": np.ones((2, 2))}
    got = session([("Exp", "a", "y")], inputs, "ab", "y").run(None, inputs)
    np.testing.assert_array_equal(got[2], np.zeros((2, 2)))


def test_errors():
    inputs = {"a": np.ones(3)}
    with pytest.raises(UnsupportedError, match=r"operator floor .*has no gradient here"):
        session([("Floor", "a", "y")], inputs, "a", "y")
    with pytest.raises(ModelError, match="y is 'q', which no node before it gives"):
        session([("Exp", "a", "z"), ("Identity", "z", "q")], inputs, "a", "q")
    with pytest.raises(UnsupportedError, match="its input for 'a' is another value"):
        session([("Exp", "a", "y")], inputs, "a", "y", fed=["y"])
    with pytest.raises(ModelError, match=r"'a' is tensor\(int64\)"):
        session([("Neg", "a", "y")], {"a": np.arange(3)}, "a", "y")
