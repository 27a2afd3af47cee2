"""The face detector of the zoo: CenterFace loaded for any picture size, its answers decoded, boxes drawn."""

from __future__ import annotations

import argparse
import io
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cynfer.commands import FileProblem
from cynfer.commands.arrays import load_picture
from cynfer.commands.terminal import clean, milliseconds, say

#: One cell of the answers stands for this many pixels of the input.
STRIDE = 4
#: The input's sides are multiples of this.
MULTIPLE = 32


@dataclass(frozen=True)
class Face:
    """A box in pixels of the picture, and how sure the network is, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    def __str__(self) -> str:
        return f"({self.left:.0f}, {self.top:.0f}) to ({self.right:.0f}, {self.bottom:.0f}), {self.score:.1%}"


class FaceFinder:
    """Finds faces in pictures: `FaceFinder(path of centerface.onnx)(pixels [H, W, 3], RGB, 0 to 255)`."""

    def __init__(self, model: str | os.PathLike, threads: int | None = None):
        from cynfer import InferenceSession

        self.session = InferenceSession(free_dims(model), threads=threads)

    def __call__(self, pixels: np.ndarray, threshold: float = 0.5) -> list[Face]:
        rows, columns = pixels.shape[:2]
        bottom, right = -rows % MULTIPLE, -columns % MULTIPLE
        x = np.pad(np.asarray(pixels, np.float32), ((0, bottom), (0, right), (0, 0))).transpose(2, 0, 1)[None]
        heat, size, offset, _ = self.session.run(None, {"input.1": np.ascontiguousarray(x)})
        return decode(heat[0, 0], size[0], offset[0], threshold, (rows, columns))


def free_dims(model: str | os.PathLike):
    """The ModelProto with batch, height and width of inputs and outputs left open (the file says [10, 3, 32, 32])."""
    import onnx

    proto = onnx.load(os.fspath(model))
    for kind, names in ((proto.graph.input, "NHW"), (proto.graph.output, ())):
        for info in kind:
            for axis, dim in enumerate(info.type.tensor_type.shape.dim):
                if axis != 1:
                    dim.Clear()
                    if names:
                        dim.dim_param = names[max(0, axis - 1)]
    return proto


def decode(heat: np.ndarray, size: np.ndarray, offset: np.ndarray, threshold: float, shape: tuple[int, int],
           overlap: float = 0.3) -> list[Face]:
    """Faces, the surest first; of boxes that overlap more than `overlap` the surest stays.

    heat: [h, w], how much each cell is a face's middle. size: [2, h, w], logarithms of height and width in cells.
    offset: [2, h, w], where in the cell the middle lies, y and x. shape: of the picture.
    """
    y, x = np.nonzero(heat > threshold)
    scores = heat[y, x]
    half = np.exp(size[:, y, x].astype(np.float64)) * STRIDE / 2
    middle = (np.stack([y, x]) + offset[:, y, x] + 0.5) * STRIDE
    limit = np.array(shape, np.float64)[:, None]
    low, high = np.clip(middle - half, 0, limit), np.clip(middle + half, 0, limit)
    area = (high - low).prod(0)
    left = np.argsort(-scores, kind="stable")
    faces = []
    while len(left):
        best, left = left[0], left[1:]
        faces.append(Face(low[1, best], low[0, best], high[1, best], high[0, best], float(scores[best])))
        common = (np.minimum(high[:, left], high[:, [best]]) - np.maximum(low[:, left], low[:, [best]])).clip(0).prod(0)
        left = left[common <= overlap * (area[left] + area[best] - common)]
    return faces


def demo(arguments: argparse.Namespace) -> int:
    """`cynfer demo faces`."""
    import sys

    from cynfer import zoo
    from cynfer.runtime import atomic

    output = Path(arguments.output or "faces.png")
    if os.path.lexists(output) and not arguments.force:
        raise FileProblem(f"{output} is there already; --force replaces it, --output names another")
    try:
        from PIL import ImageDraw
    except ImportError as error:
        raise FileProblem("the faces demo reads and writes pictures: pip install pillow") from error

    def fetch(name: str) -> str:
        return str(zoo.fetch(name, arguments.cache, lambda text: print(clean(text, 500), file=sys.stderr)))

    picture = load_picture(arguments.image or fetch("astronaut")).convert("RGB")
    finder = FaceFinder(fetch("centerface"), arguments.threads)
    pixels = np.asarray(picture)
    faces = finder(pixels)  # plans too
    began = time.perf_counter()
    faces = finder(pixels)
    seconds = time.perf_counter() - began
    draw = ImageDraw.Draw(picture)
    for face in faces:
        draw.rectangle((face.left, face.top, face.right, face.bottom), outline=(255, 220, 0), width=3)
        draw.text((face.left + 6, face.top + 5), f"{face.score:.2f}", fill=(255, 220, 0))
    data = io.BytesIO()
    try:
        picture.save(data, format={".jpg": "JPEG", ".jpeg": "JPEG"}.get(output.suffix.lower(), "PNG"))
        atomic.write(output, data.getbuffer(), force=arguments.force)
    except FileExistsError as error:
        raise FileProblem(f"{output} is there already; --force replaces it") from error
    for face in faces:
        say(f"face at {face}")
    say(f"{len(faces)} face{'s' * (len(faces) != 1)} in {picture.width} x {picture.height} pixels, "
        f"{milliseconds(seconds)} ({finder.session.threads} threads, {finder.session.machine.isa})")
    say(f"wrote {clean(output)}")
    return 0
