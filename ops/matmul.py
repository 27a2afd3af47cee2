"""Gemm and MatMul: one operator, with the epilogue that fusion gives it.

ONNX: Gemm 1, 6, 7, 9, 11, 13; MatMul 1, 9, 13. Half types are computed in float32; integers wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from cynfer.ops.broadcast import broadcast
from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import prefix
from cynfer.ops.epilogue import Step, encode, step
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.half import in_float32
from cynfer.ops.op import Call, In, Op, Out, Temp, onnx
from cynfer.ops.record import replace

#: Columns of a panel of the packed right operand (see kernels/gemm.pyx).
_PANEL = {"f32": 32, "f64": 16}


def _panels(p: str, k: int, n: int) -> int:
    return -(-n // _PANEL[p]) * _PANEL[p] * k


class PackB(Op):
    """Matrices [batch, K, N] (or [N, K] transposed) as panels of columns: format "kn32" or "kn16"."""

    batch: int
    k: int
    n: int
    transposed: bool

    def shapes(self, w):
        return [(self.batch * _panels(prefix(w.dtype), self.k, self.n),)]

    def call(self, p: str, source, target) -> Call:
        """The kernel call; also used where a weight that is not constant is packed for each run."""
        rows, columns = (1, self.k) if self.transposed else (self.n, 1)
        return Call(f"{p}_pack_b", (source, target), (self.batch, self.k, self.n, rows, columns, self.k * self.n),
                    work=self.batch * self.k * self.n)

    def native(self, m, ins, outs):
        return self.call(prefix(ins[0].dtype), In(0), Out(0))


class MatMul(Op):
    """alpha * A B + beta * C. Inputs: a, b, c or None, then operands of epilogue steps.

    trans_a, trans_b: of the last two axes. The axes before broadcast; a vector counts as a row (a) or column (b).
    weight: b's own shape once it is packed.
    """

    alpha: float = 1.0
    beta: float = 1.0
    trans_a: bool = False
    trans_b: bool = False
    epilogue: tuple[Step, ...] = ()
    weight: tuple[int, ...] | None = None

    weight_inputs: ClassVar[tuple[int, ...]] = (1, 2)
    channel_axis: ClassVar[int | None] = -1

    def matrices(self, a: Fact, b: Fact) -> tuple[tuple, tuple, tuple, tuple, bool, bool]:
        """(batch of a, (M, K), batch of b, (K, N), a is a vector, b is a vector)."""
        da, db = tuple(a.dims), tuple(self.weight if self.weight is not None else b.dims)
        if not da or not db:
            raise ModelError(f"MatMul needs inputs of rank 1 or more, not {len(da)} and {len(db)}")
        va, vb = len(da) == 1, len(db) == 1
        da, db = (1, *da) if va else da, (*db, 1) if vb else db
        mk = da[-2:][::-1] if self.trans_a else da[-2:]
        kn = db[-2:][::-1] if self.trans_b else db[-2:]
        if isinstance(mk[1], int) and isinstance(kn[0], int) and mk[1] != kn[0]:
            raise ModelError(f"the inner dimensions {mk[1]} and {kn[0]} differ (shapes {list(a.dims)} and {list(db)})")
        return da[:-2], mk, db[:-2], kn, va, vb

    def shapes(self, a, b, c=None, *extra):
        batch_a, (m, _), batch_b, (_, n), va, vb = self.matrices(a, b)
        batch = broadcast(batch_a, batch_b)
        if c is not None and c.shape is not None:
            full = (*batch, m, n)
            for have, need in zip(c.dims[::-1], full[::-1], strict=False):
                if isinstance(have, int) and isinstance(need, int) and have not in (1, need):
                    raise ModelError(f"C of shape {list(c.dims)} does not broadcast to {list(full)}")
            if len(c.dims) > len(full):
                raise ModelError(f"C of shape {list(c.dims)} does not broadcast to {list(full)}")
        return [(*batch, *(() if va else (m,)), *(() if vb else (n,)))]

    def packing(self, m, ins, outs):
        b = ins[1]
        p = prefix(b.dtype)
        if self.weight is not None or b.constant is None or p not in _PANEL or b.size == 0 or len(b.dims) < 2:
            return None
        k, n = b.dims[-2:][::-1] if self.trans_b else b.dims[-2:]
        return {1: PackB(prod(b.dims[:-2]), k, n, self.trans_b)}, replace(self, weight=tuple(b.dims))

    def scaled(self, weights, gamma, beta):
        b, c = weights[0], weights[1] if len(weights) > 1 else None
        if self.epilogue or self.weight is not None or b.ndim < 2 or (c is not None and self.beta != 1.0):
            return None
        if np.any(gamma != 1):
            b = b * (gamma[:, None] if self.trans_b else gamma).astype(b.dtype)
        return b, (beta if c is None else c * gamma + beta).astype(b.dtype)

    def absorb(self, consumer, position, ins, others):
        out = self.facts(*ins)[0]
        if out.shape is None or out.rank < 2 or prefix(out.dtype) not in _PANEL:
            return None
        found = step(consumer, position, out, others, max(0, len(ins) - 3), -1)
        return None if found is None else replace(self, epilogue=(*self.epilogue, found[0]))

    def native(self, m, ins, outs):
        a, b, y = ins[0], ins[1], outs[0]
        p = prefix(a.dtype)
        if f"{p}_gemm" in m and p not in _PANEL and len(ins) == 2 and self == MatMul() and y.size:
            return integer_gemm(p, self.matrices(a, b))
        if p not in _PANEL or y.size == 0:
            return None
        batch_a, (rows, k), batch_b, (_, n), _, _ = self.matrices(a, b)
        calls, matrix = [], In(1)
        if self.weight is None:
            pack = PackB(prod(batch_b), k, n, self.trans_b)
            matrix = Temp(pack.batch * _panels(p, k, n) * y.dtype.itemsize)
            calls.append(pack.call(p, In(1), matrix))
        batch = np.broadcast_shapes(batch_a, batch_b)
        c = ins[2] if len(ins) > 2 else None
        d_row = d_column = 0
        if c is not None:
            full = (1,) * (2 - c.rank) + tuple(c.dims)
            d_row, d_column = (full[-1] if full[-2] > 1 else 0), (1 if full[-1] > 1 else 0)
        count, table = prod(batch), None
        if prod(batch_b) == 1 and not self.trans_a and (c is None or c.rank < 2 or full[-2] == 1):
            rows, count = rows * count, 1  # one product with all rows below each other
        elif count > 1:
            table = self._table(batch, batch_a, batch_b, rows, k, n, _panels(p, k, n))
        a_row, a_column = (1, rows) if self.trans_a else (k, 1)
        at_c = None if c is None else In(2)
        ordinary = [In(0), matrix, Out(0), at_c, table]
        tail_n, tail_f, extra = encode(self.epilogue, m, len(ordinary), 3, max(0, len(ins) - 3))
        sizes = [count, rows, n, k, a_row, a_column, n, d_row, d_column, 0, 0, 0, 0, *tail_n]
        calls.append(Call(f"{p}_gemm", [*ordinary, *extra], sizes, (self.alpha, self.beta, *tail_f),
                          scratch=m.module("gemm").SCRATCH[p], work=count * rows * k * n))
        return calls

    @staticmethod
    def _table(batch, batch_a, batch_b, rows: int, k: int, n: int, panels: int) -> np.ndarray:
        """Offsets of A, B, C and D for each item of the broadcast batch, in elements."""

        def offsets(own, size: int) -> np.ndarray:
            index = np.arange(prod(own), dtype=np.int64).reshape(own) * size
            return np.broadcast_to(index, batch).ravel()

        every = np.arange(prod(batch), dtype=np.int64)
        return np.stack([offsets(batch_a, rows * k), offsets(batch_b, panels), every * rows * n, 0 * every], axis=1)

    def python(self, a, b, c=None, *extra):
        dtype, row, column = a.dtype, a.ndim == 1, b.ndim == 1
        a = a[None] if a.ndim == 1 else a.swapaxes(-1, -2) if self.trans_a else a
        b = b[:, None] if b.ndim == 1 else b.swapaxes(-1, -2) if self.trans_b else b
        y = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), dtype)
        step_k = max(1, (1 << 22) // max(1, y.size))
        for k in range(0, a.shape[-1], step_k):  # blocks of K, so that the products fit in memory
            y += (a[..., :, k : k + step_k, None] * b[..., None, k : k + step_k, :]).sum(axis=-2, dtype=dtype)
        y = y[..., 0] if column else y
        y = (y[..., 0] if column else y[..., 0, :]) if row else y
        y = y if self.alpha == 1.0 else (self.alpha * y).astype(dtype)
        return y if c is None else (y + (c if self.beta == 1.0 else self.beta * c)).astype(dtype)

    def cost(self, ins, outs):
        _, mk, _, _, _, _ = self.matrices(ins[0], ins[1])
        return float(outs[0].size) * float(mk[1]) if outs[0].known and not isinstance(mk[1], Dim) else 0.0

    @property
    def title(self) -> str:
        return "".join(["MatMul", *("+" + s.kind for s in self.epilogue)])


def integer_gemm(kernel: str, matrices, extra: Sequence = (), steps: Sequence[int] = (), scratch=32768) -> Call:
    """A product of inputs 0 and 1 by a kernel of gemm_int.pyx; matrices: what MatMul.matrices says of them.

    extra, steps: the zero points and how they advance.
    """
    batch_a, (rows, k), batch_b, (_, n), _, _ = matrices
    batch = np.broadcast_shapes(batch_a, batch_b)
    count, table = prod(batch), None
    if prod(batch_b) == 1 and not any(steps):
        rows, count = rows * count, 1
    elif count > 1:
        table = np.ascontiguousarray(MatMul._table(batch, batch_a, batch_b, rows, k, n, k * n)[:, :3])
    return Call(f"{kernel}_gemm", (In(0), In(1), Out(0), table, *extra),
                (count, rows, n, k, k, n, n, 0, 0, 0, *steps), scratch=scratch, work=count * rows * n * k)


@onnx("MatMul", since=1)
def matmul(b, a, w):
    """ONNX MatMul, all versions."""
    return in_float32(b, MatMul(), a, w)


@onnx("Gemm", since=1)
def gemm(b, a, w, c, *, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=0):
    """ONNX Gemm 1 and 6: C is required."""
    return gemm_7(b, a, w, c, alpha=alpha, beta=beta, transA=transA, transB=transB)


@onnx("Gemm", since=7)
def gemm_7(b, a, w, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0):
    """ONNX Gemm from version 7 on: C broadcasts to the product, and is optional from 11 on."""
    for name, v in (("A", a), ("B", w)):
        if v.fact.shape is not None and v.fact.rank != 2:
            raise ModelError(f"Gemm needs matrices, {name} has shape {list(v.fact.dims)}")
    beta = 1.0 if c is None else beta
    return in_float32(b, MatMul(alpha, beta, bool(transA), bool(transB)), a, w, c)


__all__: Sequence[str] = ("MatMul", "PackB")
