"""How many threads a run uses by default: the smallest of CPU affinity, cgroup quota and OMP_NUM_THREADS."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Threads:
    """A number of threads and where it comes from."""

    count: int
    source: str


def available(root: str | Path = "/", environment=os.environ) -> Threads:
    """The default for this process, read afresh; root: where /proc and /sys lie (tests bring their own)."""
    found = [Threads(_affinity(), "CPU affinity")]
    quota = cgroup_quota(Path(root))
    if quota is not None:
        found.append(Threads(max(1, -int(-quota // 1)), "cgroup quota"))
    first = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdigit() and int(first) > 0:
        found.append(Threads(int(first), "OMP_NUM_THREADS"))
    return min(found, key=lambda t: t.count)


@cache
def default() -> Threads:
    """`available`, asked once; also the budget that all concurrent runs of the process share."""
    from cynfer.runtime import executor

    found = available()
    executor.set_budget(found.count)
    return found


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def cgroup_quota(root: Path) -> float | None:
    """CPUs that the cgroup of this process and every group above it allow (versions 1 and 2), or None."""
    smallest = None
    for folder, version in _folders(root):
        for at in (folder, *folder.parents):
            quota = _quota(at, version)
            if quota is not None:
                smallest = quota if smallest is None else min(smallest, quota)
            if at == root:
                break
    return smallest


def _folders(root: Path):
    """(folder of this process, version) in each hierarchy that is mounted and can limit CPUs."""
    groups: dict[int, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            groups[2] = path
        elif "cpu" in controllers.split(","):
            groups[1] = path
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, kind = line.partition(" - ")
        words, options = mount.split(), kind.split()
        if len(words) < 5 or not options:
            continue
        version = {"cgroup2": 2, "cgroup": 1}.get(options[0], 0)
        if version not in groups or (version == 1 and "cpu" not in options[-1].split(",")):
            continue
        inside = groups[version]
        if words[3] != "/" and inside.startswith(words[3]):  # a container sees its group as the mount's root
            inside = inside[len(words[3]):]
        yield root / words[4].lstrip("/") / inside.lstrip("/"), version


def _quota(folder: Path, version: int) -> float | None:
    try:
        if version == 2:
            quota, period = [int(w) for w in _lines(folder / "cpu.max")[0].split()]
        else:
            quota, period = (int(_lines(folder / f"cpu.cfs_{w}_us")[0]) for w in ("quota", "period"))
    except (IndexError, ValueError):  # no such file, or "max"
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
