"""Gradient of ai.onnx.preview.training: reverse walk over element-wise operators lowered so far in the same graph.

A trainer does not come by here: it takes gradients of the declared graph.
"""

from __future__ import annotations

import numpy as np

from cynfer.ops.binary import Binary
from cynfer.ops.dtypes import is_float
from cynfer.ops.elementwise import Unary
from cynfer.ops.errors import ModelError, UnsupportedError, show
from cynfer.ops.ml_features import node
from cynfer.ops.op import onnx
from cynfer.ops.preview_training import TRAINING


class _Walk:
    """Arithmetic for rules: each gives the gradients of a node's inputs from the output's, g."""

    def __init__(self, b):
        self.b = b

    def __call__(self, name, *terms):
        like = next(t for t in terms if not isinstance(t, (int, float)))
        return node(self.b, name, *(self.b.const(t, like.fact.dtype) if isinstance(t, (int, float)) else t
                                    for t in terms))

    def back(self, g, x):
        """g summed over the axes along which x was broadcast."""
        if g.fact.shape is None or x.fact.shape is None:
            raise UnsupportedError("Gradient: a tensor's rank is not known")
        lead = g.fact.rank - x.fact.rank
        axes = list(range(lead))
        for axis, (a, d) in enumerate(zip(g.fact.dims[lead:], x.fact.dims, strict=True), lead):
            if d == 1 and a != 1:
                axes.append(axis)
            elif a != d:
                raise UnsupportedError(f"Gradient: whether a dimension {d} is broadcast to {a} is not known")
        if not axes:
            return g
        g = node(self.b, "ReduceSum", g, self.b.const(axes, np.int64), keepdims=1)
        return node(self.b, "Squeeze", g, self.b.const(list(range(lead)), np.int64)) if lead else g

    def full(self, x, number: float):
        """A tensor like x, filled with a number."""
        return node(self.b, "ConstantOfShape", node(self.b, "Shape", x), value=np.array([number], x.fact.dtype))


def _pow(t, g, x, y, z):
    return t("Mul", g, t("Mul", y, t("Pow", x, t("Sub", y, 1)))), t("Mul", g, t("Mul", z, t("Log", x)))


_BINARY = {
    "add": lambda t, g, x, y, z: (g, g),
    "sub": lambda t, g, x, y, z: (g, t("Neg", g)),
    "mul": lambda t, g, x, y, z: (t("Mul", g, y), t("Mul", g, x)),
    "div": lambda t, g, x, y, z: (t("Div", g, y), t("Neg", t("Div", t("Mul", g, z), y))),
    "pow": _pow,
}
_UNARY = {
    "neg": lambda t, g, x, y: t("Neg", g),
    "abs": lambda t, g, x, y: t("Mul", g, t("Sign", x)),
    "exp": lambda t, g, x, y: t("Mul", g, y),
    "log": lambda t, g, x, y: t("Div", g, x),
    "sqrt": lambda t, g, x, y: t("Div", g, t("Mul", y, 2)),
    "reciprocal": lambda t, g, x, y: t("Neg", t("Mul", g, t("Mul", y, y))),
    "tanh": lambda t, g, x, y: t("Mul", g, t("Sub", 1, t("Mul", y, y))),
    "sigmoid": lambda t, g, x, y: t("Mul", g, t("Mul", y, t("Sub", 1, y))),
    "softplus": lambda t, g, x, y: t("Mul", g, t("Sigmoid", x)),
    "relu": lambda t, g, x, y: t("Mul", g, t("Sign", y)),
    "sin": lambda t, g, x, y: t("Mul", g, t("Cos", x)),
    "cos": lambda t, g, x, y: t("Neg", t("Mul", g, t("Sin", x))),
}


def _gradients(t: _Walk, made, g):
    """The gradients of a node's inputs."""
    op, inputs, y = made.op, made.inputs, made.outputs[0]
    if isinstance(op, Binary) and op.kernel in _BINARY:
        parts = _BINARY[op.kernel](t, g, inputs[0], inputs[1], y)
        return [t.back(d, v) for d, v in zip(parts, inputs, strict=True)]
    if isinstance(op, Unary) and op.kernel in _UNARY:
        return [_UNARY[op.kernel](t, g, inputs[0], y)]
    raise UnsupportedError(f"Gradient: operator {op.title} ({made.origin}) has no gradient here; those of "
                           f"{', '.join([*_BINARY, *_UNARY])} are known")


@onnx("Gradient", since=1, domain=TRAINING)
def gradient(b, *inputs, xs, y, zs=()):
    """d y / d xs, y as a function of xs and zs alone; the inputs must be the values that have these names."""
    nodes = list(b.graph.nodes)
    named = {v.name: v for made in nodes for v in (*made.inputs, *made.outputs) if v is not None}
    named |= {v.name: v for v in b.graph.inputs}
    names = (*xs, *zs)
    if len(names) != len(inputs):
        raise ModelError(f"it has {len(inputs)} inputs; {len(names)} are needed, one for each of xs and zs")
    if y not in named:
        raise ModelError(f"y is {show(y)}, which no node before it gives")
    for name, value in zip(names, inputs, strict=True):
        if named.get(name) is not value:
            raise UnsupportedError(f"Gradient: its input for {show(name)} is another value, {show(value.name)}")
        if name in xs and not is_float(value.fact.dtype):
            raise ModelError(f"{show(name)} is {value.fact.type_name()}; floats are needed")
    t, free = _Walk(b), set(inputs)
    active = set(inputs[: len(xs)])
    for made in nodes:
        if not active.isdisjoint(made.inputs) and free.isdisjoint(made.outputs):
            active.update(made.outputs)
    sums = {named[y]: t.full(named[y], 1)}
    for made in reversed(nodes):
        g = sums.get(made.outputs[0]) if made.outputs else None
        if g is None or not free.isdisjoint(made.outputs) or active.isdisjoint(made.outputs):
            continue
        for value, d in zip(made.inputs, _gradients(t, made, g), strict=True):
            if value in active:
                sums[value] = t("Add", sums[value], d) if value in sums else d
    results = tuple(sums[v] if v in sums else t.full(v, 0) for v in inputs[: len(xs)])
    return results if len(results) != 1 else results[0]


__all__: list[str] = []
