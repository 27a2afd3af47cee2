"""Reads ONNX models (bytes, a path or a ModelProto) into a declared graph. The one loader of that format.

Bytes are walked and parsed (onnx_wire, onnx_file), turned into plain nodes (onnx_raw), and made into Values here, with
tensors (onnx_tensor, external) and the standard's rules (onnx_schema). Functions, the model's own and those by which
the standard defines an operator that is not registered, are inlined. A work stack takes the place of recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cynfer.ops.errors import LimitError, ModelError, UnsupportedError, show
from cynfer.ops.fact import Fact
from cynfer.ops.op import Registration, resolve
from cynfer.runtime import onnx_schema
from cynfer.runtime.external import ExternalData
from cynfer.runtime.functions import RawFunction, StandardFunctions, check_calls, read_functions
from cynfer.runtime.graph import Graph, Node, OnnxOp, Value
from cynfer.runtime.limits import Limits
from cynfer.runtime.onnx_attribute import GRAPH, GRAPHS, Attributes
from cynfer.runtime.onnx_file import open_model
from cynfer.runtime.onnx_model import IR_VERSIONS, STANDARD, Model, check_training, claims, imports
from cynfer.runtime.onnx_raw import RawGraph, RawNode, read, text
from cynfer.runtime.onnx_scope import Frame, Scope
from cynfer.runtime.onnx_tensor import Tensors
from cynfer.runtime.onnx_type import Dims, of_fact

#: Stands for the version of a domain that opset_import does not name.
NEWEST = 1 << 30


def load(source, limits: Limits | None = None, folder=None) -> Model:
    """The declared graph of an ONNX model.

    source: path, bytes or onnx.ModelProto. folder: where external data lies, if not beside the file. Raises
    ModelFormatError, ModelError, ExternalDataError, UnsupportedError or LimitError.
    """
    limits = limits or Limits()
    opened = open_model(source, limits, folder)
    external = ExternalData(opened.folder, opened.source.identity, limits)
    try:
        return _Loader(opened.proto, Tensors(opened.source, opened.cuts, external, limits), limits).load()
    finally:
        external.close()
        opened.source.close()


class _Loader:
    def __init__(self, proto, tensors: Tensors, limits: Limits):
        self.proto, self.tensors, self.limits = proto, tensors, limits
        self.dims = Dims(limits.max_rank)
        self.attributes = Attributes(tensors, self.dims)
        # Bodies that the standard gives hold their content, never the number of one in the file.
        self.standard = Attributes(Tensors(None, None, tensors.external, limits), self.dims)
        self.types: dict[Value, str] = {}
        self.functions = read_functions(proto.functions, limits)
        self.standard_functions = StandardFunctions(self.types, tensors)
        self.prefixes: dict[str, int] = {}
        self.stack: list[Frame] = []
        self.count = 0

    # The model as a whole.

    def load(self) -> Model:
        proto = self.proto
        if proto.ir_version not in IR_VERSIONS:
            raise UnsupportedError(f"ir_version is {proto.ir_version}; {IR_VERSIONS[0]} to {IR_VERSIONS[-1]} are "
                                   "supported")
        opsets = imports(proto.opset_import, "the model")
        raw = read(proto.graph)
        check_calls(raw, self.functions, self.limits)
        frame = self.enter(raw, None, opsets, self.finish_body)
        weights = set(frame.scope.names.values()).difference(frame.graph.inputs)
        overridable = [v for i in proto.graph.input if (v := frame.scope.names[text(i.name)]) in weights and v] \
            if proto.ir_version >= 4 else []
        while self.stack:
            self.step(self.stack[-1])
        check_training(proto)
        return Model(
            frame.graph, opsets, proto.ir_version, text(proto.producer_name), text(proto.producer_version),
            text(proto.domain), proto.model_version, text(proto.doc_string),
            {text(p.key): text(p.value) for p in proto.metadata_props}, overridable,
            claims(proto.graph.output, self.dims), text(proto.graph.doc_string), self.dims.denotations)

    # Graphs, bodies and functions.

    def enter(self, raw: RawGraph, outer: Frame | None, opsets: Mapping[str, int],
              done: Callable[[Frame], None]) -> Frame:
        """Puts a graph or body on the stack, its inputs and initializers made."""
        where = f"graph {show(raw.name)}: " if outer else ""
        graph, proto = Graph(raw.name), raw.proto
        names: dict[str, Value] = {}
        prefix, attributes = (outer.prefix, outer.attributes) if outer else ("", self.attributes)
        tensors = attributes.tensors
        for sparse, protos in ((False, proto.initializer), (True, proto.sparse_initializer)):
            for tensor in protos:
                name = text(tensor.values.name if sparse else tensor.name)
                if not name:
                    raise ModelError(f"{where}an initializer has no name")
                if name in names:
                    raise ModelError(f"{where}initializer {show(name)} is defined twice")
                array = tensors.sparse(tensor) if sparse else tensors.dense(tensor)
                names[name] = self.value(Fact.of(array), prefix + name)
        seen = set()
        for info in proto.input:
            name = text(info.name)
            if not name or name in seen:
                raise ModelError(f"{where}graph input {show(name)} {'is defined twice' if name else 'has no name'}")
            seen.add(name)
            fact = None
            if outer is None or info.type.WhichOneof("value"):
                fact = self.dims.fact(info.type, f"{where}graph input {show(name)}")
            if name in names:
                self.check_default(names[name], fact, where)
            else:
                names[name] = self.value(fact, prefix + name)
                graph.inputs.append(names[name])
        frame = Frame(raw, graph, Scope({**names}, outer.scope if outer else None), opsets, done,
                      attributes, prefix=prefix)
        if outer is not None:
            frame.depth, frame.calls, frame.given = outer.depth + 1, outer.calls, outer.given
            if frame.depth > self.limits.max_depth:
                raise LimitError(f"{where}subgraphs nest {frame.depth} deep, and limits.max_depth is "
                                 f"{self.limits.max_depth}")
        raw.order(lambda node: self.origin(frame, node, self.version(frame, node)))
        self.stack.append(frame)
        return frame

    def value(self, fact: Fact | None, name: str) -> Value:
        value = Value(fact, name)
        kind = of_fact(fact)
        if kind is not None:
            self.types[value] = kind
        return value

    @staticmethod
    def check_default(value: Value, fact: Fact | None, where: str) -> None:
        if fact is None or value.fact is None:
            return
        shape = value.fact.dims
        fits = fact.type_name() == value.fact.type_name() and (fact.shape is None or (
            len(fact.shape) == len(shape)
            and all(a == b for a, b in zip(fact.shape, shape, strict=True) if isinstance(a, int))))
        if not fits:
            raise ModelError(f"{where}graph input {show(value.name)} is declared as {fact}, its initializer is "
                             f"{value.fact}")

    def finish_body(self, frame: Frame) -> None:
        """Binds the outputs of a graph or body, and holds the types it declares against those that follow."""
        graph, proto = frame.graph, frame.raw.proto
        where = f"graph {show(graph.name)}: " if frame.depth else ""
        for info in proto.output:
            name = text(info.name)
            value = frame.scope[name] if name in frame.scope else None
            if value is None:
                raise ModelError(f"{where}graph output {show(name)} is not defined by any node")
            graph.outputs.append(value)
        for what, infos in (("graph output", proto.output), ("value", proto.value_info)):
            for info in infos:
                value = frame.scope.names.get(text(info.name))
                found = None if value is None else self.types.get(value)
                if found is not None and info.type.WhichOneof("value") == "tensor_type":
                    declared = onnx_schema.tensor_type(info.type.tensor_type.elem_type)
                    if declared not in (None, found):
                        raise ModelError(f"{where}{what} {show(text(info.name))} is declared as {declared}, but it is "
                                         f"{found}")

    def copy(self, frame: Frame, value: Value, name: str) -> Value:
        """The same value under another name, by an Identity."""
        registration = self.registration("Identity", "", 1, f"value {show(name)}")
        node = Node(OnnxOp("Identity", "", 1, {}, registration), (value,), (), name, f"node {show(name)} (Identity-1)")
        new = Value(None, name, node)
        node.outputs.append(new)
        frame.graph.nodes.append(node)
        if value in self.types:
            self.types[new] = self.types[value]
        return new

    # Nodes.

    def step(self, frame: Frame) -> None:
        """Makes nodes of the frame until it ends, or until a body or function has to be made first."""
        nodes = frame.raw.nodes
        while frame.at < len(nodes):
            node = nodes[frame.at]
            if node.needs is not None and self.enter_bodies(frame, node):
                return
            frame.at += 1
            self.count += 1
            if self.count > self.limits.max_nodes:
                raise LimitError(f"the model has over {self.limits.max_nodes} nodes once functions are inlined, and "
                                 f"limits.max_nodes is {self.limits.max_nodes}")
            if self.node(frame, node):
                frame.bodies = {}
                return
            frame.bodies = {}
        self.stack.pop()
        frame.done(frame)

    def enter_bodies(self, frame: Frame, node: RawNode) -> bool:
        """Puts the bodies of the node at hand on the stack; False once all are done."""
        for attribute in node.attributes:
            for raw in attribute.graphs:
                if id(raw) not in frame.bodies:
                    def done(inner: Frame, raw=raw) -> None:
                        self.finish_body(inner)
                        frame.bodies[id(raw)] = inner.graph

                    frame.attributes.check(attribute, self.origin(frame, node, self.version(frame, node)))
                    self.enter(raw, frame, frame.opsets, done)
                    return True
        return False

    @staticmethod
    def version(frame: Frame, node: RawNode) -> int | None:
        return frame.opsets.get(node.domain)

    def origin(self, frame: Frame, node: RawNode, version: int | None) -> str:
        schema = onnx_schema.find(node.op_type, node.domain, version) if version else None
        shown = schema.since if schema else version
        op_type = node.op_type if len(node.op_type) < 100 and node.op_type.isidentifier() else show(node.op_type, 100)
        return f"node {show(frame.prefix + node.label)} ({op_type}{'' if shown is None else f'-{shown}'})"

    def registration(self, op_type: str, domain: str, version: int, origin: str) -> Registration:
        found = resolve(op_type, domain, version)
        if found is None:
            opset = "" if version == NEWEST else f", opset {version},"
            raise UnsupportedError(f"{origin}: operator {show(op_type)} of domain {show(domain or 'ai.onnx')}{opset} "
                                   "is not supported")
        return found

    def node(self, frame: Frame, node: RawNode) -> bool:
        """Makes one node; True if it is a call whose body is now on the stack."""
        function = self.functions.get((node.domain, node.op_type, node.overload))
        imported = self.version(frame, node)
        origin = self.origin(frame, node, imported)
        inputs = self.inputs(frame, node, origin)
        given = self.given(frame, node, origin)
        if function is not None:
            self.call(frame, node, function, inputs, given, origin, self.attributes)
            return True
        version = self.unimported(node, origin) if imported is None else imported
        newest = STANDARD.get(node.domain)
        if newest is not None and not 1 <= version <= newest:
            raise UnsupportedError(f"{origin}: the model imports opset {version} of domain "
                                   f"{show(node.domain or 'ai.onnx')}; 1 to {newest} are known")
        schema = onnx_schema.find(node.op_type, node.domain, version)
        bound: Mapping[str, str] = {}
        if schema is not None:
            if schema.deprecated:
                raise UnsupportedError(f"{origin}: operator {node.op_type} was removed in opset {schema.since} of "
                                       f"domain {show(node.domain or 'ai.onnx')}; the model imports opset {version}")
            onnx_schema.check_counts(schema, inputs, node.outputs, origin)
            onnx_schema.check_attributes(schema, given, origin)
            bound = onnx_schema.check_types(schema, inputs, self.types, origin)
            onnx_schema.check_bodies(schema, inputs, node.outputs, given, self.types, origin)
        registration = resolve(node.op_type, node.domain, version)
        if registration is None:
            body = self.standard_functions.of(node, schema, version, inputs, given, origin) if schema else None
            if body is not None:
                self.call(frame, node, body, inputs, given, origin, self.standard)
                return True
            registration = self.registration(node.op_type, node.domain, version, origin)
        self.check_registration(registration, inputs, given, origin)
        op = OnnxOp(node.op_type, node.domain, schema.since if schema else registration.since,
                    {k: v for k, (_, v, _) in given.items()}, registration, _trimmed(node.outputs))
        made = Node(op, inputs, (), frame.prefix + node.name if node.name else "", origin)
        frame.graph.nodes.append(made)
        for i, name in enumerate(node.outputs):
            value = None
            if name:
                value = Value(None, frame.renamed.get(name) or frame.prefix + name, made, i)
                self.define(frame, name, value, origin)
                kind = None if schema is None else onnx_schema.output_type(schema, i, bound, given, self.types)
                if kind is not None:
                    self.types[value] = kind
            made.outputs.append(value)
        return False

    def define(self, frame: Frame, name: str, value: Value | None, origin: str) -> None:
        if frame.scope.outer is not None and name in frame.scope.outer:
            before = frame.scope[name]
            by = before.producer.origin if before is not None and before.producer is not None else "an input or " \
                "initializer"
            raise ModelError(f"{origin}: output {show(name)} hides a value of the graph around it, from {by}")
        frame.scope.names[name] = value

    def unimported(self, node: RawNode, origin: str) -> int:
        """The version for a domain that opset_import does not name: the newest one, if it is not a standard domain."""
        if node.domain in STANDARD:
            raise ModelError(f"{origin}: opset_import does not name domain {show(node.domain or 'ai.onnx')}")
        return NEWEST

    def inputs(self, frame: Frame, node: RawNode, origin: str) -> list[Value | None]:
        found: list[Value | None] = []
        for i, name in enumerate(node.inputs):
            if not name:
                found.append(None)
            elif name in frame.scope:
                found.append(frame.scope[name])
            else:
                raise ModelError(f"{origin}: input {i} {show(name)} is not defined")
        while found and found[-1] is None:
            found.pop()
        return found

    def given(self, frame: Frame, node: RawNode, origin: str) -> dict[str, tuple[int, Any, Any]]:
        """{name: (type, value, AttributeProto)} of the node, references replaced."""
        found: dict[str, tuple[int, Any, Any]] = {}
        for raw in node.attributes:
            if raw.name in found:
                raise ModelError(f"{origin}: attribute {show(raw.name)} is given twice")
            if raw.ref:
                if frame.given is None:
                    raise ModelError(f"{origin}: attribute {show(raw.name)} refers to {show(raw.ref)}, but it is not "
                                     "in a function")
                frame.attributes.check(raw, origin)
                if raw.ref in frame.given:
                    kind, value, proto = frame.given[raw.ref]
                    if raw.type not in (0, kind):
                        raise ModelError(f"{origin}: attribute {show(raw.name)} is of type "
                                         f"{onnx_schema.type_name(raw.type)}, but {show(raw.ref)}, which it refers to, "
                                         f"is given as {onnx_schema.type_name(kind)}")
                    found[raw.name] = kind, value, proto
            elif raw.type == GRAPH:
                found[raw.name] = GRAPH, frame.bodies[id(raw.graphs[0])], raw.proto
            elif raw.type == GRAPHS:
                found[raw.name] = GRAPHS, tuple(frame.bodies[id(g)] for g in raw.graphs), raw.proto
            else:
                found[raw.name] = raw.type, frame.attributes.convert(raw, origin), raw.proto
        return found

    @staticmethod
    def check_registration(registration: Registration, inputs: Sequence, given: Mapping, origin: str) -> None:
        """What the function that lowers the node can take."""
        required = len([v for v in inputs[:registration.required] if v is not None])
        if required < registration.required:
            raise ModelError(f"{origin}: it has {required} of the {registration.required} inputs that are required: "
                             f"{', '.join(registration.inputs[:registration.required])}")
        if len(inputs) > len(registration.inputs) and not registration.variadic:
            raise UnsupportedError(f"{origin}: it has {len(inputs)} inputs; up to {len(registration.inputs)} are "
                                   "supported")
        for name in given:
            if name not in registration.attributes:
                shown = ", ".join(sorted(registration.attributes)) or "none"
                raise UnsupportedError(f"{origin}: attribute {show(name)} is not supported; supported are {shown}")

    def call(self, frame: Frame, node: RawNode, function: RawFunction, inputs, given, origin: str,
             attributes: Attributes) -> None:
        """Puts the body of a function on the stack, with its inputs bound."""
        for what, names, count in (("inputs", function.inputs, len(inputs)),
                                   ("outputs", function.outputs, _trimmed(node.outputs))):
            if count > len(names):
                raise ModelError(f"{origin}: it has {count} {what}, function {function} has {len(names)}")
        for name in given:
            if name not in function.attributes:
                raise ModelError(f"{origin}: function {function} has no attribute {show(name)}")
        for name, raw in function.defaults.items():
            if name not in given and not raw.graphs:
                given = {**given, name: (raw.type, attributes.convert(raw, f"function {function}"), raw.proto)}
        if frame.calls >= self.limits.max_call_depth:
            raise LimitError(f"{origin}: calls nest {frame.calls + 1} deep, and limits.max_call_depth is "
                             f"{self.limits.max_call_depth}")
        values: dict[str, Value | None] = dict.fromkeys(function.inputs)
        values.update(zip(function.inputs, inputs, strict=False))
        around = frame.prefix
        wanted = {inner: frame.renamed.get(name) or around + name
                  for inner, name in zip(function.outputs, node.outputs, strict=False) if name}

        def done(inner: Frame) -> None:
            claimed: set[Value] = set()
            for formal, name in zip(function.outputs, node.outputs, strict=False):
                if name:
                    if formal not in inner.scope:
                        raise ModelError(f"{origin}: function {function} does not define its output {show(formal)}")
                    value = inner.scope[formal]
                    if value is None:
                        raise ModelError(f"{origin}: output {show(name)} would be an input that the call leaves out")
                    if value.name != wanted[formal] or value in claimed:  # it is an input, or given twice
                        value = self.copy(inner, value, wanted[formal])
                    claimed.add(value)
                    self.define(frame, name, value, origin)

        opsets = {**frame.opsets, **function.opsets}
        inner = Frame(function.body, frame.graph, Scope(values), opsets, done, attributes, frame.depth,
                      frame.calls + 1, given, self.prefix(around + node.label), wanted)
        function.body.order(lambda n: self.origin(inner, n, self.version(inner, n)))
        self.stack.append(inner)

    def prefix(self, name: str) -> str:
        """Something to put before the names inside a call, like no other call's."""
        count = self.prefixes.get(name, 0)
        self.prefixes[name] = count + 1
        return f"{name}/" if count == 0 else f"{name}#{count}/"


def _trimmed(names: Sequence[str]) -> int:
    """How many there are without the empty ones at the end."""
    count = len(names)
    while count and not names[count - 1]:
        count -= 1
    return count
