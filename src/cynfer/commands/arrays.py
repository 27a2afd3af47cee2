"""Arrays from files: .npy, members of .npz, pictures. Sizes are checked before data are read; nothing is unpickled."""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from cynfer.commands import FileProblem
from cynfer.commands.terminal import clean
from cynfer.ops.errors import LimitError
from cynfer.ops.fact import Fact

#: Longest header of an array that is read.
MAX_HEADER = 1 << 16
#: A compressed member that grows by more than this and to more than MAX_GROWN is refused.
MAX_GROWTH, MAX_GROWN = 100, 256 << 20
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class PictureOptions:
    """How a picture becomes an array: (pixel - mean) * scale, pixels from 0 to 255; layout "nchw", "nhwc" or "auto"."""

    mean: Sequence[float] = field(default=(0.0,))
    scale: Sequence[float] | None = None
    layout: str = "auto"


@contextmanager
def reading(path: str):
    """Turns what file formats raise into a FileProblem with the path."""
    try:
        yield
    except OSError as error:
        raise FileProblem(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        if isinstance(error, LimitError):
            raise
        raise FileProblem(f"{path}: {error}") from error


def read_npy(path: str, max_bytes: int) -> np.ndarray:
    """The array of a .npy file."""
    with reading(path), _plain(path) as file:
        return _array(file, os.fstat(file.fileno()).st_size, path, max_bytes)


def npz_names(path: str) -> list[str]:
    """The names of the arrays of a .npz file."""
    with reading(path), _plain(path) as file, zipfile.ZipFile(file) as archive:
        return [n[:-4] for n in archive.namelist() if n.endswith(".npy")]


def read_npz(path: str, name: str, max_bytes: int) -> np.ndarray:
    """One array of a .npz file; its name is a name in the archive and nothing else."""
    with reading(path), _plain(path) as file, zipfile.ZipFile(file) as archive:
        try:
            info = archive.getinfo(name + ".npy")
        except KeyError:
            raise FileProblem(f"{path}: has no array {clean(name)}") from None
        if info.file_size > max(MAX_GROWN, MAX_GROWTH * info.compress_size):
            raise LimitError(f"{path}: member {clean(name)} grows from {info.compress_size} to {info.file_size} bytes, "
                             f"more than {MAX_GROWTH} times; unpack it yourself if you trust it")
        with archive.open(info) as member:
            return _array(member, info.file_size, f"{path}:{clean(name)}", max_bytes)


def _plain(path: str) -> IO[bytes]:
    """An open regular file: a FIFO would wait for ever, a device never end."""
    if not os.path.isfile(path):
        raise FileProblem(f"{path}: {'not a regular file' if os.path.exists(path) else 'no such file'}")
    return open(path, "rb")


def _array(file: IO[bytes], size: int, what: str, max_bytes: int) -> np.ndarray:
    """The array that starts here and ends where `size` bytes end."""
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8 or start[6] not in (1, 2, 3):
        raise FileProblem(f"{what}: not a .npy array")
    count = 2 if start[6] == 1 else 4
    raw = file.read(count)
    length = int.from_bytes(raw, "little")
    if length > MAX_HEADER:
        raise LimitError(f"{what}: the header has {length} bytes, {MAX_HEADER} are allowed")
    header = io.BytesIO(raw + file.read(length))
    read = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(header, max_header_size=MAX_HEADER)
    except Exception as error:  # a parser of Python literals is behind it: TypeError, SyntaxError, MemoryError, …
        raise FileProblem(f"{what}: the header cannot be read: {error}") from error
    if dtype.hasobject:
        raise FileProblem(f"{what}: an array of Python objects; these are never read")
    if dtype.itemsize == 0 or any(n < 0 for n in shape):
        raise FileProblem(f"{what}: {dtype}{list(shape)} is no array")
    nbytes, left = math.prod(shape) * dtype.itemsize, size - 8 - count - length
    if nbytes > max_bytes:
        raise LimitError(f"{what}: {dtype}{list(shape)} takes {nbytes} bytes, {max_bytes} are allowed")
    if nbytes != left:
        raise FileProblem(f"{what}: {dtype}{list(shape)} takes {nbytes} bytes, the file has {left}")
    data = bytearray(nbytes)
    view, at = memoryview(data), 0
    while at < nbytes:
        got = file.readinto(view[at : at + (1 << 24)])  # type: ignore[attr-defined]
        if not got:
            raise FileProblem(f"{what}: the data end after {at} of {nbytes} bytes")
        at += got
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def fitted(array: np.ndarray, fact: Fact) -> np.ndarray:
    """Arrays of types that NumPy lacks (bfloat16, …) come as raw bytes of that size or in a wider type."""
    if fact.kind != "tensor" or array.dtype == fact.dtype or fact.dtype.isbuiltin == 1:
        return array
    if array.dtype.kind == "V" and array.dtype.itemsize == fact.dtype.itemsize:
        return np.ascontiguousarray(array).view(fact.dtype)
    return array.astype(fact.dtype) if array.dtype.kind in "fiu" else array


def portable(array: np.ndarray) -> np.ndarray:
    """The array in a type that a .npy file can hold: float32 or int8/uint8 for small types, text for strings."""
    if array.dtype == object:
        return np.array(["" if x is None else str(x) for x in array.flat], dtype=np.str_).reshape(array.shape)
    if array.dtype.isbuiltin == 1:
        return array
    name = array.dtype.name
    return array.astype(np.float32 if "float" in name else np.uint8 if name.startswith("uint") else np.int8)


def npy_bytes(array: np.ndarray) -> bytes:
    """The content of a .npy file."""
    out = io.BytesIO()
    np.lib.format.write_array(out, portable(array), allow_pickle=False)
    return out.getvalue()


def npz_bytes(parts: Sequence[np.ndarray]) -> bytes:
    """The content of a .npz file with members 0, 1, …"""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i, part in enumerate(parts):
            archive.writestr(f"{i}.npy", npy_bytes(part))
    return out.getvalue()


def load_picture(path: str):
    """An open Pillow image; raises FileProblem."""
    try:
        from PIL import Image
    except ImportError as error:
        raise FileProblem(f"{path}: reading pictures needs Pillow: pip install pillow") from error
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        _plain(path).close()
        try:
            picture = Image.open(path)
            picture.load()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise LimitError(f"{path}: {error}") from error
        return picture


def read_picture(path: str, fact: Fact, shape: Sequence[int] | None, options: PictureOptions, what: str) -> np.ndarray:
    """A picture resized to the height and width of an input; symbolic ones stay as the picture has them.

    shape: that of --shape, or None. Grey where the input has one channel, RGB where it has three.
    """
    picture = load_picture(path)
    dims = tuple(shape) if shape is not None else fact.shape
    if fact.kind != "tensor" or dims is None or len(dims) not in (3, 4):
        raise FileProblem(f"{what} is {fact}: a picture fits [N, C, H, W] and [N, H, W, C] only; --shape says which")
    batch, dims = len(dims) == 4, tuple(dims[-3:])
    layout = options.layout
    if layout == "auto":
        layout = "nhwc" if dims[2] in (1, 3) and dims[0] not in (1, 3) else "nchw"
    channels, rows, columns = dims if layout == "nchw" else (dims[2], *dims[:2])
    channels = channels if isinstance(channels, int) else 3
    if channels not in (1, 3):
        raise FileProblem(f"{what} has {channels} channels in layout {layout}; a picture has 1 or 3")
    size = (columns if isinstance(columns, int) else picture.width, rows if isinstance(rows, int) else picture.height)
    with reading(path):
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB").resize(size), np.float64)
    pixels = pixels.reshape(size[1], size[0], channels)
    whole = fact.dtype.kind in "iu"
    scale = options.scale if options.scale is not None else [1.0 if whole else 1 / 255]
    for name, values in (("--mean", options.mean), ("--scale", scale)):
        if len(values) not in (1, channels):
            raise FileProblem(f"{name} has {len(values)} numbers; {what} has {channels} channels")
    pixels = (pixels - np.asarray(options.mean)) * np.asarray(scale)
    if whole:
        limits = np.iinfo(fact.dtype)
        pixels = np.clip(np.rint(pixels), limits.min, limits.max)
    if layout == "nchw":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None] if batch else pixels).astype(fact.dtype)
