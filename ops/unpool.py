"""The opposites of cutting images into columns and of max pooling: Col2Im, MaxUnpool."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np

from cynfer.ops.axes import ints_of, length_of
from cynfer.ops.broadcast import widen
from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import STRING
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact, UnknownRank
from cynfer.ops.op import Op, onnx
from cynfer.ops.window import Window


class Col2Im(Op):
    """Blocks [N, C * block, positions] added into images [N, C, image]. Inputs 1 and 2: image and block shape."""

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    shape_inputs: ClassVar[tuple[int, ...]] = (1, 2)

    def shapes(self, x, image, block):
        if x.rank != 3:
            raise ModelError(f"the input has shape {list(x.dims)}, three dimensions are needed")
        sizes, taps = ints_of(image), ints_of(block)
        if sizes is None:
            n = length_of(image)
            if isinstance(n, Dim):
                raise UnknownRank
            return [(x.dims[0], *(Dim.unknown() for _ in range(n + 1)))]
        if taps is None:
            return [(x.dims[0], Dim.unknown(), *sizes)]
        if len(sizes) != len(taps) or min(sizes, default=0) < 1:
            raise ModelError(f"image_shape is {sizes}, block_shape {taps}: both need as many numbers, from 1 on")
        positions = self._window(taps).output(sizes)
        rows, count = x.dims[1:]
        if isinstance(rows, int) and rows % prod(taps):
            raise ModelError(f"the input has {rows} rows, which blocks of {taps} do not divide")
        if isinstance(count, int) and count != prod(positions):
            raise ModelError(f"the input has {count} positions, blocks {taps} have {list(positions)} in an image of "
                             f"{sizes}")
        return [(x.dims[0], rows // prod(taps), *sizes)]

    def _window(self, taps) -> Window:
        return Window.of(taps, self.strides, self.dilations, self.pads)

    def python(self, x, image, block):
        sizes, taps = [int(v) for v in image], [int(v) for v in block]
        n, channels, *_ = self.shapes(Fact(x.dtype, x.shape), Fact.of(image), Fact.of(block))[0]
        window, dtype, (x,) = self._window(taps), x.dtype, widen(x)
        rank, pads, positions = len(taps), window.padding(sizes), window.output(sizes)
        blocks = x.reshape(n, channels, *taps, *positions)
        y = np.zeros((n, channels, *(s + a + b for s, a, b in zip(sizes, pads[:rank], pads[rank:], strict=True))),
                     x.dtype)
        both = (slice(None), slice(None))
        for tap in np.ndindex(*taps):
            at = tuple(slice(t * d, t * d + (p - 1) * s + 1, s)
                       for t, d, p, s in zip(tap, window.dilations, positions, window.strides, strict=True))
            y[both + at] += blocks[both + tap]
        inside = tuple(slice(a, a + s) for a, s in zip(pads[:rank], sizes, strict=True))
        return y[both + inside].astype(dtype)


@onnx("Col2Im", since=18)
def col2im(b, x, image_shape, block_shape, *, dilations=(), pads=(), strides=()):
    """ONNX Col2Im."""
    if x.fact.dtype == STRING:
        raise ModelError("strings cannot be added")
    return b.emit(Col2Im(tuple(strides), tuple(pads), tuple(dilations)), x, image_shape, block_shape)


class MaxUnpool(Op):
    """Values put where the indices (flat, in a tensor of the inferred size) say, zeros elsewhere.

    An output_shape (input 2) larger than the inferred one adds zeros at the ends.
    """

    window: Window
    shape_inputs: ClassVar[tuple[int, ...]] = (2,)

    def inferred(self, x: Fact) -> list:
        """The size that pooling with this window would have started from."""
        kernel, pads = self.window.kernel, self.window.padding(x.dims[2:])
        return [*x.dims[:2], *((d - 1) * s + (k - a - b) for d, s, k, a, b in zip(
            x.dims[2:], self.window.strides, kernel, pads[: len(kernel)], pads[len(kernel) :], strict=True))]

    def shapes(self, x, indices, output_shape=None):
        if x.rank != len(self.window.kernel) + 2:
            raise ModelError(f"the input has shape {list(x.dims)}, kernel_shape is {list(self.window.kernel)}")
        if x.known and indices.known and tuple(x.dims) != tuple(indices.dims):
            raise ModelError(f"the input has shape {list(x.dims)}, the indices {list(indices.dims)}")
        inferred = self.inferred(x)
        if any(isinstance(d, int) and d < 0 for d in inferred):
            raise ModelError(f"pads {list(self.window.pads)} leave an output of shape {inferred}")
        if output_shape is None:
            return [inferred]
        given = ints_of(output_shape)
        if given is None:
            return [[Dim.unknown() for _ in x.dims]]
        if len(given) != x.rank or any(isinstance(d, int) and g < d for g, d in zip(given, inferred, strict=True)):
            raise ModelError(f"output_shape is {given}, which is less than the inferred {inferred}")
        return [given]

    def python(self, x, indices, output_shape=None):
        shape = self.inferred(Fact(x.dtype, x.shape))
        size = prod(shape)
        if indices.size and not 0 <= indices.min() <= indices.max() < size:
            where = int(((indices < 0) | (indices >= size)).reshape(-1).argmax())
            raise KernelError(f"index {int(indices.reshape(-1)[where])} at position {where} is outside 0 to {size - 1}")
        y = np.zeros(size, x.dtype)
        y[indices.reshape(-1)] = x.reshape(-1)
        y = y.reshape(shape)
        if output_shape is None:
            return y
        return np.pad(y, [(0, int(g) - d) for g, d in zip(output_shape, shape, strict=True)])


@onnx("MaxUnpool", since=9)
def max_unpool(b, x, indices, output_shape=None, *, kernel_shape, pads=(), strides=()):
    """ONNX MaxUnpool, all versions."""
    return b.emit(MaxUnpool(Window.of(kernel_shape, strides, (), pads)), x, indices, output_shape)
