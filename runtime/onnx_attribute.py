"""Attributes of nodes to Python and NumPy values, each checked to hold what its type says and nothing else."""

from __future__ import annotations

from typing import Any

from cynfer.ops.errors import CynferError, ModelError, show
from cynfer.runtime.onnx_raw import RawAttribute
from cynfer.runtime.onnx_schema import ATTRIBUTE_TYPES
from cynfer.runtime.onnx_tensor import Tensors
from cynfer.runtime.onnx_type import Dims

GRAPH, GRAPHS = 5, 10
#: The field that holds the content, by attribute type.
_FIELD = {1: "f", 2: "i", 3: "s", 4: "t", GRAPH: "g", 6: "floats", 7: "ints", 8: "strings", 9: "tensors",
          GRAPHS: "graphs", 11: "sparse_tensor", 12: "sparse_tensors", 13: "tp", 14: "type_protos"}
_CONTENT = set(_FIELD.values())
_LISTS = {6, 7, 8, 9, 10, 12, 14}


class Attributes:
    """Converts attributes; `tensors` reads theirs."""

    def __init__(self, tensors: Tensors, dims: Dims):
        self.tensors, self.dims = tensors, dims

    def check(self, raw: RawAttribute, where: str) -> None:
        """Raises ModelError, with the node's name `where`, if the content is not what the type says."""
        try:
            self._check(raw)
        except CynferError as error:
            raise type(error)(f"{where}: attribute {show(raw.name)}: {error}") from error

    @staticmethod
    def _check(raw: RawAttribute) -> None:
        present = {f.name for f, _ in raw.proto.ListFields()} & _CONTENT
        if raw.ref:
            if present:
                raise ModelError(f"it refers to {show(raw.ref)} and has a content of its own ({', '.join(present)})")
            return
        wanted = _FIELD.get(raw.type)
        if wanted is None:
            raise ModelError(f"its type is {raw.type}; 1 to 14 are known")
        if present - {wanted}:
            raise ModelError(f"its type is {ATTRIBUTE_TYPES[raw.type]}, but it holds {', '.join(sorted(present))}")
        # A writer may leave out a number, a text or a list that has its default value.
        if not present and raw.type in (4, GRAPH, 11, 13):
            raise ModelError(f"its type is {ATTRIBUTE_TYPES[raw.type]}, but it holds nothing")

    def convert(self, raw: RawAttribute, where: str) -> Any:
        """The value of an attribute that is neither a reference nor a graph."""
        if raw.value is None:
            try:
                self._check(raw)
                raw.value = self._convert(raw.type, raw.proto)
            except CynferError as error:
                raise type(error)(f"{where}: attribute {show(raw.name)}: {error}") from error
        return raw.value

    def _convert(self, kind: int, proto) -> Any:
        content = getattr(proto, _FIELD[kind])
        if kind == 3:
            return content.decode("utf-8", "surrogateescape")
        if kind == 8:
            return tuple(s.decode("utf-8", "surrogateescape") for s in content)
        if kind in (4, 9):
            made: list[Any] = [self.tensors.dense(t) for t in ([content] if kind == 4 else content)]
        elif kind in (11, 12):
            made = [self.tensors.sparse(t) for t in ([content] if kind == 11 else content)]
        elif kind in (13, 14):
            made = [self.dims.fact(t, "its type") for t in ([content] if kind == 13 else content)]
        else:
            return tuple(content) if kind in _LISTS else content
        return tuple(made) if kind in _LISTS else made[0]
