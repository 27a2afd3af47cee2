"""Finds activations that exporters spell out: x·sigmoid(x), x·clip(x+3, 0, 6)/6, x·Φ(x) by erf.

Each becomes the one op that has a kernel and can ride in an epilogue. A rule looks back from the last node of its
pattern; constants must have the exact values (within float32), and the parts may have other readers, which then stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

from cynfer.ops.binary import Binary
from cynfer.ops.elementwise import Unary
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.passes.rewrite import Context, rewrite

Kind = TypeVar("Kind", Binary, Unary)


def recognise(graph: Graph, context: Context) -> Graph:
    """The graph with those patterns as single ops."""

    def rule(b, node, inputs):
        if not isinstance(node.op, Binary) or node.op.kernel not in ("mul", "div") or inputs[0] is None \
                or inputs[0].fact.dtype.kind != "f":
            return None
        for find in (_silu, _hard_swish, _gelu):
            found = find(node.op, inputs)
            if found is not None:
                x, kernel = found
                if x.fact.shape == node.outputs[0].fact.shape:
                    return b.emit(Unary(kernel), x)
        return None

    return rewrite(graph, rule, context, "recognise")


def _silu(op: Binary, inputs: Sequence[Value]) -> tuple[Value, str] | None:
    """x·sigmoid(x)."""
    for x, gate in _orders(op, inputs):
        made = _made(gate, Unary, "sigmoid")
        if made is not None and made[1][0] is x:
            return x, "silu"
    return None


def _hard_swish(op: Binary, inputs: Sequence[Value]) -> tuple[Value, str] | None:
    """x·clip(x/6 + 1/2, 0, 1), or x·clip(x + 3, 0, 6) times or over its constant, before or after."""
    for x, gate in _orders(op, inputs):
        made = _made(gate, Unary, "hard_sigmoid")
        if made is not None and made[1][0] is x and _close(made[0].f, (1 / 6, 0.5)):
            return x, "hard_swish"
        scaled = _scaled(gate)  # x · (clip / 6)
        if scaled is not None and _close(scaled[1:], (1 / 6,)) and _clipped(scaled[0]) is x:
            return x, "hard_swish"
    outer = _scaling(op, inputs)  # (x · clip) / 6
    inner = None if outer is None or not _close(outer[1:], (1 / 6,)) else _made(outer[0], Binary, "mul")
    if inner is not None:
        for x, gate in _orders(*inner):
            if _clipped(gate) is x:
                return x, "hard_swish"
    return None


def _clipped(value: Value) -> Value | None:
    """x, if the value is clip(x + 3, 0, 6)."""
    made = _made(value, Unary, "clip")
    if made is not None and _close(made[0].f, (0, 6)):
        shifted = _shifted(made[1][0])
        if shifted is not None and shifted[1] == 3:
            return shifted[0]
    return None


def _gelu(op: Binary, inputs: Sequence[Value]) -> tuple[Value, str] | None:
    """x·(1 + erf(x/√2))/2, the three factors in any order."""
    factors: list[Value] = []
    scale, todo = 1.0, list(inputs)
    if op.kernel != "mul":
        return None
    while todo and len(factors) < 3:
        value = todo.pop()
        constant = _scalar(value)
        made = _made(value, Binary, "mul")
        if constant is not None:
            scale *= constant
        elif made is not None and len(factors) + len(todo) < 2:
            todo += made[1]
        else:
            factors.append(value)
    if len(factors) != 2 or todo or not _close((scale,), (0.5,)):
        return None
    for x, gate in (factors, factors[::-1]):
        shifted = _shifted(gate)
        erf = None if shifted is None or shifted[1] != 1 else _made(shifted[0], Unary, "erf")
        inner = None if erf is None else _scaled(erf[1][0])
        if inner is not None and inner[0] is x and _close(inner[1:], (1 / math.sqrt(2),)):
            return x, "gelu"
    return None


def _made(value: Value, kind: type[Kind], *kernels: str) -> tuple[Kind, list[Value]] | None:
    """(op, inputs) of the node that makes the value, if its op is one of those."""
    node = value.producer
    if node is None or not isinstance(node.op, kind) or node.op.kernel not in kernels:
        return None
    return node.op, [v for v in node.inputs if v is not None]


def _orders(op: Binary, inputs: Sequence[Value]) -> Iterator[tuple[Value, Value]]:
    if op.kernel == "mul":
        yield inputs[0], inputs[1]
        yield inputs[1], inputs[0]


def _scalar(value: Value) -> float | None:
    constant = value.fact.constant
    return float(constant.ravel()[0]) if constant is not None and constant.size == 1 else None


def _shifted(value: Value) -> tuple[Value, float] | None:
    """(x, c) if the value is x + c."""
    made = _made(value, Binary, "add")
    if made is not None:
        for x, c in (made[1], made[1][::-1]):
            constant = _scalar(c)
            if constant is not None:
                return x, constant
    return None


def _scaling(op: Binary, inputs: Sequence[Value]) -> tuple[Value, float] | None:
    """(x, c) if the op computes x · c or x / (1/c)."""
    constant = _scalar(inputs[1])
    if constant:
        return inputs[0], constant if op.kernel == "mul" else 1 / constant
    constant = _scalar(inputs[0]) if op.kernel == "mul" else None
    return (inputs[1], constant) if constant is not None else None


def _scaled(value: Value) -> tuple[Value, float] | None:
    made = _made(value, Binary, "mul", "div")
    return None if made is None else _scaling(*made)


def _close(a, b) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-12) for x, y in zip(a, b, strict=True))
