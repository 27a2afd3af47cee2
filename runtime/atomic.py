"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

#: Part files are called .NAME.PID.cynfer-part.
SUFFIX = ".cynfer-part"


def write(path: str | os.PathLike, data: bytes | memoryview, *, force: bool = False) -> None:
    """Writes a file by way of a part file beside it; a crash leaves the old file or the new one, never half of one.

    force: replace a file that is there; otherwise FileExistsError is raised and that file stays as it is.
    """
    path = Path(path)
    _sweep(path)
    part = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(part, path)
        else:
            _link(part, path)
    finally:
        part.unlink(missing_ok=True)


def _link(part: Path, path: Path) -> None:
    try:
        os.link(part, path)  # fails if path is there, even if another process made it just now
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(17, "File exists", str(path)) from None
        os.replace(part, path)


def _sweep(path: Path) -> None:
    """Removes part files that processes which are gone have left of this file."""
    start = f".{path.name}."
    for found in path.parent.glob("*" + SUFFIX):
        middle = found.name[len(start):-len(SUFFIX)]
        if found.name.startswith(start) and middle.isdigit() and not _alive(int(middle)):
            with contextlib.suppress(OSError):
                found.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
