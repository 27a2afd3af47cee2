"""Facts: all that is known about a value before it is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import cast

import numpy as np

from cynfer.ops.dim import Dim, DimLike, is_known, product, substitute
from cynfer.ops.dtypes import INT64, STRING, onnx_name
from cynfer.ops.errors import ModelError

#: Dimensions that NumPy's arrays can have.
MAX_RANK = 64


class UnknownRank(Exception):
    """Raised by `Fact.dims` where the rank is not known; `Op.facts` answers it with unknown shapes."""


@dataclass(frozen=True)
class Layout:
    """How a tensor lies in memory.

    block: 0 for plain C order; B > 0 for [N][ceil(C/B)][spatial...][B], channels past C holding finite values.
    """

    block: int = 0


PLAIN = Layout()
C16 = Layout(16)


@dataclass(frozen=True, eq=False)
class Fact:
    """Type, shape and, where known, content of a value.

    dtype: element type (object for strings). shape: ints and Dims, or None where even the rank is unknown.
    value: the content if it is known: an array of `dtype`, or, for small integer tensors, an object array of ints and
    Dims. layout: how the plan stores it; always PLAIN before the layout pass.
    kind: "tensor", "sequence", "optional" or "map"; elem: what the others hold. key: type of a map's keys.
    """

    dtype: np.dtype
    shape: tuple[DimLike, ...] | None
    value: np.ndarray | None = None
    layout: Layout = PLAIN
    kind: str = "tensor"
    elem: Fact | None = None
    key: np.dtype | None = None

    @staticmethod
    def sequence(elem: Fact) -> Fact:
        """The fact of a sequence of such elements."""
        return Fact(elem.dtype, None, kind="sequence", elem=elem)

    @staticmethod
    def optional(elem: Fact) -> Fact:
        """The fact of such a value that may be absent."""
        return Fact(elem.dtype, None, kind="optional", elem=elem)

    @staticmethod
    def map(key: np.dtype, value: np.dtype) -> Fact:
        """The fact of a map."""
        return Fact(value, None, kind="map", elem=Fact(value, ()), key=key)

    @staticmethod
    def of(array: np.ndarray) -> Fact:
        """The fact of a constant."""
        return Fact(array.dtype, array.shape, array)

    @property
    def dims(self) -> tuple[DimLike, ...]:
        """The shape; raises UnknownRank if there is none."""
        if self.shape is None:
            raise UnknownRank
        return self.shape

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape where every dimension is a number (not checked)."""
        return cast("tuple[int, ...]", tuple(self.dims))

    @property
    def rank(self) -> int:
        """Number of dimensions; raises UnknownRank if that is not known."""
        return len(self.dims)

    @property
    def known(self) -> bool:
        """True if every dimension is a number."""
        return self.kind == "tensor" and is_known(self.shape)

    @property
    def holdable(self) -> bool:
        """True if an array of this shape can exist at all; one without elements may have too large a shape, too."""
        return len(self.dims) <= MAX_RANK and int(prod(max(1, d) for d in self.sizes)) * self.dtype.itemsize < 1 << 63

    @property
    def constant(self) -> np.ndarray | None:
        """The content, if it is known to the last element."""
        if self.value is None or (self.value.dtype == object and self.dtype != STRING
                                  and any(isinstance(v, Dim) for v in self.value.flat)):
            return None
        return self.value if self.value.dtype == self.dtype else self.value.astype(self.dtype)

    def ints(self) -> list[DimLike] | None:
        """The content of an integer tensor as a flat list of ints and Dims, or None where it is not known."""
        return None if self.value is None else [v if isinstance(v, Dim) else int(v) for v in self.value.flat]

    @property
    def size(self) -> DimLike:
        """Number of elements."""
        return product(self.dims)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in memory: [N, C/B, spatial..., B] in a blocked layout. Needs known dimensions."""
        if not self.layout.block:
            return self.sizes
        n, c, *spatial = self.sizes
        return (n, -(-c // self.layout.block), *spatial, self.layout.block)

    @property
    def nbytes(self) -> int:
        """Bytes it takes in its layout; needs known dimensions."""
        return int(prod(self.stored_shape)) * self.dtype.itemsize

    @property
    def inner(self) -> Fact:
        """What a sequence or an optional holds; raises ModelError for anything else."""
        if self.elem is None:
            raise ModelError(f"{self.type_name()} holds nothing")
        return self.elem

    def with_layout(self, layout: Layout) -> Fact:
        """The same in another layout."""
        return replace(self, layout=layout)

    def without_value(self) -> Fact:
        """The same with unknown content."""
        return self if self.value is None else replace(self, value=None)

    def substitute(self, values) -> Fact:
        """The same with named dimensions replaced."""
        if self.shape is None or (self.known and (self.value is None or self.value.dtype != object)):
            return self
        value = self.value
        if value is not None and value.dtype == object and self.dtype != STRING:
            value = symbolic([substitute(v, values) for v in value.flat], value.shape)
        return replace(self, shape=tuple(substitute(d, values) for d in self.shape), value=value)

    def type_name(self) -> str:
        """As onnxruntime prints it: tensor(float), seq(tensor(int64)), map(string,tensor(float)), …"""
        if self.key is not None:
            return f"map({onnx_name(self.key)},tensor({onnx_name(self.dtype)}))"
        if self.kind != "tensor":
            inner = self.elem.type_name() if self.elem else "?"
            return f"{'seq' if self.kind == 'sequence' else self.kind}({inner})"
        return f"tensor({onnx_name(self.dtype)})"

    def __str__(self) -> str:
        shape = "[?]" if self.shape is None else "[" + ", ".join(map(str, self.shape)) + "]"
        return self.type_name() + shape


def needed(fact: Fact | None) -> Fact:
    """The fact of an input that is not optional."""
    if fact is None:
        raise ModelError("an input that is not optional is absent")
    return fact


def either(a: Fact, b: Fact, what: str) -> Fact:
    """What is known of a value that is one of two; raises ModelError if their types differ.

    A value that may be absent and one that never is make one that may be.
    """
    if "optional" in (a.kind, b.kind) and a.kind != b.kind:
        a, b = (f if f.kind == "optional" else Fact.optional(f) for f in (a, b))
    if a.dtype != b.dtype or a.kind != b.kind or a.key != b.key:
        raise ModelError(f"{what}: {a.type_name()} and {b.type_name()}")
    if a.kind != "tensor":
        return replace(a, elem=either(a.inner, b.inner, what))
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return replace(a, shape=None, value=None)
    dims = tuple(x if x == y else Dim.unknown() for x, y in zip(a.shape, b.shape, strict=True))
    return replace(a, shape=dims, value=None)


def loosest(fact: Fact) -> Fact:
    """The same type with no shape known, inside it neither."""
    return fact if fact.kind == "map" else replace(fact, shape=None, value=None, elem=fact.elem and loosest(fact.elem))


def symbolic(items, shape=None) -> np.ndarray:
    """An object array of ints and Dims, or an int64 array if all are ints."""
    items = list(items)
    if not any(isinstance(v, Dim) for v in items):
        return np.array(items, dtype=INT64).reshape(len(items) if shape is None else shape)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array if shape is None else array.reshape(shape)
