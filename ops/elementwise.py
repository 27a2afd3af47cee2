"""Element-wise operators of one input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cynfer.ops.dtypes import prefix
from cynfer.ops.op import Call, In, Op, Out, onnx


@dataclass(frozen=True)
class Unary(Op):
    """y = f(x), element by element, by a kernel called f."""

    kernel: str
    f: tuple[float, ...] = ()

    def native(self, m, ins, outs):
        name = f"{prefix(ins[0].dtype)}_{self.kernel}"
        return Call(name, (In(0), Out(0)), (outs[0].size,), self.f, work=outs[0].size) if name in m else None

    def python(self, x):
        return _NUMPY[self.kernel](x, *self.f)


_NUMPY = {"relu": lambda x: np.maximum(x, x.dtype.type(0))}


@onnx("Relu", since=1)
def relu(b, x, *, consumed_inputs=()):
    """max(x, 0); NaN stays NaN."""
    return b.emit(Unary("relu"), x)
