"""ImageDecoder: pixels come back, and what is no image gives an empty one."""

import io

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import ModelError

Image = pytest.importorskip("PIL.Image")
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return np.frombuffer(file.getvalue(), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_pixels(kind):
    data = encoded(Image.fromarray(PIXELS), kind)
    assert np.array_equal(run("ImageDecoder", data, opset=20), PIXELS)
    assert np.array_equal(run("ImageDecoder", data, opset=20, pixel_format="BGR"), PIXELS[..., ::-1])
    grey = run("ImageDecoder", data, opset=20, pixel_format="Grayscale")
    assert grey.shape == (5, 7, 1)


def test_grey_palette_and_transparent_files_become_three_channels():
    for mode in ("L", "P", "RGBA", "1", "LA"):
        image = Image.fromarray(PIXELS).convert(mode)
        got = run("ImageDecoder", encoded(image, "PNG"), opset=20)
        assert np.array_equal(got, np.array(image.convert("RGB")))


def test_no_image():
    good = encoded(Image.fromarray(PIXELS), "PNG")
    for bad in (np.zeros(0, np.uint8), np.arange(50, dtype=np.uint8), good[:40]):
        assert run("ImageDecoder", bad, opset=20).shape == (0, 0, 3)
    with pytest.raises(ModelError, match="'CMYK'"):
        run("ImageDecoder", good, opset=20, pixel_format="CMYK")
