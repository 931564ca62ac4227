"""Threads by default: the affinity mask or the CPU quota of control groups, whichever is less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facegen import processors
from package_modules import MODULES

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "34 25 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
DISK = "22 1 8:1 / / rw - ext4 /dev/sda1 rw"

# What /proc/self/cgroup says, what /proc/self/mountinfo does, files; the quota.
SYSTEMS: dict[str, tuple[str, list[str], dict[str, str], float | None]] = {
    "none": ("", [], {}, None),
    "no limit": ("0::/a", [DISK, V2], {"a/cpu.max": "max 100000\n"}, None),
    "a container's own view": ("0::/", [DISK, V2], {"cpu.max": "150000 100000\n"}, 1.5),
    "its own": ("0::/a/b", [V2], {"a/b/cpu.max": "400000 100000\n"}, 4),
    "that above it": (
        "0::/a/b",
        [V2],
        {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "50000 20000\n", "cpu.max": "max 100000\n"},
        2.5,
    ),
    "another's": ("0::/a/b", [V2], {"a/c/cpu.max": "100000 100000\n"}, None),
    "seen from outside": ("0::/../../c", [V2], {"cpu.max": "300000 100000\n"}, 3),
    "a part is mounted": (
        "0::/docker/1f/x",
        [V2.replace(" / /sys", " /docker/1f /sys")],
        {"x/cpu.max": "200000 100000\n"},
        2,
    ),
    "another part is mounted": (
        "0::/docker/1ff",
        [V2.replace(" / /sys", " /docker/1f /sys")],
        {"cpu.max": "200000 100000\n"},
        2,
    ),
    "v1": (
        "5:memory:/m\n4:cpu,cpuacct:/a\n1:name=systemd:/s",
        [MEMORY, V1],
        {
            "cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n",
            "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            "memory/m/cpu.max": "1 100000\n",
        },
        2.5,
    ),
    "v1 without one": (
        "4:cpu,cpuacct:/a",
        [V1],
        {
            "cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "both": (
        "4:cpu,cpuacct:/a\n0::/a",
        [V1, V2.replace("/cgroup rw", "/cgroup/unified rw")],
        {
            "cpu,cpuacct/cpu.cfs_quota_us": "700000\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "unified/a/cpu.max": "600000 100000\n",
        },
        6,
    ),
    "spaces": (
        "0::/a b",
        [V2.replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040own")],
        {"my own/a b/cpu.max": "100000 200000\n"},
        0.5,
    ),
    "damaged": ("0::/a\nx\n:::\n", ["x - y", V2], {"a/cpu.max": "x\n", "cpu.max": "0 0\n"}, None),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_quota(name: str, tmp_path: Path) -> None:
    group, mounts, files, expected = SYSTEMS[name]
    made = {f"sys/fs/cgroup/{path}": text for path, text in files.items()}
    made |= {"proc/self/cgroup": group, "proc/self/mountinfo": "\n".join([*mounts, ""])}
    for path, text in made.items() if group else ():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    # Above what is mounted nothing is looked at.
    (tmp_path / "cpu.max").write_text("1 100000\n")
    assert processors.quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("mask", "quota", "expected"),
    [(8, None, 8), (8, 1.5, 2), (8, 0.2, 1), (2, 6.0, 2), (4, 4.0, 4)],
)
def test_the_lesser_counts(
    mask: int, quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "in_mask", lambda: mask)
    monkeypatch.setattr(processors, "quota", lambda: quota)
    assert processors.count() == expected


def test_the_mask_counts() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert processors.in_mask() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert processors.in_mask() == len(before)


def test_ranks_of_a_launch_share_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "in_mask", lambda: 8)
    monkeypatch.setattr(processors, "quota", lambda: 6.0)
    monkeypatch.setenv("FACEGEN_RANK", "1")
    monkeypatch.setenv("FACEGEN_RANKS", "4")
    assert processors.count() == 2
    monkeypatch.setattr(processors, "quota", lambda: None)
    assert processors.count() == 8


def test_doctor_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from facegen.cli.doctor import examine

    monkeypatch.setattr(processors, "in_mask", lambda: 8)
    monkeypatch.setattr(processors, "quota", lambda: 1.5)
    threads = examine()["threads"]
    assert threads == "2 (of 8 processors; the control group's quota is 1.5 of them)"


def test_threads_are_counted_in_one_place() -> None:
    allowed = {"sched_getaffinity": {"system.py"}, "cpu_count": {"system.py", "doctor.py"}}
    for file in MODULES:
        text = file.read_text(encoding="utf-8")
        for name, files in allowed.items():
            assert name not in text or file.name in files, (file, name)
