"""Opens a model (path, bytes or ModelProto) and parses its structure; weights stay where they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cynfer.ops.errors import ModelFormatError, ModelNotFoundError, show
from cynfer.runtime import onnx_wire
from cynfer.runtime.external import Buffer, DataFile
from cynfer.runtime.limits import Limits

#: How other files begin, for the message.
_OTHERS = ((b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "gzip data"), (b"\x89PNG", "a PNG picture"),
           (b"\x80\x02", "a pickle"), (b"\x80\x03", "a pickle"), (b"\x80\x04", "a pickle"), (b"\x80\x05", "a pickle"),
           (b"\x89HDF", "an HDF5 file"), (b"GGUF", "a GGUF file"), (b"\x7fELF", "a program"), (b"<", "text"),
           (b"{", "text"), (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself"))


class Opened(NamedTuple):
    """A parsed skeleton; source and cuts: where its raw_data lies; folder: where external data may lie, or None."""

    proto: Any
    source: Buffer | DataFile
    cuts: Sequence[tuple[int, int]]
    folder: str | None


def open_model(source, limits: Limits, folder: str | os.PathLike | None = None) -> Opened:
    """Raises ModelFormatError or LimitError. Close `.source` when all tensors are made."""
    folder = None if folder is None else os.path.abspath(folder)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        file = _open(path)
        try:
            return _parse(file.map, file, limits, folder or os.path.dirname(os.path.abspath(os.fsdecode(path))))
        except ModelFormatError as error:
            file.close()
            raise ModelFormatError(f"model file {show(path)}: {error}") from None
        except BaseException:
            file.close()
            raise
    if hasattr(source, "SerializeToString"):
        try:
            source = source.SerializeToString()
        except Exception as error:
            raise ModelFormatError(f"the ModelProto cannot be written to bytes: {show(error)}") from error
    if not isinstance(source, (bytes, bytearray, memoryview)):
        raise ModelFormatError(f"a model is a path, bytes or a ModelProto, not {type(source).__name__}")
    data = source if isinstance(source, bytes) else bytes(source)  # nobody may change it under our views
    if not data:
        raise ModelFormatError("the model has 0 bytes: empty")
    return _parse(data, Buffer(data), limits, folder)


def _open(path) -> DataFile:
    """The model file, mapped. Never waits (a FIFO) and never reads a device."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a file name"
        kind = ModelNotFoundError if isinstance(error, FileNotFoundError) else ModelFormatError
        raise kind(f"model file {show(path)} cannot be opened: {why}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ModelFormatError(f"model file {show(path)} is not a regular file")
        if status.st_size == 0:
            raise ModelFormatError(f"model file {show(path)} is an empty file")
        try:
            return DataFile(fd, status)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise ModelFormatError(f"model file {show(path)} cannot be mapped: {why}") from error
    except BaseException:
        os.close(fd)
        raise


@lru_cache(1)
def _fields() -> tuple[np.ndarray, dict[str, int], list[str]]:
    import onnx

    rows, numbers, names = onnx_wire.table(onnx.ModelProto.DESCRIPTOR)
    return np.asarray(rows, np.int32), numbers, names


def _parse(data, source, limits: Limits, folder: str | None) -> Opened:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    head = bytes(data[:32])
    try:
        found = onnx_wire.scan(data, *_fields(), limits)
        proto = onnx.ModelProto.FromString(onnx_wire.skeleton(data, found))
    except ModelFormatError as error:
        raise ModelFormatError(f"{error}{_beginning(head)}") from None
    except DecodeError as error:
        raise ModelFormatError(f"not an ONNX model: {show(error)}{_beginning(head)}") from None
    if not proto.HasField("graph"):
        raise ModelFormatError(f"not an ONNX model: it has no graph{_beginning(head)}")
    return Opened(proto, source, found.cuts, folder)


def _beginning(head: bytes) -> str:
    for start, what in _OTHERS:
        if head.startswith(start):
            return f"; it looks like {what}"
    if head and all(32 <= c < 127 or c in b"\t\n\r" for c in head):
        return f"; it looks like text, {show(head[:8].decode())}"
    return f"; first bytes {head[:8].hex(' ')}"
