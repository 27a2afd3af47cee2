"""What a model file says beside its graph: versions, metadata, claims about outputs, training information."""

from __future__ import annotations

from dataclasses import dataclass, field

from cynfer.ops.errors import ModelError, UnsupportedError, show
from cynfer.ops.fact import Fact
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.onnx_raw import standard, text
from cynfer.runtime.onnx_type import Dims

#: What the loader understands.
IR_VERSIONS = range(3, 15)
MAX_OPSET = 28
STANDARD = {"": MAX_OPSET, "ai.onnx.ml": 5, "ai.onnx.preview": 1, "ai.onnx.preview.training": 1}


@dataclass
class Model:
    """A declared graph and what else the file says.

    opsets: {domain: version}. overridable: initializers that are graph inputs too. outputs: {name: fact} as the model
    declares its outputs (a claim: passes do not rely on it). denotations: {denotation: names of dimensions}.
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
    outputs: dict[str, Fact] = field(default_factory=dict)
    graph_description: str = ""
    denotations: dict[str, list[str]] = field(default_factory=dict)


def imports(entries, whose: str) -> dict[str, int]:
    """{domain: version} of opset_import."""
    opsets: dict[str, int] = {}
    for entry in entries:
        domain = standard(text(entry.domain))
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise ModelError(f"{whose} imports two opsets of domain {show(domain or 'ai.onnx')}: {opsets[domain]} "
                             f"and {entry.version}")
    if not 1 <= opsets.get("", 1) <= MAX_OPSET:
        raise UnsupportedError(f"{whose} imports opset {opsets['']} of domain 'ai.onnx'; 1 to {MAX_OPSET} are "
                               "supported")
    return opsets


def claims(infos, dims: Dims) -> dict[str, Fact]:
    """What the model says of its outputs, where it says something that can be told."""
    found = {}
    for info in infos:
        if info.type.WhichOneof("value") in ("tensor_type", "sequence_type", "optional_type"):
            name = text(info.name)
            try:
                found[name] = dims.fact(info.type, f"graph output {show(name)}")
            except UnsupportedError:  # an element type of 0 says nothing
                continue
    return found


def check_training(proto) -> None:
    """Bindings of training_info must name initializers and outputs that are there."""
    weights = {text(t.name) for t in proto.graph.initializer}
    for info in proto.training_info:
        known = weights | {text(t.name) for t in info.algorithm.initializer}
        for what, bindings, graph in (("initialization", info.initialization_binding, info.initialization),
                                      ("update", info.update_binding, info.algorithm)):
            outputs = {text(o.name) for o in graph.output}
            for entry in bindings:
                if text(entry.key) not in known:
                    raise ModelError(f"training_info: {what}_binding of {show(text(entry.key))}, which is no "
                                     "initializer")
                if text(entry.value) not in outputs:
                    raise ModelError(f"training_info: {what}_binding to {show(text(entry.value))}, which is no "
                                     "output of its graph")
