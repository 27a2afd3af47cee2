"""TypeProto to facts and to the type strings of the standard, and back."""

from __future__ import annotations

from cynfer.ops import dtypes
from cynfer.ops.dim import Dim, DimLike
from cynfer.ops.errors import LimitError, ModelError, UnsupportedError
from cynfer.ops.fact import Fact


class Dims:
    """The named dimensions of one model. max_rank: see Limits."""

    def __init__(self, max_rank: int = 64):
        self.max_rank = max_rank
        self.odd: dict[str, DimLike] = {}
        self.denotations: dict[str, list[str]] = {}

    def fact(self, proto, what: str) -> Fact:
        """The fact of a TypeProto; `what` names the value in messages."""
        kinds = []
        kind = proto.WhichOneof("value")
        while kind in ("sequence_type", "optional_type"):  # types nest as deep as messages may
            kinds.append(kind.partition("_")[0])
            proto = getattr(proto, kind).elem_type
            kind = proto.WhichOneof("value")
        if kind is None:
            raise ModelError(f"{what} has no type")
        if kind == "map_type":
            fact = self._map(proto.map_type, what)
        elif kind == "tensor_type":
            fact = self._tensor(proto.tensor_type, what)
        else:
            raise UnsupportedError(f"{what} is of {kind.replace('_', ' ')}; tensors, sequences, optionals and "
                                   "maps are supported")
        for kind in reversed(kinds):
            fact = Fact(fact.dtype, None, kind=kind, elem=fact)
        return fact

    def _map(self, proto, what: str) -> Fact:
        try:
            key = dtypes.from_onnx(proto.key_type)
        except (KeyError, AttributeError):
            key = None
        if key is None or not (dtypes.is_integer(key) or key == dtypes.STRING):
            raise UnsupportedError(f"{what} is a map with keys of type {proto.key_type}; integers and strings are "
                                   "supported")
        if proto.value_type.WhichOneof("value") != "tensor_type":
            raise UnsupportedError(f"{what} is a map whose values are no tensors")
        return Fact.map(key, self._tensor(proto.value_type.tensor_type, what).dtype)

    def _tensor(self, proto, what: str) -> Fact:
        try:
            dtype = dtypes.from_onnx(proto.elem_type)
        except (KeyError, AttributeError):
            raise UnsupportedError(f"{what} has element type {proto.elem_type}; known are 1 to 28") from None
        if not proto.HasField("shape"):
            return Fact(dtype, None)
        dims = proto.shape.dim
        if len(dims) > self.max_rank:
            raise LimitError(f"{what} has {len(dims)} dims, and limits.max_rank is {self.max_rank}")
        result = tuple(self._dim(d, what) for d in dims)
        for dim, proto in zip(result, dims, strict=True):
            if proto.denotation and isinstance(dim, Dim):
                denotation = proto.denotation
                denotation = denotation if isinstance(denotation, str) else denotation.decode("utf-8", "replace")
                self.denotations.setdefault(denotation, []).append(str(dim))
        return Fact(dtype, result)

    def _dim(self, proto, what: str) -> DimLike:
        which = proto.WhichOneof("value")
        if which == "dim_value":
            if proto.dim_value >= 0:
                return proto.dim_value
            if proto.dim_value == -1:  # what some exporters write for a free one
                return Dim.unknown()
            raise ModelError(f"{what} has the dim {proto.dim_value}; 0 or more is allowed")
        name = proto.dim_param if which else ""
        name = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
        if name in ("", "?"):  # Paddle's exporter calls every free one "?"
            return Dim.unknown()
        if name.startswith("?"):  # the mark of unknown ones
            return self.odd.setdefault(name, Dim.unknown())
        return Dim.name(name)


def type_proto(name: str, fact: Fact | None):
    """The TypeProto of a type string such as seq(tensor(float)); with the shape where the fact knows it."""
    from onnx import TypeProto

    top = proto = TypeProto()
    while not name.startswith("tensor("):
        head, _, rest = name.partition("(")
        name = rest[:-1]
        proto = (proto.sequence_type if head == "seq" else proto.optional_type).elem_type
    proto.tensor_type.elem_type = _codes()[name]
    if fact is not None and fact.kind == "tensor" and fact.shape is not None:
        proto.tensor_type.shape.SetInParent()
        for dim in fact.shape:
            new = proto.tensor_type.shape.dim.add()
            if isinstance(dim, int):
                new.dim_value = dim
    return top


def _codes() -> dict[str, int]:
    return {f"tensor({dtypes.onnx_name(dtypes.from_onnx(c))})": c for c in range(1, 29)}


def of_fact(fact: Fact | None) -> str | None:
    """The type string of a fact."""
    return None if fact is None else fact.type_name()
