"""The driver of passes: walks a graph once and builds its successor, asking a rule at each node.

A rule sees the node and the values that now stand for its inputs, and may look back from them at the nodes already
built; it returns the values that replace the node's outputs, or None to keep the node. Facts are computed as nodes
are emitted, and a replacement must have the type and shape of what it replaces: every edit is verified on the spot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cynfer.ops.dim import is_known
from cynfer.ops.errors import ModelError
from cynfer.ops.machine import Machine
from cynfer.runtime.builder import Builder
from cynfer.runtime.graph import Graph, Node, Value
from cynfer.runtime.limits import Limits


@dataclass
class Context:
    """What passes share: machine, limits, and counts of what each pass changed.

    spent: bytes that constant folding has added.
    """

    machine: Machine
    limits: Limits = field(default_factory=Limits)
    fired: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    spent: int = 0


class Rewriter(Builder):
    """The builder that rules emit to.

    `only_use(v)` says if the node at hand is the only reader of v; `position[v]` orders values by when they are made.
    """

    def __init__(self, old: Graph):
        super().__init__(old.name)
        self.old_uses = old.uses()
        self.readers: dict[Value, int] = {}
        self.env: dict[Value, Value] = {}
        self.position: dict[Value | None, int] = {}

    def stand_in(self, old: Value, new: Value) -> None:
        """From here on, `new` is read wherever `old` was."""
        self.env[old] = new
        self.position.setdefault(new, len(self.position))
        self.readers[new] = self.readers.get(new, 0) + self.old_uses.get(old, 0)
        if not new.name:
            new.name = old.name

    def now(self, old: Value) -> Value:
        """The value that stands for an old one (constants stand for themselves)."""
        if old not in self.env:
            self.stand_in(old, old)
        return self.env[old]

    def copy(self, node: Node, inputs: Sequence[Value | None]) -> None:
        """The node once more, on inputs of the very facts it had: those of its outputs are still true."""
        new = Node(node.op, inputs, (), node.name, node.origin)
        new.outputs = [None if v is None else Value(v.fact, v.name, new, v.index) for v in node.outputs]
        self.graph.nodes.append(new)
        for old, value in zip(node.outputs, new.outputs, strict=True):
            if old is not None and value is not None:
                self.stand_in(old, value)

    def only_use(self, value: Value) -> bool:
        """True if exactly one node (or output) of the old graph reads what `value` stands for."""
        return self.readers.get(value, 0) == 1


Rule = Callable[[Rewriter, Node, Sequence["Value | None"]], "Sequence[Value] | Value | None"]


def rewrite(graph: Graph, rule: Rule, context: Context, name: str) -> Graph:
    """The graph after one walk with `rule`, dead nodes left out; counts edits in context.fired[name]."""
    b = Rewriter(graph)
    for value in graph.inputs:
        new = Value(value.fact, value.name)
        b.graph.inputs.append(new)
        b.stand_in(value, new)
    for value, content in graph.states.items():
        new = Value(value.fact, value.name)
        b.graph.states[new] = content
        b.stand_in(value, new)
    for node in graph.nodes:
        inputs = [None if v is None else b.now(v) for v in node.inputs]
        b.origin, b.name = node.origin, node.name
        result = rule(b, node, inputs)
        if result is None:
            if all(new is None or old is None or new.fact is old.fact
                   for old, new in zip(node.inputs, inputs, strict=True)):
                b.copy(node, inputs)
                continue
            result = b.emit(node.op, *inputs)
            _keep_layouts(node, result)
        else:
            context.fired[name] += 1
        results = (result,) if isinstance(result, Value) else tuple(result)
        for old, new in zip(node.outputs, results, strict=True):
            if old is not None:
                _agree(node, old, new, name)
                b.stand_in(old, new)
    b.graph.outputs = [b.now(v) for v in graph.outputs]
    return without_dead(b.graph)


def _keep_layouts(node: Node, result) -> None:
    for old, new in zip(node.outputs, (result,) if isinstance(result, Value) else result, strict=True):
        if old is not None and new.fact.layout != old.fact.layout:
            new.fact = new.fact.with_layout(old.fact.layout)


def _agree(node: Node, old: Value, new: Value, name: str) -> None:
    a, b = old.fact, new.fact
    if a.dtype != b.dtype or a.kind != b.kind or (is_known(a.shape) and is_known(b.shape) and a.shape != b.shape):
        raise ModelError(f"{node.origin}: pass {name} would replace {a} by {b}")
    if a.shape == b.shape and a.layout == b.layout and a.value is None and b.value is None and a.kind == "tensor":
        new.fact = a  # the very object says to the nodes behind that nothing changed


def without_dead(graph: Graph) -> Graph:
    """The same graph less the pure nodes whose outputs nobody reads."""
    live: set[Value] = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if any(v in live for v in node.outputs if v is not None) or not node.op.pure:
            kept.append(node)
            live.update(v for v in node.inputs if v is not None)
    graph.nodes = kept[::-1]
    return graph
