"""Makes lowered graphs node by node: facts are computed, and errors named, on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from cynfer.ops.errors import CynferError
from cynfer.ops.fact import Fact
from cynfer.ops.op import Op, infer
from cynfer.runtime.graph import Graph, Node, Value


@contextmanager
def named(origin: str) -> Iterator[None]:
    """Puts the node in front of the message of any of our errors raised inside."""
    try:
        yield
    except CynferError as error:
        if not origin or str(error).startswith("node "):
            raise
        raise type(error)(f"{origin}: {error}") from error


class Builder:
    """`emit(op, *values)` appends a node and returns its output (a tuple where there are several).

    subgraph: lowers the body of a control-flow node; set by `lower`, absent elsewhere.
    """

    def __init__(self, name: str = ""):
        self.graph = Graph(name)
        self.origin = ""
        self.name = ""
        self.subgraph: Callable[[Graph], tuple[Graph, list[Value]]] | None = None

    def input(self, fact: Fact, name: str = "") -> Value:
        """A new graph input."""
        value = Value(fact, name)
        self.graph.inputs.append(value)
        return value

    def const(self, content, dtype=None, name: str = "") -> Value:
        """A constant; copies nothing that is already an array of that type."""
        return Value(Fact.of(np.asarray(content, dtype=dtype)), name)

    def state(self, content: np.ndarray, name: str = "") -> Value:
        """A value that keeps its content between runs, starting with a copy of `content`."""
        value = Value(Fact.of(content).without_value(), name)
        self.graph.states[value] = content
        return value

    def emit(self, op: Op, *inputs: Value | None):
        """Appends `op` applied to `inputs`; raises ModelError (with the node's name) if they do not fit."""
        with named(self.origin):
            facts = infer(op, *(None if v is None else v.fact for v in inputs))
        node = Node(op, inputs, (), self.name, self.origin)
        node.outputs = [Value(fact, "", node, i) for i, fact in enumerate(facts)]
        self.graph.nodes.append(node)
        return node.outputs[0] if len(facts) == 1 else tuple(node.outputs)
