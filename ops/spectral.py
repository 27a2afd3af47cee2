"""DFT, STFT and MelWeightMatrix. Transforms are NumPy's, in the precision of the input (at least float32)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cynfer.ops.axes import axis_of, ints_of
from cynfer.ops.broadcast import widen
from cynfer.ops.cast import cast, element_type
from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.op import Op, onnx


def _scalar(fact: Fact | None) -> int | None:
    """The one number of a tensor if it is known."""
    values = ints_of(fact)
    return values[0] if values else None


def _complex(x: np.ndarray) -> np.ndarray:
    """[..., 1] or [..., 2] as complex numbers."""
    (x,) = widen(x)
    return x[..., 0] if x.shape[-1] == 1 else x[..., 0] + 1j * x[..., 1]


def _pairs(z: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.stack([z.real, z.imag], -1).astype(dtype)


class DFT(Op):
    """The discrete Fourier transform along an axis of [..., 1 or 2] (real, or real and imaginary).

    Inputs: x, the length to cut or pad to, the axis. onesided: only the first half comes out (or goes in, inverse).
    """

    axis: int
    inverse: bool
    onesided: bool
    shape_inputs: ClassVar[tuple[int, ...]] = (1, 2)

    def _axis(self, rank: int, axis: int | None) -> int:
        found = axis_of(self.axis if axis is None else axis, rank)
        if found == rank - 1:
            raise ModelError(f"axis {self.axis if axis is None else axis} is the last one, which holds the parts")
        return found

    def shapes(self, x, length=None, axis=None):
        parts = x.dims[-1] if x.rank else 0
        if x.rank < 2 or (isinstance(parts, int) and parts not in (1, 2)):
            raise ModelError(f"the input has shape {list(x.dims)}, expected two dimensions or more, the last 1 or 2")
        if self.onesided and not self.inverse and parts == 2:
            raise ModelError("onesided needs a real input, this one has imaginary parts")
        if axis is not None and _scalar(axis) is None:
            return [(*(Dim.unknown() for _ in x.dims[:-1]), 1 if self.onesided and self.inverse else 2)]
        at = self._axis(x.rank, None if axis is None else _scalar(axis))
        if length is not None:
            n = _scalar(length)
            if n is not None and n < 1:
                raise ModelError(f"dft_length is {n}, at least 1 is needed")
            n = Dim.unknown() if n is None else n
        else:
            n = 2 * (x.dims[at] - 1) if self.inverse and self.onesided else x.dims[at]
        if isinstance(n, int) and n < 1 and 0 not in (*x.dims[:at], *x.dims[at + 1 :]):
            raise ModelError(f"a transform of length {n}, at least 1 is needed")
        if self.onesided and not self.inverse:
            n = n // 2 + 1
        return [(*x.dims[:at], n, *x.dims[at + 1 : -1], 1 if self.onesided and self.inverse else 2)]

    def python(self, x, length=None, axis=None):
        at = self._axis(x.ndim, None if axis is None else int(axis.reshape(-1)[0]))
        n = None if length is None else int(length.reshape(-1)[0])
        if n is not None and n < 1:
            raise KernelError(f"dft_length is {n}, at least 1 is needed")
        if 0 in x.shape:
            facts = (Fact(x.dtype, x.shape), *(None if v is None else Fact.of(v) for v in (length, axis)))
            return np.zeros(self.shapes(*facts)[0], x.dtype)
        z = _complex(x)
        if self.onesided and self.inverse:
            return np.fft.irfft(z, n, at)[..., None].astype(x.dtype)
        if self.inverse:
            return _pairs(np.fft.ifft(z, n, at), x.dtype)
        return _pairs((np.fft.rfft if self.onesided else np.fft.fft)(z, n, at), x.dtype)


@onnx("DFT", since=17)
def dft_17(b, x, dft_length=None, *, axis=1, inverse=0, onesided=0):
    """The axis is an attribute."""
    return b.emit(DFT(axis, bool(inverse), bool(onesided)), x, dft_length)


@onnx("DFT", since=20)
def dft(b, x, dft_length=None, axis=None, *, inverse=0, onesided=0):
    """The axis is an input, by default the last but one."""
    return b.emit(DFT(-2, bool(inverse), bool(onesided)), x, dft_length, axis)


class STFT(Op):
    """Transforms of frames of the signal [batch, length(, 1 or 2)], a window over each."""

    onesided: bool
    shape_inputs: ClassVar[tuple[int, ...]] = (1, 3)

    def shapes(self, signal, step, window=None, length=None):
        if signal.rank not in (2, 3):
            raise ModelError(f"the signal has shape {list(signal.dims)}, two or three dimensions are needed")
        if signal.rank == 3 and isinstance(signal.dims[2], int) and signal.dims[2] not in (1, 2):
            raise ModelError(f"the signal has shape {list(signal.dims)}, its last dimension must be 1 or 2")
        if self.onesided and signal.rank == 3 and signal.dims[2] == 2:
            raise ModelError("onesided needs a real signal, this one has imaginary parts")
        every, size = _scalar(step), self._length(signal, window, length)
        if every is not None and every < 1:
            raise ModelError(f"frame_step is {every}, at least 1 is needed")
        frames = Dim.unknown() if every is None else (signal.dims[1] - size) // every + 1
        if isinstance(size, int) and (size < 1 or (isinstance(signal.dims[1], int) and size > signal.dims[1])):
            raise ModelError(f"frames of {size} do not fit a signal of length {signal.dims[1]}")
        return [(signal.dims[0], frames, size // 2 + 1 if self.onesided else size, 2)]

    @staticmethod
    def _length(signal: Fact, window: Fact | None, length: Fact | None):
        if window is not None and window.rank != 1:
            raise ModelError(f"the window has shape {list(window.dims)}, one dimension is needed")
        sizes = [] if window is None else [window.dims[0]]
        if length is not None:
            n = _scalar(length)
            sizes.insert(0, Dim.unknown() if n is None else n)
        if len(sizes) == 2 and isinstance(sizes[0], int) and isinstance(sizes[1], int) and sizes[0] != sizes[1]:
            raise ModelError(f"frame_length is {sizes[0]}, the window has {sizes[1]} elements")
        return next((s for s in sizes if isinstance(s, int)), sizes[0] if sizes else signal.dims[1])

    def python(self, signal, step, window=None, length=None):
        facts = (Fact(signal.dtype, signal.shape), Fact.of(step),
                 *(None if v is None else Fact.of(v) for v in (window, length)))
        _, frames, _, _ = self.shapes(*facts)[0]
        size, every = self._length(facts[0], *facts[2:]), int(step.reshape(-1)[0])
        z = _complex(signal if signal.ndim == 3 else signal[..., None])
        if not z.size:
            return np.zeros(self.shapes(*facts)[0], signal.dtype)
        cut = np.lib.stride_tricks.sliding_window_view(z, size, 1)[:, ::every][:, :frames]
        if window is not None:
            cut = cut * widen(window)[0]
        return _pairs((np.fft.rfft if self.onesided else np.fft.fft)(cut, axis=-1), signal.dtype)


@onnx("STFT", since=17)
def stft(b, signal, frame_step, window=None, frame_length=None, *, onesided=1):
    """ONNX STFT. onesided has no meaning for complex signals."""
    imaginary = signal.fact.shape is not None and signal.fact.rank == 3 and signal.fact.dims[2] == 2
    return b.emit(STFT(bool(onesided) and not imaginary), signal, frame_step, window, frame_length)


class MelWeightMatrix(Op):
    """[frequencies, bands] of triangles, evenly spaced on the mel scale. All inputs are scalars."""

    to: np.dtype
    shape_inputs: ClassVar[tuple[int, ...]] = (0, 1)

    def dtypes(self, *ins):
        return [self.to]

    def shapes(self, bins, length, *ins):
        n, size = _scalar(bins), _scalar(length)
        for name, value in (("num_mel_bins", n), ("dft_length", size)):
            if value is not None and value < 1:
                raise ModelError(f"{name} is {value}, at least 1 is needed")
        return [(Dim.unknown() if size is None else size // 2 + 1, Dim.unknown() if n is None else n)]

    def python(self, bins, length, rate, low, high):
        n, size, rate = (int(v.reshape(-1)[0]) for v in (bins, length, rate))
        low, high = (float(v.reshape(-1)[0]) for v in (low, high))
        if rate < 1 or not 0 <= low <= high:
            raise KernelError(f"a sample rate of {rate} and edges {low} to {high} make no mel filters")
        low_mel, high_mel = (2595 * np.log10(1 + f / 700) for f in (low, high))
        mels = np.arange(n + 2) * ((high_mel - low_mel) / (n + 2)) + low_mel
        edges = ((size + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate).astype(np.int64)
        if edges[-1] > size // 2 + 1:
            raise KernelError(f"upper_edge_hertz {high} is beyond half the sample rate {rate}")
        left, centre, right = edges[:-2], edges[1:-1], edges[2:]
        at = np.arange(size // 2 + 1)[:, None]
        rising = np.where(left == centre, at == centre, (at - left) / np.maximum(1, centre - left))
        falling = (right - at) / np.maximum(1, right - centre)
        y = np.where((at >= left) & (at <= centre), rising, 0)
        y = np.where((at >= centre) & (at < right), falling, y)
        return cast(y, self.to)


@onnx("MelWeightMatrix", since=17)
def mel_weight_matrix(b, num_mel_bins, dft_length, sample_rate, lower_edge_hertz, upper_edge_hertz, *,
                      output_datatype=1):
    """ONNX MelWeightMatrix."""
    return b.emit(MelWeightMatrix(element_type(output_datatype)), num_mel_bins, dft_length, sample_rate,
                  lower_edge_hertz, upper_edge_hertz)
