"""GridSample, and reading images between their pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from cynfer.ops.broadcast import wide, widen
from cynfer.ops.dtypes import DOUBLE, STRING, is_float
from cynfer.ops.errors import ModelError, show
from cynfer.ops.op import Op, onnx

MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


class GridSample(Op):
    """x [N, C, space...] read where the grid [N, out..., axes] says: coordinates -1 to 1, the last axis first."""

    mode: str
    padding: str
    align_corners: bool

    def shapes(self, x, grid):
        if x.rank < 3 or grid.rank != x.rank:
            raise ModelError(f"X has rank {x.rank} and the grid {grid.rank}, both need the same, at least 3")
        axes = grid.dims[-1]
        if isinstance(axes, int) and axes != x.rank - 2:
            raise ModelError(f"the grid's last axis has {axes} elements, X has {x.rank - 2} spatial axes")
        if isinstance(x.dims[0], int) and isinstance(grid.dims[0], int) and x.dims[0] != grid.dims[0]:
            raise ModelError(f"X has {x.dims[0]} images, the grid {grid.dims[0]}")
        return [(*x.dims[:2], *grid.dims[1:-1])]

    def python(self, x, grid):
        sizes, out = x.shape[2:], (*x.shape[:2], *grid.shape[1:-1])
        if 0 in out:
            return np.zeros(out, x.dtype)
        if 0 in sizes:
            return np.full(out, "" if x.dtype == STRING else 0, x.dtype)
        kind = DOUBLE if DOUBLE in (grid.dtype, x.dtype) else wide(grid.dtype)
        places = []
        for i, size in enumerate(sizes):
            at = grid[..., len(sizes) - 1 - i].astype(kind).reshape(grid.shape[0], -1)
            at = (at + 1) / 2 * (size - 1) if self.align_corners else ((at + 1) * size - 1) / 2
            if self.mode == "nearest":
                at = np.rint(at)
            places.append(self._inside(at, size))
        return self._read(x, places).reshape(out)

    def _inside(self, at: np.ndarray, size: int) -> np.ndarray:
        """Positions outside brought in as the padding says (of "zeros": only so near that they fit an integer)."""
        at = np.where(np.isfinite(at), at, -2 if self.padding == "zeros" else 0)
        low, high = (0, size - 1) if self.align_corners else (-0.5, size - 0.5)
        if self.padding == "border" and self.mode != "cubic":  # as PyTorch and onnxruntime: there only the pixels
            return np.where((at < low) | (at > high), np.clip(at, 0, size - 1), at)
        return _reflect(at, low, high) if self.padding == "reflection" else np.clip(at, -4, size + 4)

    def _read(self, x: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
        sizes, flat = x.shape[2:], x.reshape(*x.shape[:2], -1)
        taps = [self._taps(at) for at in places]
        total = None
        for corner in itertools.product(*(range(len(t)) for t in taps)):
            index, weight, valid = np.zeros(places[0].shape, np.int64), None, np.ones(places[0].shape, bool)
            for size, axis_taps, k in zip(sizes, taps, corner, strict=True):
                at, w = axis_taps[k]
                weight = w if weight is None or w is None else weight * w
                if self.padding == "zeros":
                    valid &= (at >= 0) & (at < size)
                elif self.padding == "reflection":
                    low, high = (0.0, size - 1.0) if self.align_corners else (-0.5, size - 0.5)
                    at = _reflect(at.astype(DOUBLE), low, high)
                index = index * size + np.clip(at, 0, size - 1).astype(np.int64)
            values = np.take_along_axis(flat, index[:, None], 2)
            if weight is None:
                return np.where(valid[:, None], values, np.array("" if x.dtype == STRING else 0, x.dtype))
            values = np.where(valid[:, None], widen(values)[0], 0) * weight[:, None]
            total = values if total is None else total + values
        assert total is not None  # there is one corner at least
        return total.astype(x.dtype)

    def _taps(self, at: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """(index, weight) of each pixel along an axis that a position reads; weight None: the pixel itself."""
        if self.mode == "nearest":
            return [(at.astype(np.int64), None)]
        first = np.floor(at).astype(np.int64)
        t = at - first
        if self.mode == "linear":
            return [(first, 1 - t), (first + 1, t)]
        return [(first + k - 1, _cubic(np.abs(t - (k - 1)))) for k in range(4)]


def _cubic(d: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel at a distance of 0 to 2."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    return np.where(d <= 1, near, a * (((d - 5) * d + 8) * d - 4)).astype(d.dtype)


def _reflect(at: np.ndarray, low: float, high: float) -> np.ndarray:
    """Positions folded back at both borders until they are inside; all at `low` where there is no room."""
    room = high - low
    if room <= 0:
        return np.full_like(at, low)
    over = np.abs(at - low) % (2 * room)
    return np.where((at >= low) & (at <= high), at, low + np.minimum(over, 2 * room - over)).astype(at.dtype)


@onnx("GridSample", since=20)
def grid_sample(b, x, grid, *, align_corners=0, mode="linear", padding_mode="zeros"):
    """ONNX GridSample from version 20 on: any number of spatial axes."""
    for name, value, allowed in (("mode", mode, MODES), ("padding_mode", padding_mode, PADDINGS)):
        if value not in allowed:
            raise ModelError(f"{name} is {show(value)}, expected one of {', '.join(allowed)}")
    if mode != "nearest" and not (is_float(x.fact.dtype) or x.fact.dtype.kind in "iu"):
        raise ModelError(f"mode {mode} cannot mix elements of type {x.fact.type_name()}")
    return b.emit(GridSample(mode, padding_mode, bool(align_corners)), x, grid)


@onnx("GridSample", since=16)
def grid_sample_16(b, x, grid, *, align_corners=0, mode="bilinear", padding_mode="zeros"):
    """The modes have names for two axes."""
    names = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
    if mode not in names:
        raise ModelError(f"mode is {show(mode)}, expected one of {', '.join(names)}")
    return grid_sample(b, x, grid, align_corners=align_corners, mode=names[mode], padding_mode=padding_mode)
