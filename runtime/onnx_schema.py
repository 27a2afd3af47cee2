"""What the ONNX standard says of each operator: counts, attributes, types; read once from the onnx package.

`check_*` hold a node against it. Types are the standard's strings: tensor(float), seq(tensor(int64)), ….
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import CynferError, ModelError, UnsupportedError, show
from cynfer.runtime.onnx_raw import RawAttribute

SINGLE, OPTIONAL, VARIADIC = range(3)

#: Names of AttributeProto.AttributeType by number.
ATTRIBUTE_TYPES = ("UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS", "TENSORS",
                   "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS")


@dataclass(frozen=True)
class Formal:
    """A formal input or output."""

    name: str
    type_str: str
    types: frozenset[str]
    option: int
    homogeneous: bool


@dataclass(frozen=True)
class Schema:
    """One version of one operator. attributes: {name: (type, required)}. bodies: opsets that have a function body."""

    name: str
    domain: str
    since: int
    deprecated: bool
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    counts: tuple[int, int, int, int]
    attributes: Mapping[str, tuple[int, bool]]
    bodies: tuple[int, ...]
    context_bodies: tuple[int, ...]


@lru_cache(8192)
def find(name: str, domain: str, version: int) -> Schema | None:
    """The operator as of opset `version` of its domain, or None."""
    from onnx import defs

    try:
        found: Any = defs.get_schema(name, version, domain)
    except Exception:  # SchemaError, or text that C++ does not take
        return None
    options = {"Single": SINGLE, "Optional": OPTIONAL, "Variadic": VARIADIC}

    def formals(parameters):
        return tuple(Formal(p.name, p.type_str, frozenset(p.types), options[p.option.name], p.is_homogeneous)
                     for p in parameters)

    return Schema(
        found.name, domain, found.since_version, found.deprecated, formals(found.inputs), formals(found.outputs),
        (found.min_input, found.max_input, found.min_output, found.max_output),
        {k: (int(a.type.value), a.required) for k, a in found.attributes.items()},
        tuple(sorted(found.function_opset_versions)), tuple(sorted(found.context_dependent_function_opset_versions)))


def check_counts(schema: Schema, inputs: Sequence, outputs: Sequence[str], origin: str) -> None:
    """Raises ModelError unless the node has the inputs (None: absent) and outputs ('': absent) it must have."""
    least_in, most_in, least_out, most_out = schema.counts
    given = len(outputs)
    while given and not outputs[given - 1]:
        given -= 1
    for what, count, least, most, formals, present in (
            ("input", len(inputs), least_in, most_in, schema.inputs, [v is not None for v in inputs]),
            ("output", given, least_out, most_out, schema.outputs, [bool(v) for v in outputs[:given]])):
        if not least <= count <= most:
            allowed = f"{least}" if least == most else f"{least} to {most}" if most < 1 << 30 else f"{least} or more"
            raise ModelError(f"{origin}: it has {count} {what}s, {allowed} are allowed")
        for i, there in enumerate(present):
            if not there:
                formal = formals[min(i, len(formals) - 1)]
                if formal.option == SINGLE or (formal.option == VARIADIC and what == "input"):
                    raise ModelError(f"{origin}: {what} {i} ({formal.name}) is absent, but it is required")


def check_attributes(schema: Schema, given: Mapping[str, tuple], origin: str) -> None:
    """Raises ModelError for an attribute that is unknown, of the wrong type, or missing."""
    for name, (kind, *_) in given.items():
        known = schema.attributes.get(name)
        if known is None:
            shown = ", ".join(sorted(schema.attributes)) or "none"
            raise ModelError(f"{origin}: attribute {show(name)} is not one of its attributes, which are {shown}")
        if known[0] != kind:
            raise ModelError(f"{origin}: attribute {show(name)} is of type {ATTRIBUTE_TYPES[kind]}, "
                             f"{ATTRIBUTE_TYPES[known[0]]} is needed")
    for name, (kind, required) in schema.attributes.items():
        if required and name not in given:
            raise ModelError(f"{origin}: attribute {name!r} ({ATTRIBUTE_TYPES[kind]}) is missing")


def check_types(schema: Schema, inputs: Sequence, types: Mapping[Any, str], origin: str) -> dict[str, str]:
    """{type parameter: type} as far as the types of the inputs are known; raises if one is not allowed."""
    bound: dict[str, str] = {}
    for i, value in enumerate(inputs):
        found = types.get(value) if value is not None else None
        if found is None:
            continue
        formal = schema.inputs[min(i, len(schema.inputs) - 1)]
        if found not in formal.types:
            shown = sorted(formal.types)
            listed = ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")
            raise UnsupportedError(f"{origin}: input {i} ({formal.name}) is {show(value.name)} of type {found}; "
                                   f"allowed are {listed}")
        if formal.homogeneous:
            before = bound.setdefault(formal.type_str, found)
            if before != found:
                raise ModelError(f"{origin}: input {i} ({formal.name}) is {show(value.name)} of type {found}, but "
                                 f"another input of its type {formal.type_str} is {before}")
    return bound


#: Operators whose output type is a tensor of what an attribute says, and the default (None: as the schema says).
_BY_ATTRIBUTE = {"Cast": ("to", None), "EyeLike": ("dtype", None), "RandomNormal": ("dtype", 1),
                 "RandomUniform": ("dtype", 1), "RandomNormalLike": ("dtype", None), "Bernoulli": ("dtype", None),
                 "RandomUniformLike": ("dtype", None), "Multinomial": ("dtype", 6),
                 "HannWindow": ("output_datatype", 1), "HammingWindow": ("output_datatype", 1),
                 "BlackmanWindow": ("output_datatype", 1),
                 "MelWeightMatrix": ("output_datatype", 1), "BitCast": ("to", None)}
#: Operators that put what they get into a sequence or an optional, or take it out: (type parameter, word).
_WRAPPED = {"SequenceConstruct": ("T", "seq"), "SplitToSequence": ("T", "seq"), "Optional": ("V", "optional")}
_UNWRAPPED = {"SequenceAt": ("S", "seq"), "ConcatFromSequence": ("S", "seq"), "OptionalGetElement": ("O", "optional")}
_CONSTANTS = {"value_float": "tensor(float)", "value_floats": "tensor(float)", "value_int": "tensor(int64)",
              "value_ints": "tensor(int64)", "value_string": "tensor(string)", "value_strings": "tensor(string)"}


def tensor_type(code: int) -> str | None:
    """tensor(float) for 1; None for a number that is no element type."""
    try:
        return f"tensor({dtypes.onnx_name(dtypes.from_onnx(code))})"
    except (KeyError, AttributeError):
        return None


def output_type(schema: Schema, index: int, bound: Mapping[str, str], given: Mapping[str, tuple],
                types: Mapping[Any, str]) -> str | None:
    """The type of one output, or None where only the operator itself could tell."""
    if schema.name in _BODIES and not schema.domain:
        body, first = given[_BODIES[schema.name][0]][1], 1 if schema.name == "Loop" else 0
        return types.get(body.outputs[index + first]) if index + first < len(body.outputs) else None
    for name in ("value", "sparse_value") if schema.name in ("Constant", "ConstantOfShape") else ():
        if name in given and isinstance(given[name][1], np.ndarray):
            return f"tensor({dtypes.onnx_name(given[name][1].dtype)})"
    if schema.name == "Constant":
        return next((_CONSTANTS[k] for k in given if k in _CONSTANTS), None)
    if schema.name == "ConstantOfShape":
        return "tensor(float)"
    if schema.name in _WRAPPED and not schema.domain:
        parameter, head = _WRAPPED[schema.name]
        inner = bound.get(parameter)
        if schema.name == "Optional" and inner is None and "type" in given:
            inner = given["type"][1].type_name()
        return inner and f"{head}({inner})"
    if schema.name in _UNWRAPPED and not schema.domain:
        parameter, head = _UNWRAPPED[schema.name]
        outer = bound.get(parameter)
        return outer[len(head) + 1:-1] if outer and outer.startswith(head + "(") else outer
    if schema.name == "SequenceEmpty" and not schema.domain:
        return f"seq({tensor_type(given['dtype'][1] if 'dtype' in given else 1)})"
    attribute, default = _BY_ATTRIBUTE.get(schema.name, ("", None))
    code = given[attribute][1] if attribute in given else default
    if code is not None:
        return tensor_type(code)
    formal = schema.outputs[min(index, len(schema.outputs) - 1)]
    if formal.homogeneous and formal.type_str in bound:
        return bound[formal.type_str]
    if schema.name in ("EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli"):
        return bound.get(schema.inputs[0].type_str)
    return next(iter(formal.types)) if len(formal.types) == 1 else None


_BODIES = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}


def check_bodies(schema: Schema, inputs: Sequence, outputs: Sequence[str], given: Mapping[str, tuple],
                 types: Mapping[Any, str], origin: str) -> None:
    """Raises ModelError where the bodies of If, Loop or Scan do not fit the node, or each other."""
    op_type = schema.name
    if op_type not in _BODIES or schema.domain:
        return
    names = len(outputs)
    while names and not outputs[names - 1]:
        names -= 1
    bodies = [given[a][1] for a in _BODIES[op_type]]
    first = bodies[0]
    if op_type == "If":
        for attribute, body in zip(_BODIES["If"], bodies, strict=True):
            if body.inputs:
                raise ModelError(f"{origin}: {attribute} has {len(body.inputs)} inputs, none are allowed")
            if len(body.outputs) < names or len(body.outputs) != len(first.outputs):
                raise ModelError(f"{origin}: {attribute} has {len(body.outputs)} outputs, the node has {names} and "
                                 f"then_branch {len(first.outputs)}")
        for i, (a, b) in enumerate(zip(*(body.outputs for body in bodies), strict=True)):
            if types.get(a) and types.get(b) and types[a] != types[b]:
                raise ModelError(f"{origin}: output {i} is {types[a]} in then_branch and {types[b]} in else_branch")
        return
    if op_type == "Loop":
        carried = max(0, len(inputs) - 2)
        wanted_in, least_out = carried + 2, carried + 1
        most_names = len(first.outputs) - 1
    else:
        scanned = given["num_scan_inputs"][1]
        wanted_in = len(inputs) - (schema.since == 8)  # Scan-8 begins with the lengths
        if not 1 <= scanned <= wanted_in:
            raise ModelError(f"{origin}: attribute 'num_scan_inputs' is {scanned}, 1 to {wanted_in} are allowed")
        least_out, most_names = wanted_in - scanned, len(first.outputs)
    if len(first.inputs) != wanted_in:
        raise ModelError(f"{origin}: body has {len(first.inputs)} inputs, {wanted_in} are needed")
    if len(first.outputs) < least_out:
        raise ModelError(f"{origin}: body has {len(first.outputs)} outputs, {least_out} or more are needed")
    if names > most_names:
        raise ModelError(f"{origin}: the node has {names} outputs, its body gives {most_names}")


def type_name(kind: int) -> str:
    """The name of an attribute type."""
    return ATTRIBUTE_TYPES[kind] if 0 <= kind < len(ATTRIBUTE_TYPES) else str(kind)


def no_type():
    """The TypeProto of an absent input."""
    from onnx import TypeProto

    return TypeProto()


def depends_on_context(schema: Schema, version: int) -> bool:
    """Whether the function body depends on the node's types and attributes."""
    return not any(v <= version for v in schema.bodies)


def body(schema: Schema, version: int, node, types, origin: str) -> Any:
    """The FunctionProto that the standard gives for this node as of opset `version`, or None.

    node(), types(): make the NodeProto and the TypeProtos of its inputs, asked only where the body depends on them.
    """
    from onnx import FunctionProto, defs

    found: Any = defs.get_schema(schema.name, schema.since, schema.domain)
    plain = [v for v in schema.bodies if v <= version]
    if plain:
        return FunctionProto.FromString(found.get_function_with_opset_version(plain[-1]))
    context = [v for v in schema.context_bodies if v <= version]
    if not context:
        return None
    encoded = [t.SerializeToString() for t in types()]
    try:
        data = found.get_context_dependent_function_with_opset_version(
            context[-1], node().SerializeToString(), encoded)
    except CynferError:
        raise
    except Exception as error:
        raise ModelError(f"{origin}: the standard has no function body for it: {show(error)}") from error
    return FunctionProto.FromString(data) if data else None


def defaults(schema: Schema) -> dict[str, RawAttribute]:
    """{name: its default} of the attributes that have one."""
    from onnx import defs

    found = defs.get_schema(schema.name, schema.since, schema.domain)
    return {k: RawAttribute(a.default_value) for k, a in found.attributes.items() if a.default_value.type}
