"""Where the default number of threads comes from: affinity, cgroups of both versions, the environment."""

from __future__ import annotations

import os

import pytest

from cynfer.runtime import executor, threads
from cynfer.runtime.threads import Threads, available, cgroup_quota

V2 = "31 30 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
V1 = "33 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"


def machine(tmp_path, cgroup: str, mountinfo: str, files: dict[str, str]):
    """A folder with the /proc and /sys that a test describes."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(cgroup + "\n")
    (tmp_path / "proc/self/mountinfo").write_text(mountinfo + "\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return tmp_path


@pytest.mark.parametrize(("cgroup", "mounts", "files", "quota"), [
    ("0::/", V2, {"cpu.max": "max 100000"}, None),
    ("0::/", V2, {"cpu.max": "150000 100000"}, 1.5),
    ("0::/a/b", V2, {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
    ("0::/a/b", V2, {"a/b/cpu.max": "400000 100000", "a/cpu.max": "50000 100000"}, 0.5),
    ("0::/a/b", V2, {"a/b/cpu.max": "nonsense", "a/cpu.max": "300000 100000"}, 3.0),
    ("0::/gone", V2, {}, None),
    ("4:cpu,cpuacct:/x\n0::/", V1.format(root="/"),
     {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"}, 2.5),
    ("4:cpu,cpuacct:/x\n0::/", V1.format(root="/"),
     {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"}, None),
    ("4:cpu,cpuacct:/docker/id/x", V1.format(root="/docker/id"),
     {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1", "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
      "cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 1.0),
    ("4:memory:/x\n0::/", V1.format(root="/") + "\n" + V2, {"cpu.max": "100000 100000"}, 1.0),
    ("garbage", "garbage", {}, None),
])
def test_quota(tmp_path, cgroup, mounts, files, quota):
    assert cgroup_quota(machine(tmp_path, cgroup, mounts, files)) == quota


def test_no_proc_at_all(tmp_path):
    assert cgroup_quota(tmp_path) is None
    assert available(tmp_path, {}).source == "CPU affinity"


def test_smallest_wins_and_quotas_round_up(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "_affinity", lambda: 8)
    root = machine(tmp_path, "0::/", V2, {"cpu.max": "250000 100000"})
    assert available(root, {}) == Threads(3, "cgroup quota")
    assert available(root, {"OMP_NUM_THREADS": "2"}) == Threads(2, "OMP_NUM_THREADS")
    assert available(root, {"OMP_NUM_THREADS": "1,4"}) == Threads(1, "OMP_NUM_THREADS")
    for ignored in ("", "0", "-3", "many", "16"):
        assert available(root, {"OMP_NUM_THREADS": ignored}) == Threads(3, "cgroup quota")
    (root / "sys/fs/cgroup/cpu.max").write_text("10000 100000\n")
    assert available(root, {}) == Threads(1, "cgroup quota")


def test_affinity():
    found = available("/nowhere", {})
    assert found == Threads(len(os.sched_getaffinity(0)), "CPU affinity")


def test_default_is_kept_and_budget_is_refused_below_one():
    assert threads.default() is threads.default()
    executor.set_budget(threads.default().count)
