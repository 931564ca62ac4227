"""Whether the variables of a launcher are this process's own, or those of a rank that started it.

Everything that a rank starts inherits its variables. `facegen`, called as a tool by a program of an
MPI job, must not join in that program's place: a second start of MPI in one rank ends or hangs the
job. What tells the two apart: a rank has MPI loaded, and what may stand between the launcher and a
rank (a shell, numactl) has not.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from facegen.errors import FacegenError
from facegen.launchers import Place, find_place

# libmpi.so.12, libmpi_cray.so, libmpich.so.12: MPI's library, whose ever.
_MPI = re.compile(rb"/libmpi(?:ch)?(?:[_.-][^/\n]*)?\.so")


def started_by_a_rank(place: Place) -> bool:
    """Whether a rank of this very place started this process, which is no rank then.

    A rank that was linked with MPI statically is not seen; FACEGEN_RANKS=off is the way out.
    """
    if place.launcher == "launch":
        return os.environ.get("FACEGEN_LINKS") == ""  # the rank has taken them
    if "mpi4py" not in sys.modules and _has_mpi("self"):
        return False  # LD_PRELOAD loads it everywhere, which says nothing of who is a rank
    return any(_has_mpi(process) for process in _between(place))


def check_connection() -> None:
    """Check that the launcher's socket is open, where it gave one: MPI would end the process.

    Raises
    ------
    FacegenError
        Whatever started this process has closed it, as Python's subprocess does.
    """
    descriptor = os.environ.get("PMI_FD", "")
    if not descriptor.isdecimal() or len(descriptor) > 9:
        return
    try:
        usable = stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode)
    except OSError:
        usable = False
    if not usable:
        raise FacegenError(
            "this process has the variables of an MPI rank, but not its connection (PMI_FD): what "
            "started it has closed that, as Python's subprocess does without close_fds=False; "
            "with FACEGEN_RANKS=off it works by itself"
        )


def _between(place: Place) -> Iterator[str]:
    """The processes above this one, up to the launcher: those that have its variables."""
    process = str(os.getppid())
    while int(process) > 1:
        try:
            folder = Path("/proc") / process
            variables = _variables((folder / "environ").read_bytes())
            status = (folder / "stat").read_text(errors="replace")
            if find_place(variables) != place:
                return
        except (OSError, FacegenError):
            return
        yield process
        process = status.rpartition(")")[2].split()[1]


def _variables(block: bytes) -> dict[str, str]:
    pairs = (os.fsdecode(pair).partition("=") for pair in block.split(b"\0"))
    return {name: value for name, _, value in pairs}


def _has_mpi(process: str) -> bool:
    try:
        return _MPI.search(Path("/proc", process, "maps").read_bytes()) is not None
    except OSError:
        return False
