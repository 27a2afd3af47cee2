"""Optionals: at run time the value itself, or None where it is absent."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.op import Op, onnx


class Optional(Op):
    """The input as an optional, or an empty optional of the type `elem`."""

    elem: Fact | None = None
    objects: ClassVar[bool] = True

    def facts(self, x=None):
        return (Fact.optional(self.elem if x is None else x.without_value()),)

    def python(self, x=None):
        return x


@onnx("Optional", since=15)
def optional(b, x=None, *, type=None):
    """type: what an empty one would hold."""
    if x is None:
        if type is None:
            raise ModelError("it has neither an input nor the attribute 'type'")
        return b.emit(Optional(type))
    if type is not None and type.type_name() != x.fact.type_name():
        raise ModelError(f"attribute 'type' is {type.type_name()}, the input {x.fact.type_name()}")
    return b.emit(Optional(), x)


class OptionalHasElement(Op):
    """Whether a value is there; what is not an optional always is."""

    objects: ClassVar[bool] = True

    def facts(self, x):
        return (Fact(dtypes.BOOL, (), None if x.kind == "optional" else np.array(True)),)

    def python(self, x):
        return np.array(x is not None)


@onnx("OptionalHasElement", since=15)
def optional_has_element(b, x=None):
    """From version 18 the input may be absent, or a tensor or sequence."""
    return b.const(False, dtypes.BOOL) if x is None else b.emit(OptionalHasElement(), x)


class OptionalGetElement(Op):
    """The value of an optional; what is not an optional itself."""

    objects: ClassVar[bool] = True

    def facts(self, x):
        return (x.elem if x.kind == "optional" else x.without_value(),)

    def python(self, x):
        if x is None:
            raise KernelError("the optional is empty")
        return x


@onnx("OptionalGetElement", since=15)
def optional_get_element(b, x):
    """From version 18 the input may be a tensor or sequence, too."""
    return b.emit(OptionalGetElement(), x) if x.fact.kind == "optional" else x


__all__ = ["Optional", "OptionalGetElement", "OptionalHasElement"]
