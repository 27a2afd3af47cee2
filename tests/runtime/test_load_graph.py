"""Graphs: versions, scopes, order, inputs with defaults, types; and that good models are not refused."""

import os

import numpy as np
import onnx
import pytest
from model_maker import (
    BRANCH,
    CONDITION,
    FLOAT,
    INT64,
    branch,
    chain,
    everything,
    external,
    good,
    graph_of,
    if_node,
    loop,
    model,
    proto_of,
    relu,
    sparse_tensor,
    tensor,
)
from onnx import TensorProto, helper
from onnx.backend.test.loader import load_model_tests

from cynfer.ops.dim import Dim
from cynfer.ops.errors import ModelError, UnsupportedError
from cynfer.ops.op import Registration, supported
from cynfer.runtime.limits import Limits
from cynfer.runtime.load_onnx import load
from cynfer.runtime.session import Session

X = np.array([-1.0, 2.0], np.float32)


def run(data, **feeds):
    return Session(data, threads=1).run(None, feeds)


@pytest.mark.parametrize("ir", range(3, 15))
def test_ir_versions(ir):
    assert load(model([relu()], ir=ir)).ir_version == ir


@pytest.mark.parametrize("opset, since", [(1, 1), (5, 1), (6, 6), (12, 6), (13, 13), (14, 14), (28, 14)])
def test_version_is_the_newest_up_to_the_opset(opset, since):
    node = load(model([relu()], opset=opset)).graph.nodes[0]
    assert node.op.version == since
    assert node.origin == f"node 'r' (Relu-{since})"


def test_two_names_of_the_default_domain():
    data = model([helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")], imports={"ai.onnx": 17})
    assert load(data).opsets == {"": 17}


def test_same_import_twice():
    proto = proto_of([relu()])
    proto.opset_import.append(proto.opset_import[0])
    assert load(proto).opsets == {"": 17}


def test_what_else_the_file_says():
    proto = proto_of([relu()])
    proto.producer_name, proto.producer_version, proto.domain, proto.model_version = "p", "v", "d", 7
    proto.doc_string = "doc"
    for key, value in (("a", "1"), ("b", "2"), ("a", "3")):
        proto.metadata_props.add(key=key, value=value)
    made = load(proto)
    assert (made.producer_name, made.producer_version, made.domain, made.version, made.description) \
        == ("p", "v", "d", 7, "doc")
    assert made.metadata == {"a": "3", "b": "2"}
    assert str(made.outputs["y"]) == "tensor(float)[?]"


def test_sources(tmp_path):
    (tmp_path / "m.onnx").write_bytes(good())
    sources = [good(), bytearray(good()), memoryview(good()), onnx.load_from_string(good()), tmp_path / "m.onnx",
               str(tmp_path / "m.onnx"), os.fsencode(tmp_path / "m.onnx").decode()]
    assert all(load(s).graph.nodes[0].op.op_type == "Relu" for s in sources)


def test_graph_is_sorted():
    data = model(chain(50)[::-1])
    assert [n.name for n in load(data).graph.nodes] == [f"n{i}" for i in range(50)]
    assert run(data, x=X)[0].tolist() == [0, 2]


def test_sorting_looks_into_bodies():
    nodes = [if_node(branch(relu("late", "z")), branch(relu("x", "z"))), relu("x", "late")]
    assert [n.op.op_type for n in load(model(nodes, inputs=CONDITION)).graph.nodes] == ["Relu", "If"]
    inner = branch(if_node(branch(relu("late", "p"), output="p"), branch(relu("x", "p"), output="p"), ("z",)))
    data = model([if_node(inner, branch(relu("x", "z"))), relu("x", "late")], inputs=CONDITION)
    assert [n.op.op_type for n in load(data).graph.nodes] == ["Relu", "If"]
    assert run(data, x=X, c=np.array(True))[0].tolist() == [0, 2]


def test_bodies_are_sorted_too():
    data = model([if_node(branch(relu("k", "z"), relu("x", "k")), BRANCH)], inputs=CONDITION)
    assert run(data, x=X, c=np.array(True))[0].tolist() == [0, 2]


def test_bodies_have_names_of_their_own():
    """The same names in both branches, and names of inputs that hide outer ones."""
    data = model([if_node(branch(relu("x", "t"), relu("t", "z")), branch(relu("x", "t"), relu("t", "z"))),
                  loop([("i", INT64, []), ("k", TensorProto.BOOL, []), ("x", FLOAT, None)],
                       [("k", TensorProto.BOOL), ("w", FLOAT)], [helper.make_node("Add", ["x", "x"], ["w"])],
                       ("n", "", "y"), ("twice",))],
                 [tensor([], INT64, "n", int64_data=[2])], CONDITION, (("twice", FLOAT, None),))
    assert run(data, x=X, c=np.array(False))[0].tolist() == [0, 8]


def test_initializers_of_a_body():
    body = branch(helper.make_node("Add", ["x", "k"], ["z"]), inits=[tensor([1], name="k", float_data=[5.0])])
    assert run(model([if_node(body, BRANCH)], inputs=CONDITION), x=X, c=np.array(True))[0].tolist() == [4, 7]


def test_body_of_a_body_sees_everything_around():
    inner = branch(helper.make_node("Add", ["x", "t"], ["q"]), output="q")
    outer = branch(relu("x", "t"), if_node(inner, branch(relu("t", "q"), output="q"), ("z",)))
    assert run(model([if_node(outer, BRANCH)], inputs=CONDITION), x=X, c=np.array(True))[0].tolist() == [-1, 4]


@pytest.mark.parametrize("ir, expected", [(3, []), (4, ["w"])])
def test_initializer_that_is_an_input(ir, expected):
    made = load(model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor([1], float_data=[1.0])],
                      (("x", FLOAT, ["N"]), ("w", FLOAT, [1])), ir=ir))
    assert [v.name for v in made.graph.inputs] == ["x"]
    assert [v.name for v in made.overridable] == expected


def test_types_of_inputs():
    proto = proto_of([relu()])
    proto.graph.input.append(helper.make_tensor_sequence_value_info("s", FLOAT, ["N", 2]))
    optional = helper.make_optional_type_proto(helper.make_sequence_type_proto(
        helper.make_tensor_type_proto(INT64, None)))
    proto.graph.input.append(helper.make_value_info("o", optional))
    proto.graph.input.append(helper.make_tensor_value_info("t", TensorProto.STRING, ["N", 2, None, ""]))
    proto.graph.input.append(helper.make_tensor_value_info("odd", FLOAT, ["?a", "?a", -1]))
    x, s, o, t, odd = (v.fact for v in load(proto).graph.inputs)
    assert x.shape == (Dim.name("N"),)
    assert (s.kind, s.elem.shape, s.type_name()) == ("sequence", (Dim.name("N"), 2), "seq(tensor(float))")
    assert o.type_name() == "optional(seq(tensor(int64)))"
    assert t.shape[:2] == (Dim.name("N"), 2) and t.shape[2] != t.shape[3]
    assert odd.shape[0] == odd.shape[1] != Dim.name("?a")


def test_maps_of_nothing_are_refused():
    proto = proto_of([relu()])
    value = proto.graph.input.add(name="m")
    value.type.map_type.key_type = INT64
    with pytest.raises(UnsupportedError, match="'m' is a map"):
        load(proto)


def test_trailing_absent_inputs_and_outputs():
    clip = helper.make_node("Clip", ["x", "", ""], ["y"])
    pool = helper.make_node("MaxPool", ["x"], ["p", ""], kernel_shape=[1])
    nodes = load(model([clip, pool])).graph.nodes
    assert [len(n.inputs) for n in nodes] == [1, 1]
    assert [n.op.n_outputs for n in nodes] == [1, 1]


def test_optional_outputs_that_are_absent():
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "", "y"], hidden_size=1)
    inputs = (("x", FLOAT, [1, 1, 1]), ("w", FLOAT, [1, 4, 1]), ("r", FLOAT, [1, 4, 1]))
    made = load(model([node], inputs=inputs)).graph.nodes[0]
    assert made.outputs[:2] == [None, None] and made.op.n_outputs == 3


def test_strange_but_good_graphs():
    """Unused inputs, outputs that are inputs, one value as two outputs, no nodes, metadata twice."""
    assert run(model([relu()], inputs=(("x", FLOAT, [2]), ("unused", FLOAT, [9]))), x=X,
               unused=np.zeros(9, np.float32))[0].tolist() == [0, 2]
    data = model([], outputs=(("x", FLOAT, None), ("x", FLOAT, None)))
    a, b = run(data, x=X)
    assert a.tolist() == b.tolist() == X.tolist()
    assert not np.shares_memory(a, b) and not np.shares_memory(a, X)
    assert load(model([], inputs=(), outputs=())).graph.nodes == []


def test_nodes_need_no_names():
    data = model([helper.make_node("Relu", ["x"], ["y"])])
    assert load(data).graph.nodes[0].origin == "node 'y' (Relu-14)"
    assert len(load(model([relu("x", "a", "same"), relu("a", "y", "same")])).graph.nodes) == 2


def test_unknown_domain_of_a_registered_operator_needs_no_import(monkeypatch):
    entry = Registration("Same", "com.example", 1, lambda b, x: x, ("x",), required=1)
    monkeypatch.setitem(supported(), ("com.example", "Same"), [entry])
    node = helper.make_node("Same", ["x"], ["y"], domain="com.example")
    assert load(model([node])).graph.nodes[0].op.registration is entry
    with pytest.raises(UnsupportedError, match="Same"):
        load(model([helper.make_node("Same", ["x", "x"], ["y"], domain="com.example")]))


@pytest.mark.parametrize("wide", ["Max", "Concat", "Sum"])
def test_wide_nodes(wide):
    count = 20_000
    more = {"axis": 0} if wide == "Concat" else {}
    node = helper.make_node(wide, ["x"] * count, ["y"], **more)
    assert len(load(model([node])).graph.nodes[0].inputs) == count


def test_long_chain():
    assert len(load(model(chain(20_000))).graph.nodes) == 20_000
    assert len(load(model(chain(5000)[::-1])).graph.nodes) == 5000


def test_many_values_defined_twice_is_quick():
    nodes = [helper.make_node("Split", ["x"], [f"a{i}" for i in range(5000)], name="s"),
             helper.make_node("Split", ["x"], [f"a{i}" for i in range(5000)], name="t")]
    with pytest.raises(ModelError, match=r"'t' \(Split-13\).*'a0'.*'s'"):
        load(model(nodes))


def test_large_texts_are_read():
    proto = proto_of([relu()])
    proto.doc_string = proto.graph.doc_string = "d" * 5_000_000
    assert len(load(proto).description) == 5_000_000


def test_everything(tmp_path):
    made = load(everything())
    assert [n.op.op_type for n in made.graph.nodes][:4] == ["MatMul", "Constant", "Mul", "Add"]
    y, t = run(everything(), x=np.ones((4, 2), np.float32), c=np.array(True))
    assert y.shape == (4, 3) and t.dtype == np.float16
    assert load(external(tmp_path)).graph.nodes


def test_sparse_weights_reach_the_nodes():
    data = model([helper.make_node("Add", ["x", "w"], ["y"])], sparse=[sparse_tensor([3.0], [1], [2])])
    assert run(data, x=X)[0].tolist() == [-1, 5]


def test_scan_body():
    body = graph_of([helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Identity", ["t"], ["o"])], (),
                    (("s", FLOAT, []), ("e", FLOAT, [])), (("t", FLOAT, []), ("o", FLOAT, [])))
    node = helper.make_node("Scan", ["zero", "x"], ["y", "all"], num_scan_inputs=1, body=body)
    data = model([node], [tensor([], name="zero", float_data=[0.0])],
                 outputs=(("y", FLOAT, None), ("all", FLOAT, None)))
    y, every = run(data, x=X)
    assert y == 1 and every.tolist() == [-1, 1]


@pytest.mark.exhaustive
def test_no_model_of_the_standard_suite_is_refused_for_its_form():
    """Only operators that are not there may be a reason."""
    seen = 0
    for case in load_model_tests(kind="node"):
        if case.model is None:
            continue
        seen += 1
        try:
            load(case.model, Limits(max_nodes=10_000))
        except UnsupportedError as error:
            assert "is not supported" in str(error) or "are supported" in str(error), case.name
    assert seen > 1000
