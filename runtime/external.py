"""Files of tensor data: mapped once, handed out as views. The one choke point that opens what a model points at.

A location is opened beneath the model's folder, no component of it may be a link, and everything else is asked of the
file that is open, never of its name. Hard links are refused too unless limits.hard_links: a link count above one means
that the bytes may belong to somebody else's file.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import mmap
import os
import re
import stat
from collections.abc import Mapping

import numpy as np

from cynfer.ops.errors import ExternalDataError, ModelFormatError, show
from cynfer.runtime.limits import Limits

#: Files of a model that stay mapped (each costs a descriptor); the data of further ones is read.
KEPT = 64

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class DataFile:
    """An open regular file whose bytes arrays may lie in; the descriptor is this object's."""

    def __init__(self, fd: int, status: os.stat_result, keep: bool = True):
        self.fd, self.size, self.identity = fd, status.st_size, (status.st_dev, status.st_ino)
        self.map = mmap.mmap(fd, self.size, access=mmap.ACCESS_READ) if keep and self.size else None
        self._bytes = None if self.map is None else np.frombuffer(self.map, np.uint8)

    def bytes(self, offset: int, length: int, itemsize: int = 1) -> np.ndarray:
        """`length` bytes from `offset`: a view of the mapping where items are aligned, else read into a new array."""
        if self._bytes is not None and offset % itemsize == 0:
            return self._bytes[offset:offset + length]
        array = np.empty(length, np.uint8)
        done = 0
        while done < length:
            got = os.preadv(self.fd, [array[done:].data], offset + done)
            if got == 0:
                raise ModelFormatError(f"the file became shorter while it was read: {offset + done} bytes are there, "
                                       f"{offset + length} are needed")
            done += got
        return array

    def close(self) -> None:
        """Closes the descriptor; views of the mapping stay valid, but nothing of it stays resident until it is read."""
        if self.map is not None:
            self.map.madvise(mmap.MADV_DONTNEED)
        os.close(self.fd)


class Buffer:
    """The same for bytes in memory."""

    identity = None

    def __init__(self, data):
        self._bytes = np.frombuffer(data, np.uint8)
        self.size = self._bytes.size
        self._address = self._bytes.ctypes.data

    def bytes(self, offset: int, length: int, itemsize: int = 1) -> np.ndarray:
        """As DataFile.bytes."""
        view = self._bytes[offset:offset + length]
        return view if (self._address + offset) % itemsize == 0 else view.copy()

    def close(self) -> None:
        """Nothing to do."""


class ExternalData:
    """The external files of one model. Errors say what is wrong; the caller adds the tensor's name."""

    def __init__(self, folder: str | None, model: tuple[int, int] | None, limits: Limits):
        self.folder, self.model, self.limits = folder, model, limits
        self.root: int | None = None
        self.files: dict[str, DataFile] = {}
        self.checked: set[tuple[str, str]] = set()

    def read(self, entries: Mapping[str, str], nbytes: int, itemsize: int) -> tuple[tuple, np.ndarray]:
        """(what identifies these bytes, the bytes) for the keys of `external_data`; exactly nbytes of them."""
        location = entries.get("location", "")
        offset = _number(entries, "offset", 0)
        length = _number(entries, "length", nbytes)
        if length != nbytes:
            raise ExternalDataError(f"length is {length}, its type and dims need {nbytes}")
        file = self.open(location)
        if length > file.size or offset > file.size - length:
            raise ExternalDataError(f"{length} bytes from offset {offset} are not in {show(location)}, which has "
                                    f"{file.size} bytes")
        if "checksum" in entries:
            self._check(location, file, entries["checksum"])
        return (*file.identity, offset), file.bytes(offset, length, itemsize)

    def open(self, location: str) -> DataFile:
        """The file at `location` beneath the model's folder."""
        if self.folder is None:
            raise ExternalDataError(f"its data is in {show(location)}, but the model comes from memory, so there is no "
                                    "folder to look in; load it by path")
        parts = components(location)
        key = "/".join(parts)
        if key not in self.files:
            if self.root is None:
                self.root = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fd = open_beneath(self.root, parts, location)
            try:
                status = os.fstat(fd)
                self._allow(status, location)
                file = DataFile(fd, status, len(self.files) < KEPT)
            except BaseException:
                os.close(fd)
                raise
            if len(self.files) >= KEPT:  # one of these is open at a time
                self._close_last()
            self.files[key] = file
        return self.files[key]

    def _close_last(self) -> None:
        name, last = next(reversed(self.files.items()))
        if last.map is None:
            last.close()
            del self.files[name]

    def _allow(self, status: os.stat_result, location: str) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise ExternalDataError(f"{show(location)} is not a regular file")
        if status.st_nlink > 1 and not self.limits.hard_links:
            raise ExternalDataError(f"{show(location)} has {status.st_nlink} hard links, so that it may be another "
                                    "file under a second name; limits.hard_links=True accepts it")
        if (status.st_dev, status.st_ino) == self.model:
            raise ExternalDataError(f"{show(location)} is the model file itself")

    def _check(self, location: str, file: DataFile, checksum: str) -> None:
        if (location, checksum) in self.checked:
            return
        if not re.fullmatch("[0-9a-fA-F]{40}", checksum):
            raise ExternalDataError(f"checksum {show(checksum)} is not the 40 hexadecimal digits of a SHA-1")
        digest = hashlib.sha1(usedforsecurity=False)
        for start in range(0, file.size, 1 << 24):
            digest.update(file.bytes(start, min(1 << 24, file.size - start)).data)
        if digest.hexdigest() != checksum.lower():
            raise ExternalDataError(f"checksum of {show(location)} is {digest.hexdigest()}, the model says "
                                    f"{checksum.lower()}")
        self.checked.add((location, checksum))

    def close(self) -> None:
        """Closes descriptors; arrays stay valid."""
        for file in self.files.values():
            file.close()
        self.files.clear()
        if self.root is not None:
            os.close(self.root)
            self.root = None


def _number(entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= 1 << 63:
        raise ExternalDataError(f"{key} {show(text)} is not a number from 0 to 2**63 - 1")
    return int(text)


def components(location: str) -> list[str]:
    """The components of a location, '.' and empty ones dropped; raises ExternalDataError for one that may not be."""
    why = ("is empty" if not location
           else "holds a NUL" if "\0" in location
           else "is an absolute path" if location.startswith("/") or re.match("[A-Za-z]:", location)
           else "holds a backslash" if "\\" in location
           else "is a URL" if re.match("[A-Za-z][A-Za-z0-9+.-]*:/", location)
           else "starts with a tilde or a dollar sign, which nothing expands" if location[0] in "~$"
           else "leads out of the model's folder" if ".." in location.split("/")
           else "")
    parts = [p for p in location.split("/") if p not in ("", ".")]
    if why or not parts:
        raise ExternalDataError(f"location {show(location)} {why or 'names no file'}; it must be a plain path beneath "
                                "the model's folder")
    return parts


def open_beneath(root: int, parts: list[str], location: str) -> int:
    """A descriptor of the file root/parts, opened without following a link anywhere."""
    try:
        fd = _openat2(root, os.fsencode("/".join(parts)))
        return _walk(root, parts) if fd is None else fd
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        if code in (errno.ELOOP, errno.EXDEV, errno.EMLINK) or (code == errno.ENOTDIR and _has_link(root, parts)):
            what = "is reached through a symbolic link; put the file itself beneath the model's folder"
        elif code == errno.ENOENT:
            what = "is not there"
        else:
            what = f"cannot be opened: {os.strerror(code) if code else 'not a file name'}"
        raise ExternalDataError(f"{show(location)} {what}") from None


def _openat2(root: int, path: bytes) -> int | None:
    """None where the kernel (or a sandbox) does not offer openat2."""
    how = (ctypes.c_uint64 * 3)(_FLAGS, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(ctypes.c_long(_OPENAT2), ctypes.c_int(root), ctypes.c_char_p(path), ctypes.byref(how),
                          ctypes.c_size_t(ctypes.sizeof(how)))
    except (OSError, AttributeError):
        return None
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG):
        return None
    raise OSError(code, os.strerror(code))


def _walk(root: int, parts: list[str]) -> int:
    """The same by opening one component after the other."""
    folder = os.dup(root)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = deeper
        return os.open(parts[-1], _FLAGS | _NO_LINK, dir_fd=folder)
    finally:
        os.close(folder)


def _has_link(root: int, parts: list[str]) -> bool:
    """For the message alone: whether a component is a link (O_DIRECTORY hides that)."""
    for i in range(1, len(parts)):
        try:
            if stat.S_ISLNK(os.stat("/".join(parts[:i]), dir_fd=root, follow_symlinks=False).st_mode):
                return True
        except OSError:
            return False
    return False
