"""Makes models for tests, good and bad, down to fields that the onnx package would not write."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from cynfer.runtime.limits import Limits

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
FOUR = struct.pack("<4f", 1, 2, 3, 4)


@dataclass
class Case:
    """name: identifier and what is wrong. build(folder) -> source. fragments: what the message must contain."""

    name: str
    build: Callable[[Path], Any]
    error: type[Exception]
    fragments: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    twin: Callable[[Path], Any] | None = None


def graph_of(nodes, inits=(), inputs=(("x", FLOAT, ["N"]),), outputs=(("y", FLOAT, None),), sparse=(), name="g"):
    """A GraphProto."""
    return helper.make_graph(
        list(nodes), name, [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs], list(inits), sparse_initializer=list(sparse))


def proto_of(nodes, *args, opset=17, ir=10, functions=(), imports=None, **more):
    """A ModelProto."""
    imports = {"": opset} if imports is None else imports
    return helper.make_model(
        graph_of(nodes, *args, **more), ir_version=ir, functions=list(functions),
        opset_imports=[helper.make_opsetid(k, v) for k, v in imports.items()])


def model(*args, **more) -> bytes:
    """The bytes of a model."""
    return proto_of(*args, **more).SerializeToString()


def relu(x="x", y="y", name="r"):
    """The smallest node."""
    return helper.make_node("Relu", [x], [y], name=name)


def good(_=None) -> bytes:
    """A model that loads."""
    return model([relu()])


def fixed(data) -> Callable[[Path], Any]:
    """A builder that gives these bytes, or calls what it gets."""
    return lambda folder: data() if callable(data) else data


def tensor(dims, dtype=FLOAT, name="w", **fields):
    """A TensorProto with the fields as they are."""
    proto = TensorProto(name=name, data_type=dtype)
    proto.dims.extend(dims)
    for key, value in fields.items():
        if isinstance(value, (list, tuple)):
            getattr(proto, key).extend(value)
        else:
            setattr(proto, key, value)
    return proto


def with_tensor(*args, outputs=(("w", FLOAT, None),), **more) -> Callable[[Path], Any]:
    """A model with one initializer, which is its output."""
    return lambda folder: model([], [tensor(*args, **more)], (), outputs)


def weight(dims, dtype=FLOAT, **fields):
    """As with_tensor, the output's type open."""
    return lambda folder: model([relu()], [tensor(dims, dtype, **fields)])


def one(node, *args, **more) -> Callable[[Path], Any]:
    """A model with this node."""
    return lambda folder: model([node], *args, **more)


def attributed(op_type, *attributes, inputs=("x",), **more):
    """A node whose AttributeProtos are given as they are."""
    node = helper.make_node(op_type, list(inputs), ["y"], name="n", **more)
    node.attribute.extend(attributes)
    return node


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def delimited(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def nested_if(depth: int) -> bytes:
    """If in If, `depth` deep, from the inside out."""
    body = b""
    for _ in range(depth):
        attribute = delimited(1, b"then_branch") + b"\xa0\x01\x05" + delimited(6, body)
        body = delimited(1, delimited(1, b"c") + delimited(4, b"If") + delimited(5, attribute))
    return b"\x08\x0a" + delimited(7, body) + delimited(8, b"\x10\x11")


def file_of(make: Callable[[Path], None], name="model.onnx") -> Callable[[Path], Any]:
    """A builder for something that is not a plain file of bytes."""

    def build(folder: Path):
        path = folder / name
        if not os.path.lexists(path):
            make(path)
        return str(path)

    return build


def chain(count: int):
    return [relu("x" if i == 0 else f"v{i}", "y" if i == count - 1 else f"v{i + 1}", f"n{i}") for i in range(count)]


def function(name, nodes, inputs=("a",), outputs=("b",), attributes=(), defaults=(), opset=17, domain="local"):
    """A FunctionProto."""
    return helper.make_function(
        domain, name, list(inputs), list(outputs), list(nodes), [helper.make_opsetid("", opset),
                                                                  helper.make_opsetid("local", 1)],
        list(attributes), list(defaults))


def call(name, x="a", y="b", **more):
    """A call of a local function."""
    return helper.make_node(name, [x], [y], domain="local", name=f"call_{name}", **more)


def with_functions(top: str, *functions):
    """A model that calls function `top`."""
    return lambda folder: model([call(top, "x", "y")], functions=functions, imports={"": 17, "local": 1})


def bomb(levels: int, fan: int):
    """Function i calls function i-1 `fan` times."""
    functions = [function("F0", [helper.make_node("Relu", ["a"], ["b"])])]
    for i in range(1, levels + 1):
        names = ["a", *(f"t{k}" for k in range(fan - 1)), "b"]
        functions.append(function(f"F{i}", [call(f"F{i - 1}", names[k], names[k + 1]) for k in range(fan)]))
    return with_functions(f"F{levels}", *functions)


def branch(*nodes, output="z", dtype=FLOAT, inits=(), name="branch"):
    """A body without inputs."""
    return graph_of(nodes, inits, (), ((output, dtype, None),), name=name)


def if_node(then, other, outputs=("y",)):
    """An If on the Boolean c."""
    return helper.make_node("If", ["c"], list(outputs), name="if", then_branch=then, else_branch=other)


CONDITION = (("x", FLOAT, ["N"]), ("c", TensorProto.BOOL, []))
BRANCH = branch(helper.make_node("Relu", ["x"], ["z"]))


def loop(body_inputs, body_outputs, nodes, inputs=("", "", "x"), outputs=("y",)):
    """A Loop with this body."""
    body = helper.make_graph(
        nodes, "body", [helper.make_tensor_value_info(n, t, s) for n, t, s in body_inputs],
        [helper.make_tensor_value_info(n, t, None) for n, t in body_outputs])
    return helper.make_node("Loop", list(inputs), list(outputs), name="loop", body=body)


def both_types(value):
    """An attribute with two contents."""
    attribute = helper.make_attribute("alpha", value)
    attribute.i = 3
    return attribute


def sparse_tensor(values, indices, dims, index_dims=None, name="w", index_type=INT64):
    """A SparseTensorProto."""
    return helper.make_sparse_tensor(
        helper.make_tensor(name, FLOAT, [len(values)], values),
        helper.make_tensor("i", index_type, index_dims or [len(indices)], indices), dims)


def sparse(*args, **more):
    return lambda folder: model([relu()], sparse=[sparse_tensor(*args, **more)])


def nested_types(depth: int) -> bytes:
    """A graph (with its length) whose input has a type of sequences of sequences."""
    proto = b""
    for _ in range(depth):
        proto = delimited(4, delimited(1, proto))
    graph = delimited(11, delimited(1, b"x") + delimited(2, proto))
    return varint(len(graph)) + graph


def segmented():
    proto = tensor([1], raw_data=FOUR[:4])
    proto.segment.begin = 0
    return proto


def reference(name="alpha", to="beta", kind=AttributeProto.FLOAT):
    """An attribute of a node in a function that takes the value of the function's attribute `to`."""
    return AttributeProto(name=name, ref_attr_name=to, type=kind)


def referring(op_type, inputs, output, attribute):
    """A node with that attribute."""
    node = helper.make_node(op_type, inputs, [output], name="n")
    node.attribute.append(attribute)
    return node


def everything() -> bytes:
    """A model of under 2 KB that has something of every kind the loader reads."""
    rng = np.random.default_rng(0)
    w = onnx.numpy_helper.from_array(rng.standard_normal((2, 3)).astype(np.float32), "w")
    body = branch(helper.make_node("Mul", ["h", "k"], ["z"]), inits=[tensor([1], float_data=[2.0], name="k")])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="matmul"),
        helper.make_node("Scale", ["m"], ["s"], name="scale", domain="local", factor=0.5),
        helper.make_node("Add", ["s", "sparse"], ["h"], name="add"),
        helper.make_node("If", ["c"], ["i"], name="if", then_branch=body,
                         else_branch=branch(relu("h", "z"), name="else")),
        helper.make_node("Constant", [], ["shape"], value=tensor([2], INT64, "", raw_data=struct.pack("<2q", -1, 3))),
        helper.make_node("Reshape", ["i", "shape"], ["r"], name="reshape"),
        helper.make_node("Cast", ["r"], ["t"], name="cast", to=TensorProto.FLOAT16),
        helper.make_node("Celu", ["r"], ["y"], name="celu", alpha=2.0),
    ]
    scale = function("Scale", [
        referring("Constant", [], "f", reference("value_float", "factor")),
        helper.make_node("Mul", ["a", "f"], ["b"])], attributes=["factor"])
    proto = proto_of(nodes, [w, tensor([2], TensorProto.INT4, "four", int32_data=[0x21])],
                     (("x", FLOAT, ["N", 2]), ("c", TensorProto.BOOL, [])),
                     (("y", FLOAT, ["N", 3]), ("t", TensorProto.FLOAT16, None)),
                     [sparse_tensor([1.0], [2], [3], name="sparse")], functions=[scale],
                     imports={"": 17, "local": 1})
    proto.graph.value_info.append(helper.make_tensor_value_info("m", FLOAT, ["N", 3]))
    proto.metadata_props.add(key="author", value="nobody")
    return proto.SerializeToString()


def external(folder: Path, *, size: int = 16, dims=(4,), prepare=None, keys=(), data: bytes = FOUR, **entries) -> str:
    """A model file whose tensor 'w' has external data; entries and keys (pairs) as given, location by default w.bin."""
    entries = {"location": "w.bin", **{k: v for k, v in entries.items()}}
    if prepare is None:
        (folder / "w.bin").write_bytes(data)
    elif not os.path.lexists(folder / "done"):
        prepare(folder)
        (folder / "done").touch()
    proto = tensor(dims, data_location=1)
    for key, value in [*entries.items(), *keys]:
        if value is not None:
            proto.external_data.add(key=key, value=value)
    (folder / "model.onnx").write_bytes(model([relu()], [proto]))
    return str(folder / "model.onnx")


def at(location: str, prepare=None, **more) -> Callable[[Path], Any]:
    return lambda folder: external(folder, location=location, prepare=prepare, **more)


def outside(folder: Path) -> Path:
    """A file that no model may read."""
    secret = folder.parent / "secret.bin"
    secret.write_bytes(FOUR)
    return secret


def link(name: str, target: str):
    def prepare(folder: Path) -> None:
        outside(folder)
        (folder / "sub").mkdir()
        (folder / "sub" / "w.bin").write_bytes(FOUR)
        (folder / name).symlink_to(target)

    return prepare


def hard_link(folder: Path) -> None:
    os.link(outside(folder), folder / "w.bin")


def plain(**entries) -> Callable[[Path], Any]:
    return lambda folder: external(folder, **entries)
