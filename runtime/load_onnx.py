"""Reads ONNX models (bytes, a path or a ModelProto) into a declared graph. The one loader of that format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.dim import Dim
from cynfer.ops.errors import LimitError, ModelError, ModelFormatError, UnsupportedError, show
from cynfer.ops.fact import Fact
from cynfer.ops.op import resolve
from cynfer.runtime.graph import Graph, Node, OnnxOp, Value
from cynfer.runtime.limits import Limits

#: What the loader understands.
IR_VERSIONS = range(3, 15)
MAX_OPSET = 28


@dataclass
class Model:
    """A declared graph and what else the file says.

    opsets: {domain: version}. overridable: initializers that are also inputs, so that a feed may replace them.
    outputs: what the model declares of its outputs (None: nothing). denotations: {denotation: dimension names}.
    """

    graph: Graph
    opsets: dict[str, int]
    ir_version: int = 0
    producer_name: str = ""
    producer_version: str = ""
    domain: str = ""
    version: int = 0
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    overridable: list[Value] = field(default_factory=list)
    outputs: list[Fact | None] = field(default_factory=list)
    graph_description: str = ""
    denotations: dict[str, list[str]] = field(default_factory=dict)


def load(source, limits: Limits | None = None) -> Model:
    """The declared graph of an ONNX model.

    source: path, bytes or onnx.ModelProto. Raises ModelFormatError, ModelError, ExternalDataError, UnsupportedError
    or LimitError.
    """
    import onnx

    limits = limits or Limits()
    folder = None
    if isinstance(source, onnx.ModelProto):
        proto = source
    else:
        if isinstance(source, (str, os.PathLike)):
            path = os.fspath(source)
            folder = os.path.dirname(os.path.abspath(path))
            with open(path, "rb") as file:
                source = file.read()
        if len(source) == 0:
            raise ModelFormatError("empty file")
        try:
            proto = onnx.ModelProto.FromString(bytes(source))
        except Exception as error:
            raise ModelFormatError(f"not an ONNX model (first bytes {bytes(source[:8])!r})") from error
    return _Loader(proto, limits, folder).load()


class _Loader:
    def __init__(self, proto, limits: Limits, folder: str | None):
        self.proto, self.limits, self.folder = proto, limits, folder
        self.count = 0
        self.denotations: dict[str, list[str]] = {}

    def load(self) -> Model:
        proto = self.proto
        opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in proto.opset_import}
        self.opsets = opsets
        graph, overridable = self.graph(proto.graph, {}, 0)
        graph.verify()
        return Model(graph, opsets, proto.ir_version, proto.producer_name, proto.producer_version, proto.domain,
                     proto.model_version, proto.doc_string, {p.key: p.value for p in proto.metadata_props}, overridable,
                     [self.fact(o) if o.type.HasField("tensor_type") and o.type.tensor_type.elem_type else None
                      for o in proto.graph.output], proto.graph.doc_string, self.denotations)

    def graph(self, proto, outer: Mapping[str, Value], depth: int) -> tuple[Graph, list[Value]]:
        if depth > self.limits.max_depth:
            raise LimitError(f"subgraphs nest {depth} deep; limits.max_depth is {self.limits.max_depth}")
        graph = Graph(proto.name)
        names: dict[str, Value] = {}
        overridable = []
        for tensor in proto.initializer:
            array = self.tensor(tensor)
            names[tensor.name] = Value(Fact.of(array), tensor.name)
        for info in proto.input:
            if info.name in names:
                overridable.append(names[info.name])
            else:
                names[info.name] = Value(self.fact(info), info.name)
                graph.inputs.append(names[info.name])
        scope = _Scope(names, outer)
        for node in proto.node:
            graph.nodes.append(self.node(node, scope, depth))
        for info in proto.output:
            if scope.find(info.name) is None:
                raise ModelError(f"graph output {show(info.name)} is not defined by any node")
            graph.outputs.append(scope.find(info.name))
        return graph, overridable

    def fact(self, info) -> Fact:
        kind = info.type.WhichOneof("value")
        if kind != "tensor_type":
            raise UnsupportedError(f"value {show(info.name)} has type {kind}")
        tensor = info.type.tensor_type
        try:
            dtype = dtypes.from_onnx(tensor.elem_type)
        except KeyError:
            raise UnsupportedError(f"value {show(info.name)} has element type {tensor.elem_type}") from None
        if not tensor.HasField("shape"):
            return Fact(dtype, None)
        dims = []
        for dim in tensor.shape.dim:
            which = dim.WhichOneof("value")
            if which == "dim_value":
                dims.append(dim.dim_value)
            else:
                dims.append(Dim.name(dim.dim_param) if which and dim.dim_param else Dim.unknown())
                if dim.denotation:
                    self.denotations.setdefault(dim.denotation, []).append(str(dims[-1]))
        return Fact(dtype, tuple(dims))

    def tensor(self, proto) -> np.ndarray:
        from onnx import numpy_helper

        array = numpy_helper.to_array(proto, self.folder or "")
        return array if array.dtype.kind not in "US" else array.astype(object)

    def node(self, proto, scope: _Scope, depth: int) -> Node:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        version = self.opsets.get(domain, 1)
        origin = f"node {show(proto.name or (proto.output[0] if proto.output else '?'))} ({proto.op_type}-{version})"
        registration = resolve(proto.op_type, domain, version)
        if registration is None:
            raise UnsupportedError(f"{origin}: operator {proto.op_type} of domain {domain or 'ai.onnx'!r}, opset "
                                   f"{version}, is not supported")
        inputs = []
        for i, name in enumerate(proto.input):
            value = scope.find(name) if name else None
            if name and value is None:
                raise ModelError(f"{origin}: input {i} {show(name)} is not defined")
            inputs.append(value)
        while inputs and inputs[-1] is None:
            inputs.pop()
        attributes = {a.name: self.attribute(a, scope, depth) for a in proto.attribute}
        op = OnnxOp(proto.op_type, domain, registration.since, attributes, registration, len(proto.output))
        node = Node(op, inputs, (), proto.name, origin)
        for i, name in enumerate(proto.output):
            value = Value(None, name, node, i) if name else None
            node.outputs.append(value)
            if name:
                scope.names[name] = value
        return node

    def attribute(self, proto, scope: _Scope, depth: int) -> Any:
        from onnx import AttributeProto as A

        if proto.type == A.FLOAT:
            return proto.f
        if proto.type == A.INT:
            return proto.i
        if proto.type == A.STRING:
            return proto.s.decode("utf-8", "surrogateescape")
        if proto.type == A.TENSOR:
            return self.tensor(proto.t)
        if proto.type == A.GRAPH:
            return self.graph(proto.g, scope, depth + 1)[0]
        if proto.type == A.FLOATS:
            return tuple(proto.floats)
        if proto.type == A.INTS:
            return tuple(proto.ints)
        if proto.type == A.STRINGS:
            return tuple(s.decode("utf-8", "surrogateescape") for s in proto.strings)
        raise UnsupportedError(f"attribute {show(proto.name)} has type {proto.type}")


class _Scope:
    """Names of a graph, then those of the graphs around it."""

    def __init__(self, names: dict[str, Value], outer: Mapping[str, Value] | _Scope):
        self.names, self.outer = names, outer

    def find(self, name: str) -> Value | None:
        scope: Any = self
        while isinstance(scope, _Scope):
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return scope.get(name)


__all__: Sequence[str] = ("Model", "load")
