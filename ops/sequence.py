"""Sequences of tensors: Python lists at run time, their elements never changed once they are in one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axis_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError, UnsupportedError
from cynfer.ops.fact import Fact, UnknownRank, either
from cynfer.ops.op import Op, onnx

_POSITIONS = (np.dtype(np.int32), dtypes.INT64)


def element(fact: Fact, name: str = "input_sequence") -> Fact:
    """The fact of a sequence's elements; raises ModelError for anything else."""
    if fact.kind != "sequence":
        raise ModelError(f"{name} is {fact.type_name()}; a sequence is needed")
    return fact.inner


def _tensor(fact: Fact, name: str) -> Fact:
    if fact.kind != "tensor":
        raise ModelError(f"{name} is {fact.type_name()}; a tensor is needed")
    return fact.without_value()


def _check_position(fact: Fact | None) -> None:
    if fact is None:
        return
    if _tensor(fact, "position").dtype not in _POSITIONS:
        raise ModelError(f"position is {fact.type_name()}; tensor(int32) or tensor(int64) is needed")
    if fact.known and fact.size != 1:
        raise ModelError(f"position has {fact.size} elements; 1 is needed")


def _place(position: np.ndarray, n: int, more: int = 0) -> int:
    """The position counted from the front, for a list of n elements; more: 1 where the end is a place, too."""
    if position.size != 1:
        raise KernelError(f"position has {position.size} elements; 1 is needed")
    at = int(position.reshape(-1)[0])
    if not -n <= at < n + more:
        allowed = f"outside {-n} to {n + more - 1}" if n + more else "given, but the sequence is empty"
        raise KernelError(f"position {at} is {allowed}")
    return at + n if at < 0 else at


class SequenceConstruct(Op):
    """A sequence of the inputs."""

    def facts(self, *ins):
        elem = _tensor(ins[0], "input 0")
        for i, fact in enumerate(ins[1:], 1):
            elem = either(elem, _tensor(fact, f"input {i}"), f"inputs 0 and {i} differ")
        return (Fact.sequence(elem),)

    def python(self, *arrays):
        return [np.array(x) for x in arrays]  # copies: inputs may lie in the arena


@onnx("SequenceConstruct", since=11)
def sequence_construct(b, first, *others):
    """ONNX SequenceConstruct."""
    return b.emit(SequenceConstruct(), first, *others)


class SequenceEmpty(Op):
    """A sequence without elements."""

    dtype: np.dtype

    def facts(self):
        return (Fact.sequence(Fact(self.dtype, None)),)

    def python(self):
        return []


@onnx("SequenceEmpty", since=11)
def sequence_empty(b, *, dtype=1):
    """dtype: an ONNX type number."""
    try:
        return b.emit(SequenceEmpty(dtypes.from_onnx(dtype)))
    except (KeyError, AttributeError):
        raise UnsupportedError(f"dtype is {dtype}; known are 1 to 28") from None


class SequenceInsert(Op):
    """The sequence with a tensor put before a position, or at its end."""

    objects: ClassVar[bool] = True

    def facts(self, sequence, tensor, position=None):
        _check_position(position)
        return (Fact.sequence(either(element(sequence), _tensor(tensor, "tensor"),
                                     "the sequence's elements and the tensor differ")),)

    def python(self, sequence, tensor, position=None):
        at = len(sequence) if position is None else _place(position, len(sequence), 1)
        return [*sequence[:at], np.array(tensor), *sequence[at:]]


@onnx("SequenceInsert", since=11)
def sequence_insert(b, input_sequence, tensor, position=None):
    """ONNX SequenceInsert."""
    return b.emit(SequenceInsert(), input_sequence, tensor, position)


class SequenceErase(Op):
    """The sequence less the element at a position, or less the last one."""

    objects: ClassVar[bool] = True

    def facts(self, sequence, position=None):
        _check_position(position)
        return (Fact.sequence(element(sequence)),)

    def python(self, sequence, position=None):
        at = _place(np.array(-1) if position is None else position, len(sequence))
        return [*sequence[:at], *sequence[at + 1:]]


@onnx("SequenceErase", since=11)
def sequence_erase(b, input_sequence, position=None):
    """ONNX SequenceErase."""
    return b.emit(SequenceErase(), input_sequence, position)


class SequenceAt(Op):
    """The element at a position."""

    objects: ClassVar[bool] = True

    def facts(self, sequence, position):
        _check_position(position)
        return (element(sequence),)

    def python(self, sequence, position):
        return sequence[_place(position, len(sequence))]


@onnx("SequenceAt", since=11)
def sequence_at(b, input_sequence, position):
    """ONNX SequenceAt."""
    return b.emit(SequenceAt(), input_sequence, position)


class SequenceLength(Op):
    """How many elements there are."""

    objects: ClassVar[bool] = True

    def facts(self, sequence):
        element(sequence)
        return (Fact(dtypes.INT64, ()),)

    def python(self, sequence):
        return np.array(len(sequence), np.int64)


@onnx("SequenceLength", since=11)
def sequence_length(b, input_sequence):
    """ONNX SequenceLength."""
    return b.emit(SequenceLength(), input_sequence)


class SplitToSequence(Op):
    """Parts of x along an axis: of the size or sizes that the second input gives, else one slice after another.

    keepdims: whether those slices keep the axis.
    """

    axis: int = 0
    keepdims: bool = True

    def facts(self, x, split=None):
        if split is not None and not dtypes.is_integer(split.dtype):
            raise ModelError(f"split is {split.type_name()}; integers are needed")
        if split is not None and split.shape is not None and split.rank > 1:
            raise ModelError(f"split has {split.rank} dimensions; 0 or 1 are allowed")
        if x.shape is None:
            return (Fact.sequence(Fact(x.dtype, None)),)
        axis = axis_of(self.axis, x.rank)
        part = [] if split is None and not self.keepdims else [1 if split is None else Dim.unknown()]
        return (Fact.sequence(Fact(x.dtype, (*x.dims[:axis], *part, *x.dims[axis + 1:]))),)

    def python(self, x, split=None):
        axis = axis_of(self.axis, x.ndim)
        n = x.shape[axis]
        if split is None:
            if not self.keepdims:
                return [np.array(x[(slice(None),) * axis + (i,)]) for i in range(n)]
            ends = range(1, n + 1)
        elif split.ndim == 0:
            if split < 1:
                raise KernelError(f"split is {int(split)}; 1 or more is needed")
            ends = [*range(int(split), n, int(split)), *([n] if n else [])]
        else:
            if split.size and int(split.min()) < 0:
                raise KernelError(f"split has {int(split.min())} at position {int(split.argmin())}; 0 or more is "
                                  "needed")
            if sum(split.tolist()) != n:
                raise KernelError(f"the sizes in split add up to {sum(split.tolist())}, axis {axis} has {n}")
            ends = np.cumsum(split).tolist()
        return [np.array(x[(slice(None),) * axis + (slice(start, end),)])
                for start, end in zip([0, *ends], ends, strict=False)]


@onnx("SplitToSequence", since=11)
def split_to_sequence(b, x, split=None, *, axis=0, keepdims=1):
    """ONNX SplitToSequence, all versions; keepdims counts only without split."""
    return b.emit(SplitToSequence(axis, bool(keepdims)), x, split)


class ConcatFromSequence(Op):
    """The elements joined along an axis, a new one if asked for."""

    axis: int
    new: bool = False
    objects: ClassVar[bool] = True

    def facts(self, sequence):
        elem = element(sequence)
        try:
            return (Fact(elem.dtype, tuple(self._dims(elem.dims))),)
        except UnknownRank:
            return (Fact(elem.dtype, None),)

    def _dims(self, dims):
        axis = axis_of(self.axis, len(dims) + self.new)
        return [*dims[:axis], Dim.unknown(), *dims[axis + 1 - self.new:]]

    def python(self, sequence):
        if not sequence:
            raise KernelError("the sequence is empty; at least 1 element is needed")
        axis = axis_of(self.axis, sequence[0].ndim + self.new)
        first = sequence[0].shape
        for i, x in enumerate(sequence):
            same = x.shape == first if self.new else \
                (*x.shape[:axis], *x.shape[axis + 1:]) == (*first[:axis], *first[axis + 1:]) and x.ndim == len(first)
            if not same:
                raise KernelError(f"element {i} has shape {list(x.shape)}, which cannot be joined to {list(first)} "
                                  f"along {'a new ' if self.new else ''}axis {axis}")
        return np.stack(sequence, axis) if self.new else np.concatenate(sequence, axis)


@onnx("ConcatFromSequence", since=11)
def concat_from_sequence(b, input_sequence, *, axis, new_axis=0):
    """ONNX ConcatFromSequence."""
    if new_axis not in (0, 1):
        raise ModelError(f"new_axis is {new_axis}; 0 or 1 is allowed")
    return b.emit(ConcatFromSequence(axis, bool(new_axis)), input_sequence)


__all__ = ["ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
           "SequenceInsert", "SequenceLength", "SplitToSequence", "element"]
