"""Gemm and MatMul (temporary NumPy form)."""

from __future__ import annotations

from dataclasses import dataclass

from cynfer.ops.op import Op, onnx


@dataclass(frozen=True)
class Gemm(Op):
    """alpha * A B + beta * C."""

    alpha: float
    beta: float
    trans_a: bool
    trans_b: bool

    def shapes(self, a, b, c=None):
        m, _ = a.dims[::-1] if self.trans_a else a.dims
        _, n = b.dims[::-1] if self.trans_b else b.dims
        return [(m, n)]

    def python(self, a, b, c=None):
        a, b = (a.T if self.trans_a else a), (b.T if self.trans_b else b)
        y = self.alpha * (a[:, :, None] * b[None]).sum(1)
        return (y if c is None else y + self.beta * c).astype(a.dtype)


@onnx("Gemm", since=1)
def gemm(b, x, w, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=0):
    """ONNX Gemm, all versions."""
    return b.emit(Gemm(alpha, beta, bool(transA), bool(transB)), x, w, c)
