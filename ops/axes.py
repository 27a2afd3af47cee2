"""Axes and broadcasting: the checks that many operators share."""

from __future__ import annotations

from collections.abc import Sequence

from cynfer.ops.dim import DimLike
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact


def axis_of(axis: int, rank: int, name: str = "axis") -> int:
    """`axis` counted from the front; raises ModelError outside -rank to rank - 1."""
    if not -rank <= axis < rank:
        allowed = f"{-rank} to {rank - 1}" if rank else "a scalar, which has none"
        raise ModelError(f"{name} {axis} is outside {allowed}")
    return axis + rank if axis < 0 else axis


def axes_of(axes: Sequence[int], rank: int, name: str = "axes") -> tuple[int, ...]:
    """Each axis counted from the front; raises ModelError for one outside the range or named twice."""
    found = tuple(axis_of(a, rank, name) for a in axes)
    if len(set(found)) != len(found):
        raise ModelError(f"{name} {list(axes)} name an axis twice")
    return found


def ints_of(fact: Fact | None) -> list[int] | None:
    """The content of an integer tensor if all of it is known, else None."""
    values = None if fact is None else fact.ints()
    if values is None:
        return None
    numbers = [v for v in values if isinstance(v, int)]
    return numbers if len(numbers) == len(values) else None


def length_of(fact: Fact) -> DimLike:
    """How many elements a list given as a tensor has (a scalar counts as one)."""
    return fact.dims[0] if fact.rank else 1


def strides_of(shape: Sequence[int], item: int) -> list[int]:
    """Strides in bytes of a contiguous array."""
    strides = [item] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return strides


def check_indices(indices, size: int, axis: int | None = None) -> None:
    """Raises KernelError for the first index outside -size to size - 1."""
    if not indices.size:
        return
    low, high = int(indices.min()), int(indices.max())
    if low < -size or high >= size:
        flat = indices.reshape(-1)
        where = int(((flat < -size) | (flat >= size)).argmax())
        of = "" if axis is None else f" of axis {axis}"
        raise KernelError(f"index {int(flat[where])} at position {where} is outside {-size} to {size - 1}{of}")
