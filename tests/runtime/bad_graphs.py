"""Graphs and functions that must be refused (G); see bad_models."""

from __future__ import annotations

from model_maker import (
    BRANCH,
    CONDITION,
    FLOAT,
    INT64,
    Case,
    attributed,
    bomb,
    both_types,
    branch,
    call,
    chain,
    fixed,
    function,
    graph_of,
    if_node,
    loop,
    model,
    one,
    proto_of,
    reference,
    referring,
    relu,
    tensor,
    with_functions,
)
from onnx import AttributeProto, TensorProto, helper

from cynfer.ops import errors
from cynfer.runtime.limits import Limits

M, U, L = errors.ModelError, errors.UnsupportedError, errors.LimitError



ALPHA = helper.make_attribute("alpha", 0.5)


GRAPHS = [
    Case("G01 cycle", fixed(lambda: model([helper.make_node("Add", ["x", "b"], ["a"], name="n1"), relu("a", "b", "n2"),
                                           relu("b", "y", "n3")])), M, ("cycle", "'n1'", "'n2'")),
    Case("G01 cycle of one", fixed(lambda: model([relu("y", "y", "n1")])), M, ("cycle", "'n1' -> 'n1'")),
    Case("G01 cycle through a body", fixed(lambda: model([if_node(BRANCH, branch(relu("y", "z"))), relu("x", "q")],
                                                         inputs=CONDITION)), M, ("cycle", "'if'")),
    Case("G02 output twice", fixed(lambda: model([relu(), relu(name="r2")])), M, ("'r2' (Relu-14)", "'y'",
                                                                                 "'r' (Relu-14)")),
    Case("G02 output twice in a node", one(helper.make_node("Split", ["x"], ["y", "y"], name="s")), M,
         ("'s' (Split-13)", "'y'")),
    Case("G02 output is an input", fixed(lambda: model([relu("x", "x")], outputs=(("x", FLOAT, None),))), M,
         ("'r' (Relu-14)", "'x'")),
    Case("G02 body hides a value", fixed(lambda: model(
        [relu("x", "z", "outer"), if_node(branch(relu("x", "z", "inner")), branch(relu("x", "k"), output="k"))],
        inputs=CONDITION)), M, ("'inner' (Relu-14)", "'z'", "'outer' (Relu-14)")),
    Case("G02 input twice", fixed(lambda: model([relu()], inputs=(("x", FLOAT, [1]),) * 2)), M, ("'x'", "twice")),
    Case("G03 input undefined", fixed(lambda: model([relu("q")])), M, ("'r' (Relu-14)", "input 0", "'q'")),
    Case("G03 graph output undefined", fixed(lambda: model([relu()], outputs=(("q", FLOAT, None),))), M, ("'q'",)),
    Case("G03 undefined in a body", fixed(lambda: model([if_node(BRANCH, branch(relu("q", "z", "inner")))],
                                                        inputs=CONDITION)), M, ("'inner' (Relu-14)", "'q'")),
    Case("G03 output of a body undefined", fixed(lambda: model([if_node(BRANCH, branch(relu("x", "k")))],
                                                               inputs=CONDITION)), M, ("'branch'", "'z'")),
    Case("G03 body cannot be seen from outside", fixed(lambda: model([if_node(BRANCH, BRANCH), relu("z", "k")],
                                                                     inputs=CONDITION)), M, ("'r' (Relu-14)", "'z'")),
    Case("G05 unknown operator", one(helper.make_node("Nope", ["x"], ["y"], name="n")), U,
         ("'n' (Nope-17)", "'Nope'", "'ai.onnx'", "opset 17")),
    Case("G05 no operator", one(helper.make_node("", ["x"], ["y"], name="n")), M, ("'n'", "op_type")),
    Case("G05 unknown domain", one(helper.make_node("Nope", ["x"], ["y"], name="n", domain="com.example")), U,
         ("'n' (Nope)", "'Nope'", "'com.example'")),
    Case("G05 newer than the opset", one(helper.make_node("Gelu", ["x"], ["y"], name="n")), U, ("'Gelu'", "opset 17"),
         twin=one(helper.make_node("Gelu", ["x"], ["y"], name="n"), opset=20)),
    Case("G05 removed", one(helper.make_node("Upsample", ["x", "s"], ["y"], name="n"),
                            inputs=(("x", FLOAT, [1]), ("s", FLOAT, [1]))), U, ("'n' (Upsample-10)", "opset 10", "17")),
    Case("G06 unknown attribute", one(attributed("Elu", ALPHA, helper.make_attribute("beta", 1.0))), M,
         ("'n' (Elu-6)", "'beta'", "alpha"), twin=one(attributed("Elu", ALPHA))),
    Case("G06 wrong type", one(attributed("Elu", helper.make_attribute("alpha", 3))), M,
         ("'n' (Elu-6)", "'alpha'", "INT", "FLOAT")),
    Case("G06 twice", one(attributed("Elu", ALPHA, ALPHA)), M, ("'n' (Elu-6)", "'alpha'", "twice")),
    Case("G06 missing", one(helper.make_node("Cast", ["x"], ["y"], name="n")), M, ("'n' (Cast-13)", "'to'", "missing")),
    Case("G06 two values", one(attributed("Elu", both_types(0.5))), M, ("'n' (Elu-6)", "'alpha'", "FLOAT", "i")),
    Case("G06 type 99", one(attributed("Elu", AttributeProto(name="alpha", f=1.0))), M, ("'n' (Elu-6)", "'alpha'",
                                                                                        "type is 0")),
    Case("G06 reference outside", one(attributed("Elu", reference())), M, ("'n' (Elu-6)", "'alpha'", "'beta'")),
    Case("G06 graph is missing", one(attributed("If", AttributeProto(name="then_branch", type=5))), M,
         ("'n' (If-16)", "'then_branch'", "GRAPH", "holds nothing")),
    Case("G06 tensor is missing", one(attributed("Constant", AttributeProto(name="value", type=4), inputs=())), M,
         ("'n' (Constant-13)", "'value'", "TENSOR", "holds nothing")),
    Case("G06 tensor is damaged", one(attributed("Constant", helper.make_attribute("value", tensor([2])), inputs=())),
         M, ("'n' (Constant-13)", "'value'", "8 bytes")),
    Case("G07 too few inputs", one(helper.make_node("Add", ["x"], ["y"], name="n")), M, ("'n' (Add-14)", "1 inputs",
                                                                                       "2 are allowed")),
    Case("G07 too many inputs", one(helper.make_node("Relu", ["x", "x"], ["y"], name="n")), M,
         ("'n' (Relu-14)", "2 inputs", "1 are")),
    Case("G07 too many outputs", one(helper.make_node("Relu", ["x"], ["y", "z"], name="n")), M,
         ("'n' (Relu-14)", "2 outputs", "1 are")),
    Case("G07 no outputs", fixed(lambda: model([relu(), helper.make_node("Relu", ["x"], [], name="n")])), M,
         ("'n' (Relu-14)", "0 outputs", "1 are")),
    Case("G07 absent required input", one(helper.make_node("Add", ["", "x"], ["y"], name="n")), M,
         ("'n' (Add-14)", "input 0 (A)", "required")),
    Case("G07 absent required output", one(helper.make_node("TopK", ["x", "k"], ["", "y"], name="n"),
                                           inputs=(("x", FLOAT, [3]), ("k", INT64, [1])),
                                           outputs=(("y", INT64, None),)), M, ("'n' (TopK-11)", "output 0 (Values)")),
    Case("G07 types of one parameter", one(helper.make_node("Add", ["x", "k"], ["y"], name="n"),
                                           inputs=(("x", FLOAT, [3]), ("k", INT64, [1]))), M,
         ("'n' (Add-14)", "input 1 (B)", "'k'", "tensor(int64)", "tensor(float)")),
    Case("G08 function calls itself", with_functions("A", function("A", [call("A")])), M, ("'local:A'", "circle")),
    Case("G08 A calls B calls A", with_functions("A", function("A", [call("B")]), function("B", [call("A")])), M,
         ("'local:A' -> 'local:B' -> 'local:A'",)),
    Case("G08 circle through a body", with_functions("A", function("A", [
        helper.make_node("Cast", ["a"], ["c"], to=TensorProto.BOOL),
        if_node(branch(call("B", "a", "z")), branch(relu("a", "z")), ("b",))]), function("B", [call("A")])), M,
        ("'local:A' -> 'local:B' -> 'local:A'",)),
    Case("G08 function twice", with_functions("A", *[function("A", [relu("a", "b")])] * 2), M, ("'local:A'", "twice")),
    Case("G08 function without its output", with_functions("A", function("A", [relu("a", "k")])), M,
         ("'local:A'", "'b'")),
    Case("G08 function sees no outer names", with_functions("A", function("A", [relu("x", "b", "inner")])), M,
         ("call_A/inner", "'x'")),
    Case("G08 unknown function attribute", fixed(lambda: model(
        [call("A", "x", "y", k=1)], functions=[function("A", [relu("a", "b")])], imports={"": 17, "local": 1})), M,
        ("'call_A' (A-1)", "'k'", "'local:A'")),
    Case("G08 attribute of another type", fixed(lambda: model(
        [call("A", "x", "y", beta=1)], imports={"": 17, "local": 1},
        functions=[function("A", [referring("Elu", ["a"], "b", reference())], attributes=["beta"])])), M,
        ("'alpha'", "'beta'", "INT")),
    Case("G08 too many inputs of a call", fixed(lambda: model(
        [helper.make_node("A", ["x", "x"], ["y"], domain="local", name="n")], imports={"": 17, "local": 1},
        functions=[function("A", [relu("a", "b")])])), M, ("'n' (A-1)", "2 inputs", "has 1")),
    Case("G08 opset of a function", with_functions("A", function("A", [relu("a", "b")], opset=99)), U, ("opset 99",
                                                                                                     "'local:A'")),
    Case("G09 function bomb", bomb(9, 10), L, ("'local:F9'", "max_nodes is 1000000"), twin=bomb(3, 10)),
    Case("G09 empty bomb", with_functions("E9", function("E0", [], outputs=("a",)), *(
        function(f"E{i}", [call(f"E{i - 1}", "a", f"b{k}") for k in range(9)] + [relu("a", "b")])
        for i in range(1, 10))), L, ("max_nodes is 1000000",)),
    Case("G09 deep calls", bomb(150, 1), L, ("151 deep", "max_call_depth is 100"), twin=bomb(90, 1)),
    Case("G09 many functions", with_functions("F0", *(function(f"F{i}", [relu("a", "b")]) for i in range(9))), L,
         ("9 functions", "max_functions is 8"), Limits(max_functions=8)),
    Case("G11 nodes", fixed(lambda: model(chain(100))), L, ("max_nodes is 99",), Limits(max_nodes=99),
         twin=fixed(lambda: model(chain(99)))),
    Case("G12 If with other counts", one(if_node(BRANCH, graph_of([], (), (), ())), inputs=CONDITION), M,
         ("'if' (If-16)", "else_branch", "0 outputs"), twin=one(if_node(BRANCH, BRANCH), inputs=CONDITION)),
    Case("G12 If with other types", fixed(lambda: model([if_node(BRANCH, branch(
        helper.make_node("Shape", ["x"], ["z"]), dtype=INT64))], inputs=CONDITION)), M,
        ("'if' (If-16)", "output 0", "tensor(int64)", "tensor(float)")),
    Case("G12 If body with inputs", fixed(lambda: model([if_node(BRANCH, graph_of(
        [relu("k", "z")], (), (("k", FLOAT, [1]),), (("z", FLOAT, None),)))], inputs=CONDITION)), M,
        ("'if' (If-16)", "else_branch", "1 inputs")),
    Case("G12 Loop body inputs", one(loop([("i", INT64, []), ("c", 9, [])], [("c", 9), ("z", FLOAT)],
                                          [relu("x", "z")])), M, ("'loop' (Loop-16)", "2 inputs", "3 are")),
    Case("G12 Loop body outputs", one(loop([("i", INT64, []), ("c", 9, []), ("v", FLOAT, None)], [("c", 9)], [])), M,
         ("'loop' (Loop-16)", "1 outputs", "2 or more")),
    Case("G12 Scan inputs", one(helper.make_node("Scan", ["x"], ["y"], name="scan", num_scan_inputs=99, body=graph_of(
        [relu("k", "z")], (), (("k", FLOAT, [1]),), (("z", FLOAT, None),)))), M,
        ("'scan' (Scan-16)", "num_scan_inputs", "99", "1 to 1")),
    Case("G13 declared type of the output", fixed(lambda: model([relu()], outputs=(("y", INT64, None),))), M,
         ("'y'", "tensor(int64)", "tensor(float)")),
    Case("G13 declared type inside", fixed(lambda: inside_declared(INT64)), M,
         ("'m'", "tensor(int64)", "tensor(float)"),
         twin=fixed(lambda: inside_declared(FLOAT))),
    Case("G13 negative dim", fixed(lambda: model([relu()], inputs=(("x", FLOAT, [-7]),))), M, ("'x'", "-7"),
         twin=fixed(lambda: model([relu()], inputs=(("x", FLOAT, [-1]),)))),
    Case("G13 no type", fixed(lambda: untyped()), M, ("'x'", "no type")),
    Case("G16 training binding", fixed(lambda: training("nobody")), M, ("training_info", "'nobody'"),
         twin=fixed(lambda: training("w"))),
]


def inside_declared(dtype) -> bytes:
    proto = proto_of([relu("x", "m"), relu("m", "y")])
    proto.graph.value_info.append(helper.make_tensor_value_info("m", dtype, None))
    return proto.SerializeToString()


def untyped() -> bytes:
    proto = proto_of([relu()])
    proto.graph.input[0].ClearField("type")
    return proto.SerializeToString()


def training(key: str) -> bytes:
    proto = proto_of([relu()], [tensor([1], float_data=[1.0])])
    info = proto.training_info.add()
    info.algorithm.output.append(helper.make_tensor_value_info("new", FLOAT, None))
    info.update_binding.add(key=key, value="new")
    return proto.SerializeToString()


