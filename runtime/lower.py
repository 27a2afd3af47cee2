"""Lowering: from the model's own nodes to the smaller set of internal operators."""

from __future__ import annotations

from collections.abc import Sequence

from cynfer.ops.fact import Fact
from cynfer.runtime.builder import Builder, named
from cynfer.runtime.graph import Graph, OnnxOp, Value


def lower(declared: Graph, outputs: Sequence[Value] | None = None) -> Graph:
    """The lowered graph; outputs: declared values to give instead of the graph's own.

    Every declared value's name goes to the value that stands for it. Raises ModelError or UnsupportedError.
    """
    builder = Builder(declared.name)
    env: dict[Value, Value] = {}
    for value in declared.inputs:
        env[value] = builder.input(value.fact.without_value(), value.name)
    for value, content in declared.states.items():
        env[value] = builder.state(content, value.name)
    _nodes(declared, builder, env)
    chosen = declared.outputs if outputs is None else outputs
    builder.graph.outputs = [_find(v, env) for v in chosen]
    return builder.graph


def _nodes(declared: Graph, builder: Builder, env: dict[Value, Value]) -> None:
    for node in declared.nodes:
        op = node.op
        assert isinstance(op, OnnxOp)
        builder.origin, builder.name = node.origin, node.name
        inputs = [None if v is None else _find(v, env) for v in node.inputs]
        registration = op.registration
        extra = {"n_outputs": op.n_outputs} if _takes_n_outputs(registration.lower) else {}

        def subgraph(body: Graph, inputs_facts: Sequence[Fact] = (), env=env) -> tuple[Graph, list[Value]]:
            return _body(body, env, inputs_facts)

        builder.subgraph = subgraph
        with named(node.origin):
            results = registration.lower(builder, *inputs, **op.attributes, **extra)
        for declared_value, value in zip(node.outputs, results if isinstance(results, tuple) else (results,),
                                         strict=False):
            if declared_value is not None:
                env[declared_value] = value
                if not value.name:
                    value.name = declared_value.name


def _takes_n_outputs(function) -> bool:
    return "n_outputs" in function.__code__.co_varnames[: function.__code__.co_argcount
                                                        + function.__code__.co_kwonlyargcount]


def _find(value: Value, env: dict[Value, Value]) -> Value:
    if value not in env:  # a constant stands for itself
        env[value] = Value(value.fact, value.name)
    return env[value]


class _Captures(dict):
    """The environment of a body: what it does not define it takes from outside, as a further input of the body."""

    def __init__(self, outer: dict[Value, Value], builder: Builder):
        super().__init__()
        self.outer, self.builder = outer, builder
        self.taken: list[Value] = []

    def __contains__(self, value) -> bool:
        if not super().__contains__(value):
            if value not in self.outer:
                return False
            outside = self.outer[value]
            if outside.producer is None and outside.fact.value is not None:
                self[value] = Value(outside.fact, outside.name)
            else:
                self[value] = self.builder.input(outside.fact, outside.name)
                self.taken.append(outside)
        return True


def _body(body: Graph, env: dict[Value, Value], facts: Sequence[Fact]) -> tuple[Graph, list[Value]]:
    builder = Builder(body.name)
    inner = _Captures(env, builder)
    for value, fact in zip(body.inputs, facts, strict=True):
        inner[value] = builder.input(fact, value.name)
    _nodes(body, builder, inner)
    builder.graph.outputs = [_find(v, inner) for v in body.outputs]
    return builder.graph, inner.taken
