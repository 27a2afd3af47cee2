"""The node graph: what loaders make, passes rewrite and plans run.

One structure serves two levels. In a *declared* graph every node's op is an `OnnxOp`, the model's own words; in a
*lowered* graph it is an `ops.op.Op`. Nodes stand in an order in which they can run. A graph is built once,
then read: passes make a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cynfer.ops.errors import ModelError, show
from cynfer.ops.fact import Fact
from cynfer.ops.op import Op, Registration


@dataclass(frozen=True)
class OnnxOp:
    """A node as the model declares it: attributes are Python and NumPy values, subgraphs are declared Graphs."""

    op_type: str
    domain: str
    version: int
    attributes: dict[str, Any]
    registration: Registration
    n_outputs: int = 1

    @property
    def title(self) -> str:
        """Name and version: Conv-11, com.microsoft.Gelu-1."""
        return f"{self.domain + '.' if self.domain else ''}{self.op_type}-{self.version}"


class Value:
    """A tensor (or sequence, …) in the graph: an input, a constant, a state or an output of a node."""

    __slots__ = ("fact", "index", "name", "producer")
    fact: Fact  # None for what a node of a declared graph makes

    def __init__(self, fact: Fact | None, name: str = "", producer: Node | None = None, index: int = 0):
        self.fact = fact  # type: ignore[assignment]
        self.name = name
        self.producer = producer
        self.index = index

    def __repr__(self) -> str:
        return f"<Value {self.name!r} {self.fact}>"


class Node:
    """An operator applied to values; None stands for an absent optional input or output."""

    __slots__ = ("inputs", "name", "op", "origin", "outputs")
    op: Op  # an OnnxOp in a declared graph

    def __init__(self, op: Op | OnnxOp, inputs: Sequence[Value | None], outputs: Sequence[Value | None],
                 name: str = "", origin: str = ""):
        self.op = op  # type: ignore[assignment]
        self.inputs = tuple(inputs)
        self.outputs = list(outputs)
        self.name = name
        self.origin = origin

    def __repr__(self) -> str:
        return f"<Node {self.op} {self.origin}>"


@dataclass
class Graph:
    """Inputs, constants and states flow through nodes to outputs.

    states: values with a content that a run updates in place (`Assign`), each with its first content.
    """

    name: str = ""
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    states: dict[Value, Any] = field(default_factory=dict)

    def uses(self) -> dict[Value, int]:
        """How many times each value is read: by nodes, and as an output of the graph."""
        count: dict[Value, int] = {}
        for node in self.nodes:
            for value in (*node.inputs, *captured(node)):
                if value is not None:
                    count[value] = count.get(value, 0) + 1
        for value in self.outputs:
            count[value] = count.get(value, 0) + 1
        return count

    def constants(self) -> list[Value]:
        """The values with known content that nodes or outputs read and no node makes, in order of first use."""
        found: dict[Value, None] = {}
        for value in self.read():
            if value.producer is None and value.fact is not None and value.fact.value is not None:
                found[value] = None
        return list(found)

    def read(self) -> Iterable[Value]:
        """Every value that is read, with repeats."""
        for node in self.nodes:
            for value in node.inputs:
                if value is not None:
                    yield value
        yield from self.outputs

    def verify(self) -> None:
        """Raises ModelError unless every value is defined once, before it is read."""
        defined = set(self.inputs) | set(self.states)
        for node in self.nodes:
            for value in node.inputs:
                if value is not None and value not in defined and not _is_constant(value):
                    raise ModelError(f"{node.origin}: input {show(value.name)} is read before anything defines it")
            for value in node.outputs:
                if value is not None:
                    if value in defined or value.producer is not node:
                        raise ModelError(f"{node.origin}: output {show(value.name)} is defined twice")
                    defined.add(value)
        for value in self.outputs:
            if value not in defined and not _is_constant(value):
                raise ModelError(f"graph output {show(value.name)} is not defined by any node")


def _is_constant(value: Value) -> bool:
    return value.producer is None and value.fact is not None and value.fact.value is not None


def captured(node: Node) -> tuple[Value, ...]:
    """Outer values that the bodies of a *declared* control-flow node read (a lowered one has them as inputs)."""
    if not isinstance(node.op, OnnxOp):
        return ()
    found: dict[Value, None] = {}
    inside: set[Value] = set()
    stack = [a for a in node.op.attributes.values() if isinstance(a, Graph)]
    while stack:  # iterative: bodies nest as deep as the limits allow
        body = stack.pop()
        inside.update(body.inputs)
        for inner in body.nodes:
            inside.update(v for v in inner.outputs if v is not None)
            if isinstance(inner.op, OnnxOp):
                stack += [a for a in inner.op.attributes.values() if isinstance(a, Graph)]
        for value in body.read():
            found[value] = None
    return tuple(v for v in found if v not in inside and not _is_constant(v))
