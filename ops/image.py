"""ImageDecoder, by Pillow."""

from __future__ import annotations

import io

import numpy as np

from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError, UnsupportedError, show
from cynfer.ops.op import Op, onnx

#: Those the standard names; others (some run programs) are not looked at.
_FORMATS = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
#: {pixel_format: (Pillow's mode, channels)}
_MODES = {"RGB": ("RGB", 3), "BGR": ("RGB", 3), "Grayscale": ("L", 1)}


class ImageDecoder(Op):
    """The pixels [height, width, channels] of a file; empty for one that cannot be decoded."""

    pixel_format: str

    def shapes(self, stream):
        if stream.rank != 1:
            raise ModelError(f"the input has shape {list(stream.dims)}, one dimension is needed")
        return [(Dim.unknown(), Dim.unknown(), _MODES[self.pixel_format][1])]

    def python(self, stream):
        try:
            from PIL import Image
        except ImportError as error:
            raise UnsupportedError("ImageDecoder needs Pillow: pip install pillow") from error
        mode, channels = _MODES[self.pixel_format]
        try:
            with Image.open(io.BytesIO(stream.tobytes()), formats=_FORMATS) as image:
                pixels = np.array(image if image.mode == mode else image.convert(mode), np.uint8)
        except Image.DecompressionBombError as error:
            raise KernelError(f"the image is too large: {error}") from error
        except (OSError, SyntaxError, ValueError, EOFError):
            return np.zeros((0, 0, channels), np.uint8)
        pixels = pixels.reshape(*pixels.shape[:2], channels)
        return pixels[..., ::-1] if self.pixel_format == "BGR" else pixels


@onnx("ImageDecoder", since=20)
def image_decoder(b, encoded_stream, *, pixel_format="RGB"):
    """ONNX ImageDecoder."""
    if pixel_format not in _MODES:
        raise ModelError(f"pixel_format is {show(pixel_format)}, expected one of {', '.join(_MODES)}")
    return b.emit(ImageDecoder(pixel_format), encoded_stream)
