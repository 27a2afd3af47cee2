"""Functions: inlined in place, names of their own, attributes by reference, counted before they are made."""

import numpy as np
import onnx
import pytest
from model_maker import (
    FLOAT,
    bomb,
    branch,
    call,
    function,
    if_node,
    loop,
    model,
    reference,
    referring,
    relu,
    tensor,
)
from onnx import TensorProto, defs, helper
from onnx.reference import ReferenceEvaluator

from cynfer.ops.errors import LimitError, ModelError, UnsupportedError
from cynfer.ops.op import resolve
from cynfer.runtime.functions import read_functions
from cynfer.runtime.limits import Limits
from cynfer.runtime.load_onnx import load
from cynfer.runtime.session import Session

X = np.array([-2.0, -0.5, 0.0, 3.0], np.float32)
LOCAL = {"": 17, "local": 1}


def agree(data, **feeds) -> list[np.ndarray]:
    """Our answer, which is that of the onnx package's reference."""
    got = Session(data, threads=1).run(None, feeds)
    want = ReferenceEvaluator(onnx.load_from_string(data)).run(None, feeds)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    return got


def elu_of(x, alpha):
    return np.where(x < 0, np.float32(alpha) * np.expm1(x), x)


def names(data) -> list[str]:
    return [v.name for node in load(data).graph.nodes for v in node.outputs if v is not None]


def test_names_inside_a_call_are_unique():
    double = function("Double", [helper.make_node("Add", ["a", "a"], ["t"]), relu("t", "b")])
    calls = [call("Double", "x", "u"), call("Double", "u", "v"), call("Double", "v", "y")]
    data = model(calls, functions=[double], imports=LOCAL)
    assert names(data) == ["call_Double/t", "u", "call_Double#1/t", "v", "call_Double#2/t", "y"]
    agree(data, x=X)


def test_functions_call_functions():
    agree(bomb(3, 3)(None), x=X)
    assert len(load(bomb(3, 3)(None)).graph.nodes) == 27


def test_nodes_name_where_they_come_from():
    inner = function("In", [relu("a", "b", "r")])
    outer = function("Out", [call("In")])
    node = load(model([call("Out", "x", "y")], functions=[inner, outer], imports=LOCAL)).graph.nodes[0]
    assert node.origin == "node 'call_Out/call_In/r' (Relu-14)"
    assert node.name == "call_Out/call_In/r"


@pytest.mark.parametrize("given, want", [({}, 1.0), ({"beta": 0.5}, 0.5)])
def test_attribute_by_reference_or_default(given, want):
    elu = function("E", [referring("Elu", ["a"], "b", reference())], defaults=[helper.make_attribute("beta", 1.0)])
    data = model([call("E", "x", "y", **given)], functions=[elu], imports=LOCAL)
    assert load(data).graph.nodes[0].op.attributes == {"alpha": want}
    np.testing.assert_allclose(Session(data, threads=1).run(None, {"x": X})[0], elu_of(X, want), rtol=1e-6)


def test_attribute_that_is_not_given_is_left_out():
    elu = function("E", [referring("Elu", ["a"], "b", reference())], attributes=["beta"])
    data = model([call("E", "x", "y")], functions=[elu], imports=LOCAL)
    assert load(data).graph.nodes[0].op.attributes == {}


def test_reference_through_two_calls():
    inner = function("In", [referring("Elu", ["a"], "b", reference("alpha", "p"))], attributes=["p"])
    middle = call("In")
    middle.attribute.append(reference("p", "q"))
    outer = function("Out", [middle], attributes=["q"])
    data = model([call("Out", "x", "y", q=0.25)], functions=[inner, outer], imports=LOCAL)
    assert load(data).graph.nodes[0].op.attributes == {"alpha": 0.25}


def test_reference_inside_a_body():
    then = branch(referring("Elu", ["a"], "z", reference()))
    body = function("F", [helper.make_node("ReduceMax", ["a"], ["m"], keepdims=0),
                          helper.make_node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
                          if_node(then, branch(relu("a", "z")), ("b",))], attributes=["beta"])
    data = model([call("F", "x", "y", beta=0.5)], functions=[body], imports=LOCAL)
    np.testing.assert_allclose(Session(data, threads=1).run(None, {"x": X})[0], elu_of(X, 0.5), rtol=1e-6)


def test_output_that_is_an_input():
    data = model([call("Same", "x", "y")], functions=[function("Same", [], outputs=("a",))], imports=LOCAL)
    assert names(data) == ["y"]
    agree(data, x=X)


def test_one_value_as_two_outputs():
    twice = function("Twice", [relu("a", "b")], outputs=("b", "b2"))
    twice.node.append(helper.make_node("Identity", ["b"], ["b2"]))
    node = helper.make_node("Twice", ["x"], ["y", "z"], domain="local")
    data = model([node], outputs=(("y", FLOAT, None), ("z", FLOAT, None)), functions=[twice], imports=LOCAL)
    agree(data, x=X)


def test_absent_inputs_and_outputs():
    clip = function("C", [helper.make_node("Clip", ["a", "low", "high"], ["b"]), relu("b", "b2")],
                    ("a", "low", "high"), ("b", "b2"))
    node = helper.make_node("C", ["x", "", "k"], ["y"], domain="local")
    data = model([node], [tensor([], float_data=[1.0], name="k")], functions=[clip], imports=LOCAL)
    assert Session(data, threads=1).run(None, {"x": X})[0].tolist() == [-2.0, -0.5, 0.0, 1.0]


def test_opset_of_the_function_counts():
    """Softmax-1 inside, Softmax-13 outside."""
    old = function("Old", [helper.make_node("Softmax", ["a"], ["b"])], opset=11)
    data = model([call("Old", "x", "u"), helper.make_node("Softmax", ["x"], ["v"])], functions=[old], imports=LOCAL,
                 outputs=(("u", FLOAT, None), ("v", FLOAT, None)), inputs=(("x", FLOAT, [2, 2, 2]),))
    assert [n.op.version for n in load(data).graph.nodes] == [11, 13]
    old_y, new_y = Session(data, threads=1).run(None, {"x": np.zeros((2, 2, 2), np.float32)})
    assert old_y[0, 0, 0] == np.float32(0.25) and new_y[0, 0, 0] == np.float32(0.5)


def test_overloads():
    one, two = function("F", [relu("a", "b")]), function("F", [helper.make_node("Neg", ["a"], ["b"])])
    two.overload = "two"
    node = call("F", "u", "y")
    node.overload = "two"
    assert [n.op.op_type for n in load(model([call("F", "x", "u"), node], functions=[one, two], imports=LOCAL)
                                       ).graph.nodes] == ["Relu", "Neg"]


def test_function_goes_before_an_operator_of_its_name():
    mine = function("Relu", [helper.make_node("Neg", ["a"], ["b"])], domain="")
    assert load(model([relu()], functions=[mine])).graph.nodes[0].op.op_type == "Neg"


def test_weights_in_a_function_are_made_once():
    w = tensor([1000], raw_data=np.arange(1000, dtype=np.float32).tobytes(), name="")
    big = function("Big", [helper.make_node("Constant", [], ["k"], value=w),
                           helper.make_node("Add", ["a", "k"], ["b"])])
    data = model([call("Big", "x", "u"), call("Big", "u", "y")], functions=[big], imports=LOCAL)
    a, b = (n.op.attributes["value"] for n in load(data).graph.nodes if n.op.op_type == "Constant")
    assert a is b and a[999] == 999


def test_calls_in_a_loop_body():
    body = loop([("i", TensorProto.INT64, []), ("k", TensorProto.BOOL, []), ("v", FLOAT, None)],
                [("k", TensorProto.BOOL), ("w", FLOAT)], [call("Inc", "v", "w")], ("n", "", "x"))
    inc = function("Inc", [helper.make_node("Add", ["a", "a"], ["b"])])
    data = model([body], [tensor([], TensorProto.INT64, "n", int64_data=[3])], functions=[inc], imports=LOCAL)
    assert Session(data, threads=1).run(None, {"x": X})[0].tolist() == (8 * X).tolist()


def test_budget_counts_all_nodes():
    data = bomb(2, 5)(None)
    assert len(load(data, Limits(max_nodes=56)).graph.nodes) == 25  # and 31 calls
    with pytest.raises(LimitError, match=r"max_nodes is 55"):
        load(data, Limits(max_nodes=55))


def test_functions_that_nothing_calls_may_be_large():
    proto = onnx.load_from_string(bomb(9, 10)(None))
    proto.graph.node[0].op_type = "F1"
    assert len(load(proto.SerializeToString()).graph.nodes) == 10


def test_recursion_is_found_without_a_call():
    with pytest.raises(ModelError, match="circle"):
        load(model([relu()], functions=[function("A", [call("A")])], imports=LOCAL))


# Operators that the standard defines by a function.

PLAIN = sorted((s.name, s.since_version) for s in defs.get_all_schemas() if s.has_function and s.domain == "")


def body_of(name: str, version: int, monkeypatch, *args, **more):
    """The model's nodes once nothing by that name is registered."""
    from cynfer.runtime import load_onnx

    monkeypatch.setattr(load_onnx, "resolve", lambda n, d, v: None if n == name else resolve(n, d, v))
    return load(model(*args, opset=version, **more)).graph.nodes


@pytest.mark.parametrize("name, version", [p for p in PLAIN if p[0] in (
    "Celu", "Elu", "HardSwish", "LeakyRelu", "Mish", "Selu", "Softplus", "Softsign", "ThresholdedRelu", "Swish")])
def test_standard_bodies_give_the_same(name, version, monkeypatch):
    """The operator itself and its definition by other operators."""
    data = model([helper.make_node(name, ["x"], ["y"], name="n")], opset=version)
    own = Session(data, threads=1).run(None, {"x": X})[0]
    nodes = body_of(name, version, monkeypatch, [helper.make_node(name, ["x"], ["y"], name="n")])
    assert len(nodes) > 1 and all(n.op.op_type != name for n in nodes)
    assert all(n.origin.startswith("node 'n/") for n in nodes)
    np.testing.assert_allclose(Session(data, threads=1).run(None, {"x": X})[0], own, rtol=2e-6, atol=1e-7)


def test_body_that_depends_on_types(monkeypatch):
    inputs = (("x", FLOAT, [2, 3]), ("s", FLOAT, [3]))
    node = helper.make_node("LayerNormalization", ["x", "s"], ["y"], name="n", axis=-1)
    nodes = body_of("LayerNormalization", 17, monkeypatch, [node], inputs=inputs)
    assert len(nodes) > 5


def test_body_that_depends_on_a_type_nobody_knows(monkeypatch):
    """What a loop carries need not have a type in its body."""
    node = helper.make_node("LayerNormalization", ["u", "s"], ["y"], name="n")
    carry = loop([("i", TensorProto.INT64, []), ("k", TensorProto.BOOL, []), ("v", FLOAT, None)],
                 [("k", TensorProto.BOOL), ("v", FLOAT)], [], outputs=("u",))
    body = carry.attribute[0].g
    body.input[2].ClearField("type")
    body.output[1].ClearField("type")
    with pytest.raises(UnsupportedError, match=r"'n' \(LayerNormalization-17\).*'u'"):
        body_of("LayerNormalization", 17, monkeypatch, [carry, node], inputs=(("x", FLOAT, [3]), ("s", FLOAT, [3])))


def test_every_standard_body_can_be_read():
    """Each body of the standard is a function that our reader takes, at each opset that has one."""
    seen = 0
    for schema in defs.get_all_schemas_with_history():
        for version in schema.function_opset_versions:
            proto = onnx.FunctionProto.FromString(schema.get_function_with_opset_version(version))
            assert read_functions([proto], Limits())
            seen += 1
    assert seen > 20
