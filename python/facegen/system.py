"""What differs from system to system, in one room: nothing else in the package asks which it is.

| | Linux | macOS | Windows |
|---|---|---|---|
| processors that a process may use | its affinity mask | all | all |
| memory there is | the machine's or the control group's | the machine's | the same |
| the processor's name | /proc/cpuinfo | as Python has it | the same |
| binding children to some of them | yes | no | no |
| a file that one process writes is locked | flock | flock | msvcrt.locking |
| opening refuses links, waits for no pipe | yes | yes | no: links are looked for before |
| children inherit sockets (`facegen launch`) | yes | yes | no |
"""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Flags for os.open: bytes are read as they are, and children do not inherit the file.
PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # a link is refused
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe that nobody writes to is not waited for


def lock(file: IO[bytes] | int) -> None:
    """Take a file for this process until it is closed.

    Raises
    ------
    BlockingIOError
        Another process has it.
    OSError
        The file's system has no locks.
    """
    descriptor = file if isinstance(file, int) else file.fileno()
    if sys.platform == "win32":
        try:  # one byte, far behind any content: Windows locks what it is asked to from reading too
            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            os.lseek(descriptor, 0x7FFF_0000, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, place, os.SEEK_SET)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder; OSError where another process has it, or where it is a link to one."""
    if sys.platform == "win32":
        if not folder.is_dir() or folder.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        yield  # folders have no locks there
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW | PLAIN)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def longest_name(folder: str | os.PathLike[str]) -> int:
    """Bytes that a file's name may have there; 255, the usual limit, where that cannot be told."""
    try:
        if sys.platform == "win32":
            return 255
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):  # no such folder, which whoever writes will say; no such limit
        return 255


def processors() -> list[int]:
    """Numbers of the processors that this process may use."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind(numbers: Iterable[int]) -> None:
    """Have this process, and children that it starts, use these processors alone, if it can be."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, numbers)


@cache
def memory_bytes() -> int | None:
    """Memory of this machine, or of its control group (a container's) where that has less.

    None where the system does not tell.
    """
    found = [_machine_bytes(), *_group_limits()]
    return min((limit for limit in found if limit), default=None)


def _machine_bytes() -> int | None:
    if sys.platform == "win32":
        import ctypes

        status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX: its size first, and the memory next
        told = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status[1] if told else None
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _group_limits() -> Iterator[int]:
    """The limits of the control groups that this process is in, of version 2 and 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if not kinds:
            root, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in kinds.split(","):
            root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):  # the limits of those around it hold too
            if not folder.is_relative_to(root):
                break
            try:
                yield int((folder / name).read_text())
            except (OSError, ValueError):  # no such file, as where only a part is shown; "max"
                continue


def interrupt(thread: int, number: int) -> None:
    """Have a signal's handler run in the main thread, whose `threading.get_ident` is given."""
    if sys.platform == "win32":  # Python runs handlers in the main thread, whoever raises
        signal.raise_signal(number)
    else:
        signal.pthread_kill(thread, number)


def after_fork_in_child(forget: Callable[[], None]) -> None:
    """Call a function in every child that is forked, where there is such a thing."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=forget)


def why_no_launch() -> str:
    """Why ranks cannot be children of this process, in one line; empty where they can."""
    if sys.platform == "win32":
        return "facegen launch needs children that inherit sockets, which Windows does not have"
    return ""


# Arm's own numbers for who made a core, and its own cores of servers and small boards.
_IMPLEMENTERS = {
    0x41: "Arm", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA", 0x51: "Qualcomm",
    0x61: "Apple", 0x6D: "Microsoft", 0xC0: "Ampere",
}  # fmt: skip
_ARM_CORES = {
    0xD03: "Cortex-A53", 0xD08: "Cortex-A72", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse N1",
    0xD40: "Neoverse V1", 0xD49: "Neoverse N2", 0xD4F: "Neoverse V2", 0xD8E: "Neoverse N3",
    0xD84: "Neoverse V3",
}  # fmt: skip


@cache
def processor_name() -> str:
    """What this machine's processor is called; "unknown" where nothing says it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            name = name_in(file.read())
    except OSError:
        name = ""  # not Linux
    return name or platform.processor() or "unknown"


def name_in(cpuinfo: str) -> str:
    """Name of the first processor in /proc/cpuinfo: a name on x86, made of numbers on ARM."""
    fields: dict[str, str] = {}
    for line in cpuinfo.split("\n"):
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "model name" in fields:
        return fields["model name"]
    try:
        maker, part = int(fields["CPU implementer"], 0), int(fields["CPU part"], 0)
    except (KeyError, ValueError):
        return ""
    core = _ARM_CORES.get(part) if _IMPLEMENTERS.get(maker) == "Arm" else None
    return f"{_IMPLEMENTERS.get(maker, f'implementer {maker:#x}')} {core or f'part {part:#x}'}"
