"""The protobuf skeleton as plain Python: nodes and bodies, in an order that can be run.

One node of the file becomes one RawNode, however often a function that holds it is inlined. Nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cynfer.ops.errors import ModelError, show

_GRAPH, _GRAPHS = 5, 10


class RawAttribute:
    """An attribute. graphs: its bodies. value: its content once converted (never for bodies)."""

    __slots__ = ("graphs", "name", "proto", "ref", "type", "value")

    def __init__(self, proto):
        self.proto = proto
        self.name = text(proto.name)
        self.ref = text(proto.ref_attr_name)
        self.type = proto.type
        self.graphs: list[RawGraph] = []
        self.value: Any = None


class RawNode:
    """A node. needs: names from outside that its bodies read."""

    __slots__ = ("attributes", "domain", "inputs", "name", "needs", "op_type", "outputs", "overload")

    def __init__(self, proto):
        self.op_type = text(proto.op_type)
        self.domain = standard(text(proto.domain))
        self.overload = overload(proto)
        self.name = text(proto.name)
        self.inputs = [text(s) for s in proto.input]
        self.outputs = [text(s) for s in proto.output]
        self.attributes = [RawAttribute(a) for a in proto.attribute]
        self.needs: set[str] | None = None
        if not self.op_type:
            raise ModelError(f"node {show(self.label)} has no op_type")

    @property
    def label(self) -> str:
        """Its name, or that of its first output."""
        return self.name or next((o for o in self.outputs if o), "?")


class RawGraph:
    """A graph or the body of a function; `given` are the names defined before any node."""

    __slots__ = ("given", "name", "nodes", "ordered", "proto")

    def __init__(self, proto, name: str, given: Iterable[str]):
        self.proto, self.name = proto, name
        self.given = set(given)
        self.nodes = [RawNode(n) for n in proto.node]
        self.ordered = False

    def defined(self) -> set[str]:
        """Every name that it defines."""
        return self.given.union(*(n.outputs for n in self.nodes))

    def order(self, title: Callable[[RawNode], str]) -> None:
        """Sorts the nodes where the file does not; raises ModelError for two definitions of a name or a cycle."""
        if not self.ordered:
            self.nodes = _order(self.nodes, self.given, title)
            self.ordered = True


def text(s) -> str:
    """protobuf gives bytes for text that is not UTF-8."""
    return s if type(s) is str else s.decode("utf-8", "surrogateescape")


def standard(domain: str) -> str:
    """The default domain has two names."""
    return "" if domain == "ai.onnx" else domain


def overload(proto) -> str:
    """Which of several functions of one name; older packages have no such field."""
    return text(getattr(proto, "overload", ""))


def read(proto, given: Iterable[str] | None = None) -> RawGraph:
    """A GraphProto (given None) or FunctionProto with all bodies inside it."""
    top = RawGraph(proto, text(proto.name), _given(proto) if given is None else given)
    found: list[tuple[RawNode | None, RawGraph]] = [(None, top)]
    for _, graph in found:  # grows: bodies come after what holds them
        for node in graph.nodes:
            for attribute in node.attributes:
                if attribute.type in (_GRAPH, _GRAPHS):
                    bodies = [attribute.proto.g] if attribute.type == _GRAPH else attribute.proto.graphs
                    for body in bodies if not attribute.ref else ():
                        attribute.graphs.append(RawGraph(body, text(body.name), _given(body)))
                        found.append((node, attribute.graphs[-1]))
    for holder, graph in reversed(found):
        if holder is not None:
            read_names: set[str] = {text(o.name) for o in graph.proto.output}
            for inner in graph.nodes:
                read_names.update(inner.inputs, inner.needs or ())
            holder.needs = (holder.needs or set()) | (read_names - graph.defined())
    return top


def _given(proto) -> Iterator[str]:
    yield from (text(i.name) for i in proto.input)
    yield from (text(t.name) for t in proto.initializer)
    yield from (text(t.values.name) for t in proto.sparse_initializer)


def _order(nodes: list[RawNode], given: set[str], title: Callable[[RawNode], str]) -> list[RawNode]:
    producers: dict[str, int] = {}
    for i, node in enumerate(nodes):
        for name in node.outputs:
            if name in given and name:
                raise ModelError(f"{title(node)}: output {show(name)} is already the name of an input or initializer "
                                 "of the graph")
            if name in producers:
                raise ModelError(f"{title(node)}: output {show(name)} is already an output of "
                                 f"{title(nodes[producers[name]])}")
            if name:
                producers[name] = i
    before = [{producers[n] for n in (*node.inputs, *(node.needs or ())) if n in producers} for node in nodes]
    if all(not b or max(b) < i for i, b in enumerate(before)):
        return nodes
    after: list[list[int]] = [[] for _ in nodes]
    for i, needed in enumerate(before):
        for j in needed:
            after[j].append(i)
    open_count = [len(b) for b in before]
    order = [i for i, n in enumerate(open_count) if n == 0]
    for i in order:  # grows
        for j in after[i]:
            open_count[j] -= 1
            if open_count[j] == 0:
                order.append(j)
    if len(order) < len(nodes):
        raise ModelError(f"nodes form a cycle: {_cycle(nodes, before, open_count)}")
    return [nodes[i] for i in order]


def _cycle(nodes, before, open_count) -> str:
    at = next(i for i, n in enumerate(open_count) if n)
    path: list[int] = []
    seen: dict[int, int] = {}
    while at not in seen:
        seen[at] = len(path)
        path.append(at)
        at = next(j for j in before[at] if open_count[j])
    loop = path[seen[at]:][::-1]
    return chain([show(nodes[i].label, 60) for i in (loop[-1], *loop)])


def chain(names: list[str]) -> str:
    """a -> b -> a, long ones cut in the middle."""
    if len(names) > 12:
        names = [*names[:6], f"… {len(names) - 12} more …", *names[-6:]]
    return " -> ".join(names)


def walk(graph: RawGraph) -> Iterator[RawNode]:
    """Every node of the graph and its bodies."""
    stack = [graph]
    while stack:
        for node in stack.pop().nodes:
            yield node
            for attribute in node.attributes:
                stack += attribute.graphs
