"""Pooling over regions of interest: RoiAlign, MaxRoiPool."""

from __future__ import annotations

import numpy as np

from cynfer.ops.axes import check_indices
from cynfer.ops.broadcast import widen
from cynfer.ops.errors import KernelError, ModelError, show
from cynfer.ops.fact import Fact
from cynfer.ops.op import Op, onnx

#: Elements that are read at a time.
_PIECE = 1 << 22
#: Samples along one axis of a bin.
_MOST_SAMPLES = 1 << 14


def _check(x: Fact, rois: Fact, columns: int) -> None:
    if x.rank != 4:
        raise ModelError(f"X has shape {list(x.dims)}, four dimensions are needed")
    if rois.rank != 2 or (isinstance(rois.dims[1], int) and rois.dims[1] != columns):
        raise ModelError(f"rois has shape {list(rois.dims)}, expected [regions, {columns}]")


def _images(index: np.ndarray, images: int) -> np.ndarray:
    index = index.reshape(-1)
    if index.size and index.min() < 0:
        raise KernelError(f"region {int((index < 0).argmax())} is of image {int(index.min())}, outside 0 to "
                          f"{images - 1}")
    check_indices(index, images)
    return index


class RoiAlign(Op):
    """Means (or maxima) of bilinear samples in each bin. samples: an axis of a bin; 0: about one for each pixel.

    maximum: of the four weighted pixels of every sample, as the standard's reference has it.
    """

    size: tuple[int, int]
    samples: int
    scale: float
    half_pixel: bool
    maximum: bool

    def shapes(self, x, rois, images):
        _check(x, rois, 4)
        return [(rois.dims[0], x.dims[1], *self.size)]

    def python(self, x, rois, images):
        dtype, (wide_x, wide_rois) = x.dtype, widen(x, rois)
        images = _images(images, x.shape[0])
        y = np.zeros((rois.shape[0], x.shape[1], *self.size), wide_x.dtype)
        if not y.size or not x.size:
            return y.astype(dtype)
        corners = wide_rois * wide_rois.dtype.type(self.scale) - wide_rois.dtype.type(0.5 if self.half_pixel else 0)
        if not np.isfinite(corners).all():
            raise KernelError(f"region {int((~np.isfinite(corners)).any(1).argmax())} is not finite")
        starts, extents = corners[:, 1::-1], corners[:, 3:1:-1] - corners[:, 1::-1]  # rows, columns
        if not self.half_pixel:
            extents = np.maximum(extents, 1)
        bins = extents / np.array(self.size, extents.dtype)
        counts = np.full(bins.shape, self.samples) if self.samples else np.ceil(bins)
        if counts.max() > _MOST_SAMPLES:
            raise KernelError(f"region {int(counts.max(1).argmax())} needs {counts.max():.0f} samples along an axis of "
                              f"a bin, at most {_MOST_SAMPLES} are allowed")
        counts = np.maximum(counts, 0).astype(np.int64)
        for count in np.unique(counts, axis=0):
            if not count.all():
                continue  # no samples: 0
            members = np.flatnonzero((counts == count).all(1))
            each = int(x.shape[1] * np.prod(self.size) * np.prod(count))
            step = max(1, _PIECE // each)
            for i in range(0, len(members), step):
                some = members[i : i + step]
                y[some] = self._pool(wide_x, images[some], starts[some], bins[some], count)
        return y.astype(dtype)

    def _pool(self, x, images, starts, bins, count):
        """The bins of regions that all have `count` samples."""
        taps = []
        for axis in range(2):
            size, n = x.shape[2 + axis], int(count[axis])
            at = np.arange(self.size[axis])[:, None] + (np.arange(n) + 0.5) / n
            at = starts[:, axis, None] + at.reshape(-1).astype(bins.dtype) * bins[:, axis, None]
            inside = (at >= -1) & (at <= size)
            at = np.clip(at, 0, size - 1)
            low = np.floor(at).astype(np.int64)
            high = np.minimum(low + 1, size - 1)
            upper = at - low
            taps.append(((low, (1 - upper) * inside), (high, upper * inside)))
        products = []
        for rows, row_weight in taps[0]:
            for columns, column_weight in taps[1]:
                values = x[images[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # region, row, column, C
                products.append(values * (row_weight[:, :, None] * column_weight[:, None, :])[..., None])
        join = np.maximum if self.maximum else np.add
        samples = join(join(products[0], products[1]), join(products[2], products[3]))
        shape = (len(images), self.size[0], count[0], self.size[1], count[1], x.shape[1])
        pool = np.max if self.maximum else np.mean
        return pool(samples.reshape(shape), (2, 4)).transpose(0, 3, 1, 2)


def _sizes(values, name: str) -> tuple[int, int]:
    if len(values) != 2 or min(values) < 1:
        raise ModelError(f"{name} is {list(values)}, two numbers from 1 on are needed")
    return values[0], values[1]


@onnx("RoiAlign", since=16)
def roi_align(b, x, rois, batch_indices, *, coordinate_transformation_mode="half_pixel", mode="avg", output_height=1,
              output_width=1, sampling_ratio=0, spatial_scale=1.0):
    """ONNX RoiAlign from version 16 on."""
    shifts = {"half_pixel": True, "output_half_pixel": False}
    if coordinate_transformation_mode not in shifts:
        raise ModelError(f"coordinate_transformation_mode is {show(coordinate_transformation_mode)}, expected one of "
                         f"{', '.join(shifts)}")
    if mode not in ("avg", "max"):
        raise ModelError(f"mode is {show(mode)}, expected avg or max")
    if not 0 <= sampling_ratio <= _MOST_SAMPLES:
        raise ModelError(f"sampling_ratio is {sampling_ratio}, outside 0 to {_MOST_SAMPLES}")
    size = _sizes((output_height, output_width), "the output size")
    return b.emit(RoiAlign(size, sampling_ratio, spatial_scale, shifts[coordinate_transformation_mode], mode == "max"),
                  x, rois, batch_indices)


@onnx("RoiAlign", since=10)
def roi_align_10(b, x, rois, batch_indices, *, mode="avg", output_height=1, output_width=1, sampling_ratio=0,
                 spatial_scale=1.0):
    """Without a shift by half a pixel."""
    return roi_align(b, x, rois, batch_indices, coordinate_transformation_mode="output_half_pixel", mode=mode,
                     output_height=output_height, output_width=output_width, sampling_ratio=sampling_ratio,
                     spatial_scale=spatial_scale)


class MaxRoiPool(Op):
    """Maxima over the bins of regions (image, x1, y1, x2, y2), whose corners are rounded to pixels; 0 over none."""

    size: tuple[int, int]
    scale: float

    def shapes(self, x, rois):
        _check(x, rois, 5)
        return [(rois.dims[0], x.dims[1], *self.size)]

    def python(self, x, rois):
        dtype, (x, rois) = x.dtype, widen(x, rois)
        if not np.isfinite(rois).all():
            raise KernelError(f"region {int((~np.isfinite(rois)).any(1).argmax())} is not finite")
        images = _images(rois[:, 0].astype(np.int64), x.shape[0])
        y = np.zeros((rois.shape[0], x.shape[1], *self.size), x.dtype)
        # halves are rounded away from zero
        scaled = rois[:, 1:] * rois.dtype.type(self.scale)
        corners = np.clip(np.trunc(scaled + np.copysign(0.5, scaled)), -(2**40), 2**40).astype(np.int64)
        edges = []
        for axis in range(2):
            first, last = corners[:, 1 - axis], corners[:, 3 - axis]
            width = np.maximum(last - first + 1, 1)[:, None] / self.size[axis]
            at = np.arange(self.size[axis])
            ends = [np.clip(f(w * width).astype(np.int64) + first[:, None], 0, x.shape[2 + axis])
                    for f, w in ((np.floor, at), (np.ceil, at + 1))]
            edges.append(ends)
        rows, columns = (np.stack(e, -1).reshape(len(rois), -1) for e in edges)
        padded = np.pad(x, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=-np.inf)  # an end may be the size
        for i, image in enumerate(images):
            found = np.maximum.reduceat(padded[image], rows[i], 1)[:, ::2]
            y[i] = np.maximum.reduceat(found, columns[i], 2)[:, :, ::2]
        filled = [(e[0] < e[1]) for e in edges]
        return np.where(filled[0][:, None, :, None] & filled[1][:, None, None, :], y, 0).astype(dtype)


@onnx("MaxRoiPool", since=1)
def max_roi_pool(b, x, rois, *, pooled_shape, spatial_scale=1.0):
    """ONNX MaxRoiPool, all versions."""
    return b.emit(MaxRoiPool(_sizes(tuple(pooled_shape), "pooled_shape"), spatial_scale), x, rois)
