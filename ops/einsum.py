"""Einsum: a chain of products of two, each a batched matrix product.

Every label of a product belongs to one of four groups: batch (in both operands and kept), rows (only in the left one),
columns (only in the right one), and inner (in both, not kept). Operands are taken from left to right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cynfer.ops.binary import Binary
from cynfer.ops.dim import product
from cynfer.ops.dtypes import INT64
from cynfer.ops.errors import ModelError, UnsupportedError, show
from cynfer.ops.fact import Fact
from cynfer.ops.half import in_float32
from cynfer.ops.matmul import MatMul
from cynfer.ops.move import Transpose
from cynfer.ops.op import Op, onnx
from cynfer.ops.reduce import Reduce
from cynfer.ops.shape import Unsqueeze


class Diagonal(Op):
    """Axes of equal labels become one, where the first of them stood."""

    labels: tuple[str, ...]

    def shapes(self, x):
        dims = {}
        for label, d in zip(self.labels, x.dims, strict=True):
            if isinstance(d, int) and isinstance(dims.setdefault(label, d), int) and dims[label] != d:
                raise ModelError(f"label {label!r} stands for {dims[label]} and {d} in one operand")
        return [tuple(dims.values())]

    def python(self, x):
        strides: dict[str, int] = {}
        for label, s in zip(self.labels, x.strides, strict=True):
            strides[label] = strides.get(label, 0) + s
        shape = self.shapes(Fact(x.dtype, x.shape))[0]
        return np.lib.stride_tricks.as_strided(x, shape, tuple(strides.values()), writeable=False)


class Fold(Op):
    """Neighbouring axes joined: sizes says how many go into each axis of the output (0: a new axis of size 1)."""

    sizes: tuple[int, ...]
    view: ClassVar[bool] = True

    def shapes(self, x):
        dims, at = [], 0
        for n in self.sizes:
            dims.append(product(x.dims[at : at + n]))
            at += n
        return [dims]

    def python(self, x):
        return x.reshape([int(d) for d in self.shapes(Fact(x.dtype, x.shape))[0]])


class Unfold(Op):
    """The last two axes of input 0 as axes `rows` (first, count) of input 1 and `columns` of input 2."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    view: ClassVar[bool] = True

    def shapes(self, y, a, c):
        parts = [f.dims[first : first + n] for f, (first, n) in ((a, self.rows), (c, self.columns))]
        return [(*y.dims[:-2], *parts[0], *parts[1])]

    def python(self, y, a, c):
        return y.reshape([int(d) for d in self.shapes(*(Fact(v.dtype, v.shape) for v in (y, a, c)))[0]])


def parse(equation: str, ranks: Sequence[int | None]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Labels of each operand and of the output; the axes of an ellipsis are numbered labels, from the right.

    ranks: None for an operand whose rank is not known. Raises ModelError for an equation that does not fit.
    """
    shown = f"equation {show(equation)}"
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ModelError(f"{shown} has {len(terms)} operands, the node {len(ranks)}")
    most, operands = 0, []
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        letters = _letters(term, shown)
        if rank is None:
            if "..." in letters:
                raise UnsupportedError(f"{shown}: an ellipsis needs operand {i} to have a known rank")
            rank = len(letters)
        missing = rank - (len(letters) - letters.count("..."))
        if missing < 0 or (missing and "..." not in letters):
            raise ModelError(f"{shown}: {show(term)} does not fit operand {i} of rank {rank}")
        most = max(most, missing)
        operands.append(_expand(letters, missing))
    if arrow:
        letters = _letters(right, shown)
        output = _expand(letters, most if "..." in letters else 0)
    else:
        every = [label for term in operands for label in term]
        output = (*_expand(["..."], most), *sorted(v for v in set(every) if every.count(v) == 1 and v.isalpha()))
    known = {label for term in operands for label in term}
    for label in output:
        if label not in known or output.count(label) > 1:
            raise ModelError(f"{shown}: output label {label!r} is unknown or stands there twice")
    return operands, output


def _letters(term: str, shown: str) -> list[str]:
    letters = list(term.replace("...", "."))
    if letters.count(".") > 1 or not all(c == "." or (c.isascii() and c.isalpha()) for c in letters):
        raise ModelError(f"{shown}: {show(term)} may have letters and one ellipsis")
    return ["..." if c == "." else c for c in letters]


def _expand(letters: Sequence[str], count: int) -> tuple[str, ...]:
    dots = [str(i) for i in range(count - 1, -1, -1)]
    return tuple(v for letter in letters for v in (dots if letter == "..." else [letter]))


def _reduced(b, x, labels: tuple[str, ...], keep) -> tuple:
    """(value, labels) with repeated labels joined and those that `keep` does not hold summed."""
    if len(set(labels)) < len(labels):
        x, labels = b.emit(Diagonal(labels), x), tuple(dict.fromkeys(labels))
    gone = tuple(i for i, v in enumerate(labels) if v not in keep)
    if gone:
        x = in_float32(b, Reduce("sum", gone, False), x)
    return x, tuple(v for v in labels if v in keep)


def _ordered(b, x, labels: Sequence[str], order: Sequence[str]):
    perm = tuple(labels.index(v) for v in order)
    return x if perm == tuple(range(len(perm))) else b.emit(Transpose(perm), x)


def _sizes(x, labels: Sequence[str]) -> dict:
    return {} if x.fact.shape is None else dict(zip(labels, x.fact.dims, strict=True))


def _pair(b, x, lx: tuple[str, ...], y, ly: tuple[str, ...], keep) -> tuple:
    """The product of two operands, as (value, labels)."""
    sx, sy = _sizes(x, lx), _sizes(y, ly)
    for label in set(lx) & set(ly):
        dx, dy = sx.get(label), sy.get(label)
        if isinstance(dx, int) and isinstance(dy, int) and dx != dy and 1 not in (dx, dy):
            raise ModelError(f"label {label!r} stands for {dx} and {dy}")
    # a size of 1 that broadcasts is as good as no axis at all
    x, lx = _reduced(b, x, lx, {v for v in lx if (v in keep or v in ly) and not (
        sx.get(v) == 1 and v in ly and sy.get(v) != 1)})
    y, ly = _reduced(b, y, ly, {v for v in ly if (v in keep or v in lx) and not (
        sy.get(v) == 1 and v in lx and sx.get(v) != 1)})
    batch = [v for v in lx if v in ly and v in keep]
    inner = [v for v in lx if v in ly and v not in keep]
    rows, columns = [v for v in lx if v not in ly], [v for v in ly if v not in lx]
    labels = (*batch, *rows, *columns)
    if not inner:
        x, y = _ordered(b, x, lx, (*batch, *rows)), _ordered(b, y, ly, (*batch, *columns))
        x, y = _widened(b, x, len(batch) + len(rows), len(columns)), _widened(b, y, len(batch), len(rows))
        return in_float32(b, Binary("mul"), x, y), labels
    x, y = _ordered(b, x, lx, (*batch, *rows, *inner)), _ordered(b, y, ly, (*batch, *inner, *columns))
    one = (1,) * len(batch)
    z = in_float32(b, MatMul(), b.emit(Fold((*one, len(rows), len(inner))), x),
                   b.emit(Fold((*one, len(inner), len(columns))), y))
    if len(rows) != 1 or len(columns) != 1:
        z = b.emit(Unfold((len(batch), len(rows)), (len(batch) + len(inner), len(columns))), z, x, y)
    return z, labels


def _widened(b, x, first: int, count: int):
    return x if not count else b.emit(Unsqueeze(), x, b.const(range(first, first + count), INT64))


@onnx("Einsum", since=12)
def einsum(b, *inputs, equation):
    """ONNX Einsum, all versions."""
    terms, output = parse(equation, [None if v.fact.shape is None else v.fact.rank for v in inputs])
    x, labels = inputs[0], terms[0]
    for i, (y, ly) in enumerate(zip(inputs[1:], terms[1:], strict=True), 1):
        keep = {*output, *(v for term in terms[i + 1 :] for v in term)}
        x, labels = _pair(b, x, labels, y, ly, keep)
    x, labels = _reduced(b, x, labels, set(output))
    return _ordered(b, x, labels, output)
