"""Values that live on between runs."""

from __future__ import annotations

from typing import ClassVar

from cynfer.ops import dtypes
from cynfer.ops.errors import ModelError
from cynfer.ops.op import Call, In, Op, Out


class Assign(Op):
    """Writes the second input into the state that the first one is, and gives the state on."""

    inplace: ClassVar[int] = 0
    pure: ClassVar[bool] = False

    def shapes(self, state, value):
        if state.dtype != value.dtype:
            raise ModelError(f"a state of {state.dtype} cannot hold {value.dtype}")
        if state.known and value.known and tuple(state.dims) != tuple(value.dims):
            raise ModelError(f"a state of shape {list(state.dims)} cannot hold {list(value.dims)}")
        return [state.dims]

    def native(self, m, ins, outs):
        if ins[0].dtype == dtypes.STRING:
            raise ModelError("a state of strings is not possible")
        return Call("copy_bytes", (In(1), Out(0)), (outs[0].nbytes,), work=outs[0].nbytes / 16)
