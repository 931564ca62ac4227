"""How many threads to compute with: the processors that this process may use.

Two things bound them. The affinity mask names processors (taskset, Slurm, cpusets). The CPU quota
of a control group (containers, Kubernetes) is a share of time on any of them: where more threads
compute than it allows, all are stopped for a part of every period, a tenth of a second by default.

| | the process's group, in /proc/self/cgroup | its quota, in microseconds |
|---|---|---|
| cgroup v2 | ``0::/a/b`` | ``cpu.max``: "150000 100000" of the second, or "max 100000" |
| cgroup v1 | ``4:cpu,cpuacct:/a/b`` | ``cpu.cfs_quota_us`` (-1: none) of ``cpu.cfs_period_us`` |

A group gets no more than those above it. Where they are mounted is in /proc/self/mountinfo.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from facegen import system
from facegen.launchers import Place, find_place


def count() -> int:
    """Threads where none are asked for: the mask's, or the quota, rounded up, if that is less.

    The ranks of `facegen launch` share the quota, as they do the mask.
    """
    limit = quota()
    if limit is None:
        return in_mask()
    place = find_place(os.environ) if "FACEGEN_RANK" in os.environ else Place()
    return min(in_mask(), math.ceil(limit / place.size))


def in_mask() -> int:
    """Processors in the affinity mask."""
    return len(system.processors())


@cache
def quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that the process gets, by the files below `root`; None: no limit.

    The least of its own group and of those above it, as far as they can be seen from here.
    """
    found = [value for folder in _groups(root) if (value := _quota_of(folder)) is not None]
    return min(found, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the groups that the process is in and that may have a quota."""
    paths: dict[bool, str] = {}  # by whether it is of cgroup v2
    for line in _text(root / "proc/self/cgroup").split("\n"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if path and (not controllers or "cpu" in controllers.split(",")):
            paths[not controllers] = path
    for line in _text(root / "proc/self/mountinfo").split("\n"):
        place, _, kind = line.partition(" - ")
        fields, kinds = place.split(" "), kind.split(" ")
        if len(fields) < 5 or len(kinds) < 3:
            continue
        is_v2 = kinds[0] == "cgroup2"
        if is_v2 or (kinds[0] == "cgroup" and "cpu" in kinds[2].split(",")):
            mounted, top = _unescaped(fields[3]), root / _unescaped(fields[4]).lstrip("/")
            folder = top / _below(mounted, paths.get(is_v2, mounted))
            yield from (each for each in (folder, *folder.parents) if each.is_relative_to(top))


def _below(mounted: str, path: str) -> str:
    """A group's path below the group that is mounted; "" where it lies elsewhere or is hidden."""
    inside = path == mounted or path.startswith(mounted.rstrip("/") + "/")
    if not inside or ".." in path.split("/"):  # the group of a container as its host sees it
        return ""
    return path[len(mounted) :].lstrip("/")


def _quota_of(folder: Path) -> float | None:
    text = _text(folder / "cpu.max")
    if not text:
        text = f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
    match = re.fullmatch(r"(\d+)\s+(\d+)\s*", text)  # neither "max" nor "-1"
    return int(match[1]) / int(match[2]) if match and int(match[1]) and int(match[2]) else None


def _unescaped(name: str) -> str:
    r"""A path in the list of mounts as it is: spaces stand as \040 there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name)


def _text(path: Path) -> str:
    """A file's content, "" where it cannot be read."""
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""
