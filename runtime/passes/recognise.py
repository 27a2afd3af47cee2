"""Finds activations that exporters spell out: x·sigmoid(x), x·clip(x+3, 0, 6)/6, x·Φ(x) by erf.

Each becomes the one op that has a kernel and can ride in an epilogue. A rule looks back from the last node of its
pattern; constants must have the exact values (within float32), and the parts may have other readers, which then stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from cynfer.ops.binary import Binary
from cynfer.ops.elementwise import Unary
from cynfer.runtime.graph import Graph, Node, Value
from cynfer.runtime.passes.rewrite import Context, rewrite


def recognise(graph: Graph, context: Context) -> Graph:
    """The graph with those patterns as single ops."""

    def rule(b, node, inputs):
        if not isinstance(node.op, Binary) or node.op.kernel not in ("mul", "div") or inputs[0] is None \
                or inputs[0].fact.dtype.kind != "f":
            return None
        for find in (_silu, _hard_swish, _gelu):
            found = find(node, inputs)
            if found is not None:
                x, kernel = found
                if x.fact.shape == node.outputs[0].fact.shape:
                    return b.emit(Unary(kernel), x)
        return None

    return rewrite(graph, rule, context, "recognise")


def _silu(node, inputs) -> tuple[Value, str] | None:
    """x·sigmoid(x)."""
    for x, gate in _orders(node, inputs):
        made = _unary(gate, "sigmoid")
        if made is not None and made.inputs[0] is x:
            return x, "silu"
    return None


def _hard_swish(node, inputs) -> tuple[Value, str] | None:
    """x·clip(x/6 + 1/2, 0, 1), or x·clip(x + 3, 0, 6) times or over its constant, before or after."""
    for x, gate in _orders(node, inputs):
        made = _unary(gate, "hard_sigmoid")
        if made is not None and made.inputs[0] is x and _close(made.op.f, (1 / 6, 0.5)):
            return x, "hard_swish"
        scaled = _scaled(gate)  # x · (clip / 6)
        if scaled is not None and _close(scaled[1:], (1 / 6,)) and _clipped(scaled[0]) is x:
            return x, "hard_swish"
    outer = _scaling(node, inputs)  # (x · clip) / 6
    if outer is not None and _close(outer[1:], (1 / 6,)) and _product(outer[0]):
        inner = outer[0].producer
        for x, gate in _orders(inner, inner.inputs):
            if _clipped(gate) is x:
                return x, "hard_swish"
    return None


def _clipped(value: Value) -> Value | None:
    """x, if the value is clip(x + 3, 0, 6)."""
    made = _unary(value, "clip")
    if made is not None and _close(made.op.f, (0, 6)):
        shifted = _shifted(made.inputs[0])
        if shifted is not None and shifted[1] == 3:
            return shifted[0]
    return None


def _gelu(node, inputs) -> tuple[Value, str] | None:
    """x·(1 + erf(x/√2))/2, the three factors in any order."""
    factors: list[Value] = []
    scale, todo = 1.0, list(inputs)
    if node.op.kernel != "mul":
        return None
    while todo and len(factors) < 3:
        value = todo.pop()
        constant = _scalar(value)
        if constant is not None:
            scale *= constant
        elif _product(value) and len(factors) + len(todo) < 2:
            todo += value.producer.inputs
        else:
            factors.append(value)
    if len(factors) != 2 or todo or not _close((scale,), (0.5,)):
        return None
    for x, gate in (factors, factors[::-1]):
        shifted = _shifted(gate)
        made = None if shifted is None or shifted[1] != 1 else _unary(shifted[0], "erf")
        inner = None if made is None else _scaled(made.inputs[0])
        if inner is not None and inner[0] is x and _close(inner[1:], (1 / math.sqrt(2),)):
            return x, "gelu"
    return None


def _orders(node: Node, inputs) -> Iterator[tuple[Value, Value]]:
    if node.op.kernel == "mul":
        yield inputs[0], inputs[1]
        yield inputs[1], inputs[0]


def _product(value: Value) -> bool:
    made = value.producer
    return made is not None and isinstance(made.op, Binary) and made.op.kernel == "mul"


def _unary(value: Value, kernel: str) -> Node | None:
    made = value.producer
    return made if made is not None and isinstance(made.op, Unary) and made.op.kernel == kernel else None


def _scalar(value: Value) -> float | None:
    constant = value.fact.constant
    return float(constant.ravel()[0]) if constant is not None and constant.size == 1 else None


def _shifted(value: Value) -> tuple[Value, float] | None:
    """(x, c) if the value is x + c."""
    made = value.producer
    if made is not None and isinstance(made.op, Binary) and made.op.kernel == "add":
        for x, c in (made.inputs, made.inputs[::-1]):
            constant = _scalar(c)
            if constant is not None:
                return x, constant
    return None


def _scaling(node: Node, inputs) -> tuple[Value, float] | None:
    """(x, c) if the node computes x · c or x / (1/c)."""
    constant = _scalar(inputs[1])
    if constant:
        return inputs[0], constant if node.op.kernel == "mul" else 1 / constant
    constant = _scalar(inputs[0]) if node.op.kernel == "mul" else None
    return (inputs[1], constant) if constant is not None else None


def _scaled(value: Value) -> tuple[Value, float] | None:
    made = value.producer
    return _scaling(made, made.inputs) if made is not None and isinstance(made.op, Binary) \
        and made.op.kernel in ("mul", "div") else None


def _close(a, b) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-12) for x, y in zip(a, b, strict=True))
