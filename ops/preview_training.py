"""ai.onnx.preview.training: Adagrad, Adam, Momentum, as they update parameters outside a trainer."""

from __future__ import annotations

import numpy as np

from cynfer.ops.errors import ModelError
from cynfer.ops.ml_features import cast, node
from cynfer.ops.op import onnx

TRAINING = "ai.onnx.preview.training"


class _Terms:
    """Arithmetic on values in the type of one parameter; numbers become constants."""

    def __init__(self, b, x):
        self.b, self.dtype = b, x.fact.dtype

    def __call__(self, name: str, *terms):
        return node(self.b, name, *(self.b.const(t, self.dtype) if isinstance(t, (int, float)) else t for t in terms))

    def scalar(self, x, name: str):
        """x as a scalar of that type."""
        if x.fact.known and x.fact.size != 1:
            raise ModelError(f"{name} has {x.fact.size} elements; 1 is needed")
        x = cast(self.b, x, self.dtype)
        return node(self.b, "Reshape", x, self.b.const(np.zeros(0, np.int64)))


def _updates(b, rate, step, tensors, kinds: str, rule) -> tuple:
    """Applies rule(terms, rate, step, x, g, ...) to each parameter; the new tensors, all of a kind together."""
    n = len(kinds)
    if not tensors or len(tensors) % n:
        raise ModelError(f"{len(tensors)} inputs after R and T; a multiple of {n} ({', '.join(kinds)}) is needed")
    count = len(tensors) // n
    results = []
    for i in range(count):
        group = tensors[i::count]
        x = group[0].fact
        for kind, value in zip(kinds, group, strict=True):
            fact = value.fact
            if fact.dtype != x.dtype or (fact.known and x.known and fact.dims != x.dims):
                raise ModelError(f"{kind} of parameter {i} is {fact}, the parameter {x}")
        t = _Terms(b, group[0])
        results.append(rule(t, t.scalar(rate, "R"), t.scalar(step, "T"), *group))
    return tuple(r[k] for k in range(n - 1) for r in results)


def _positive(b, step):
    return node(b, "Greater", step, b.const(0, step.fact.dtype))


@onnx("Adagrad", since=1, domain=TRAINING)
def adagrad(b, rate, step, *tensors, decay_factor=0.0, epsilon=1e-6, norm_coefficient=0.0):
    """Steps over the root of all squared gradients so far."""

    def rule(t, rate, step, x, g, h):
        rate = t("Div", rate, t("Add", t("Mul", step, decay_factor), 1.0))
        g = t("Add", t("Mul", x, norm_coefficient), g)
        h = t("Add", h, t("Mul", g, g))
        return t("Sub", x, t("Div", t("Mul", rate, g), t("Add", t("Sqrt", h), epsilon))), h

    return _updates(b, rate, step, tensors, "XGH", rule)


@onnx("Adam", since=1, domain=TRAINING)
def adam(b, rate, step, *tensors, alpha=0.9, beta=0.999, epsilon=1e-6, norm_coefficient=0.0,
         norm_coefficient_post=0.0):
    """Running means of the gradient and of its square, their bias corrected once T is above 0."""

    def rule(t, rate, step, x, g, v, h):
        g = t("Add", t("Mul", x, norm_coefficient), g)
        v = t("Add", t("Mul", v, alpha), t("Mul", g, 1 - alpha))
        h = t("Add", t("Mul", h, beta), t("Mul", t("Mul", g, g), 1 - beta))
        corrected = t("Div", t("Mul", rate, t("Sqrt", t("Sub", 1.0, t("Pow", beta, step)))),
                      t("Sub", 1.0, t("Pow", alpha, step)))
        rate = node(b, "Where", _positive(b, step), corrected, rate)
        x = t("Sub", x, t("Mul", rate, t("Div", v, t("Add", t("Sqrt", h), epsilon))))
        return t("Mul", x, 1 - norm_coefficient_post), v, h

    return _updates(b, rate, step, tensors, "XGVH", rule)


@onnx("Momentum", since=1, domain=TRAINING)
def momentum(b, rate, step, *tensors, alpha, beta, mode, norm_coefficient):
    """A running sum of gradients; mode "nesterov" looks one step ahead."""
    if mode not in ("standard", "nesterov"):
        raise ModelError(f"mode is {mode!r}; choose from standard, nesterov")

    def rule(t, rate, step, x, g, v):
        g = t("Add", t("Mul", x, norm_coefficient), g)
        share = node(b, "Where", _positive(b, step), b.const(beta, t.dtype), b.const(1, t.dtype))
        v = t("Add", t("Mul", v, alpha), t("Mul", g, share))
        ahead = v if mode == "standard" else t("Add", g, t("Mul", v, alpha))
        return t("Sub", x, t("Mul", rate, ahead)), v

    return _updates(b, rate, step, tensors, "XGV", rule)


__all__ = ["TRAINING"]
