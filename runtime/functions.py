"""Functions: the model's own, and those by which the standard defines an operator that is not registered.

Both are inlined by the loader. What that would make is counted here before anything is inlined.
"""

from __future__ import annotations

from collections.abc import Mapping

from cynfer.ops.errors import LimitError, ModelError, UnsupportedError, show
from cynfer.runtime import onnx_schema
from cynfer.runtime.graph import Value
from cynfer.runtime.limits import Limits
from cynfer.runtime.onnx_model import imports
from cynfer.runtime.onnx_raw import RawAttribute, RawGraph, RawNode, chain, overload, read, standard, text, walk
from cynfer.runtime.onnx_tensor import Tensors
from cynfer.runtime.onnx_type import type_proto


class RawFunction:
    """A function: its body, formal names, attribute names and defaults, and its own opsets."""

    def __init__(self, proto):
        self.name, self.domain = text(proto.name), standard(text(proto.domain))
        self.overload = overload(proto)
        self.inputs = [text(s) for s in proto.input]
        self.outputs = [text(s) for s in proto.output]
        self.defaults = {a.name: a for a in map(RawAttribute, getattr(proto, "attribute_proto", ()))}
        self.attributes = {text(s) for s in proto.attribute} | set(self.defaults)
        self.opsets: dict[str, int] = {}
        self.body = read(proto, self.inputs)

    @property
    def key(self) -> tuple[str, str, str]:
        """What calls name."""
        return self.domain, self.name, self.overload

    def __str__(self) -> str:
        return show(":".join(p for p in self.key if p))


def read_functions(protos, limits: Limits) -> dict[tuple[str, str, str], RawFunction]:
    """The model's own functions by what calls name."""
    found: dict[tuple[str, str, str], RawFunction] = {}
    if len(protos) > limits.max_functions:
        raise LimitError(f"the model has {len(protos)} functions, and limits.max_functions is "
                         f"{limits.max_functions}")
    for proto in protos:
        function = RawFunction(proto)
        if function.key in found:
            raise ModelError(f"function {function} is defined twice")
        for what, names in (("input", function.inputs), ("output", function.outputs)):
            if len(set(names)) < len(names) or "" in names:
                raise ModelError(f"function {function}: its {what}s {show(names)} are empty or given twice")
        function.opsets = imports(proto.opset_import, f"function {function}")
        found[function.key] = function
    return found


def check_calls(top: RawGraph, functions: dict[tuple[str, str, str], RawFunction], limits) -> None:
    """Counts what inlining would make, before anything is inlined.

    Raises ModelError for recursion, LimitError for too deep calls or too many nodes.
    """
    if not functions:
        return
    calls = {key: [n for n in map(_callee, walk(f.body)) if n in functions] for key, f in functions.items()}
    sizes = {key: sum(1 for _ in walk(f.body)) for key, f in functions.items()}
    most = limits.max_nodes + 1
    cost: dict[tuple, int] = {}
    depth: dict[tuple, int] = {}
    for start in functions:
        stack = [] if start in cost else [(start, iter(dict.fromkeys(calls[start])))]
        path = {start: None} if stack else {}
        while stack:
            key, rest = stack[-1]
            callee = next((c for c in rest if c not in cost), None)
            if callee is None:
                stack.pop()
                del path[key]
                cost[key] = min(most, sizes[key] + sum(cost[c] for c in calls[key]))
                depth[key] = 1 + max((depth[c] for c in calls[key]), default=0)
            elif callee in path:
                names = [str(functions[k]) for k in path]
                first = names.index(str(functions[callee]))
                raise ModelError(f"functions call each other in a circle: {chain([*names[first:], names[first]])}")
            else:
                path[callee] = None
                stack.append((callee, iter(dict.fromkeys(calls[callee]))))
    total = 0
    for node in walk(top):
        key = _callee(node)
        total += 1 + cost.get(key, 0)
        if depth.get(key, 0) > limits.max_call_depth:
            raise LimitError(f"node {show(node.label)}: calls of function {functions[key]} nest {depth[key]} deep, and "
                             f"limits.max_call_depth is {limits.max_call_depth}")
        if total >= most and key in functions:
            raise LimitError(f"node {show(node.label)}: inlining function {functions[key]} makes over "
                             f"{limits.max_nodes} nodes, and limits.max_nodes is {limits.max_nodes}")


def _callee(node: RawNode) -> tuple[str, str, str]:
    return node.domain, node.op_type, node.overload


class StandardFunctions:
    """Function bodies of standard operators. types: those of the values so far; tensors: of the file."""

    def __init__(self, types: Mapping[Value, str], tensors: Tensors):
        self.types, self.tensors = types, tensors
        self.known: dict[tuple, RawFunction] = {}

    def of(self, node: RawNode, schema, version: int, inputs, given, origin: str) -> RawFunction | None:
        """The function that defines an operator of the standard, or None."""
        key = (node.op_type, node.domain, version)
        if key in self.known:
            return self.known[key]

        def types():
            for value in inputs:
                kind = "" if value is None else self.types.get(value)
                if kind is None:
                    raise UnsupportedError(f"{origin}: operator {node.op_type} is only supported where the type of "
                                           f"{show(value.name)} follows from the model without running it")
                yield type_proto(kind, value.fact) if value else onnx_schema.no_type()

        proto = onnx_schema.body(schema, version, lambda: self.proto_of(node, inputs, given), types, origin)
        if proto is None:
            return None
        function = RawFunction(proto)
        function.opsets = imports(proto.opset_import, f"{origin}: its body")
        function.defaults |= onnx_schema.defaults(schema)
        function.attributes |= set(schema.attributes)
        if not onnx_schema.depends_on_context(schema, version):
            self.known[key] = function
        return function

    def proto_of(self, node: RawNode, inputs, given):
        """The node as the standard's function builders take it: all attributes in it, tensors with their content."""
        from onnx import NodeProto

        proto = NodeProto(op_type=node.op_type, domain=node.domain, name=node.name)
        proto.input.extend("" if v is None else n for v, n in zip(inputs, node.inputs, strict=False))
        proto.output.extend(node.outputs)
        for name, (_, _, attribute) in given.items():
            new = proto.attribute.add()
            new.CopyFrom(attribute)
            new.name = name
            self.tensors.restore(new)
        return proto
