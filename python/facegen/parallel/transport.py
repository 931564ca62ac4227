"""How the ranks of a run are connected: MPI, or the socket pairs of `facegen launch`."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from facegen import extras
from facegen.errors import FacegenError
from facegen.launchers import Place
from facegen.parallel.heartbeat import Heartbeat, longest_silence
from facegen.parallel.inherited import check_connection
from facegen.parallel.links import Link, LinkLost, MpiLink, MpiPump, SocketLink

_LAST_WORDS_SECONDS = 0.5


class Transport(Protocol):
    """What a rank has of the others: rank 0 a link to each, the others one to rank 0."""

    @property
    def links(self) -> Mapping[int, Link]: ...

    def broadcast(self, message: Any = None) -> Any:
        """Give rank 0's message to all; every rank calls it."""

    def close(self) -> None:
        """Close the links: rank 0 after the others were told to end, the others before they end."""

    def abort(self) -> None:
        """End all ranks now."""


def connect(place: Place) -> Transport:
    """Connect a rank that is one of several.

    Raises
    ------
    FacegenError
        MPI is not installed, or it does not see the ranks that the launcher started.
    """
    return SocketTransport(place) if place.launcher == "launch" else MpiTransport(place)


class SocketTransport:
    """Rank 0 holds a socket to each of the others; FACEGEN_LINKS has descriptor:inode of each."""

    def __init__(self, place: Place) -> None:
        descriptors = take_descriptors(place)
        self.links: dict[int, SocketLink] = {
            rank: SocketLink(descriptor) for rank, descriptor in descriptors.items()
        }
        self._root = place.rank == 0

    def broadcast(self, message: Any = None) -> Any:
        if not self._root:
            return self.links[0].receive()[0]
        for link in self.links.values():
            with suppress(LinkLost):  # found again, and said, when it is given work
                link.send(message)
        return message

    def close(self) -> None:
        pass  # the sockets end with the processes

    def abort(self) -> None:
        for link in self.links.values():
            link.shut_down()


def take_descriptors(place: Place) -> dict[int, int]:
    """Of connected sockets that `facegen launch` gave this process, by the ranks at other ends.

    Raises
    ------
    FacegenError
        They are closed, or taken already.
    """
    others = range(1, place.size) if place.rank == 0 else [0]
    try:
        descriptors = [_descriptor(text) for text in os.environ["FACEGEN_LINKS"].split(",")]
        found = dict(zip(others, descriptors, strict=True))
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
    except (KeyError, ValueError, OSError) as error:
        raise FacegenError(
            "FACEGEN_RANK is set, but this process has no sockets of facegen launch: what "
            "started it has closed them; with FACEGEN_RANKS=off it works by itself"
        ) from error
    os.environ["FACEGEN_LINKS"] = ""  # what this rank starts is told that they are taken
    return found


def _descriptor(text: str) -> int:
    """The descriptor 7 of "7:4711"; OSError where it is another file (inode) than the one given."""
    number, inode = map(int, text.split(":"))
    if os.fstat(number).st_ino != inode:
        raise OSError(errno.EBADF, "is another file")
    return number


class MpiTransport:
    """Connects ranks over a copy of MPI's communicator of all of them."""

    def __init__(self, place: Place) -> None:
        check_connection()
        try:
            from mpi4py import MPI
            from mpi4py.util import pkl5
        except ModuleNotFoundError as error:
            raise FacegenError(
                f"{place.launcher} started {place.size} tasks, which needs mpi4py: "
                f"{extras.install('mpi')} (or let each do a part: --shard auto; or set "
                "FACEGEN_RANKS=off where one is to do everything)"
            ) from error
        except (ImportError, RuntimeError) as error:
            raise FacegenError(f"mpi4py cannot load MPI: {' '.join(str(error).split())}") from error
        world = MPI.COMM_WORLD
        if world.size != place.size:
            raise FacegenError(_mismatch(place, world.size, MPI.Get_library_version()))
        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise FacegenError("this MPI was built without support of threads (THREAD_MULTIPLE)")
        # Rank 0 is the first to end a run whose network fails: it can say why.
        self._seconds = longest_silence() * (1 if world.rank == 0 else 2)
        self._world, self._messages = world, pkl5.Intracomm(world.Dup())
        ranks = range(1, world.size) if world.rank == 0 else range(1)
        links = {rank: MpiLink(self._messages, rank) for rank in ranks}
        self.links: dict[int, Link] = dict(links)
        self._pump = MpiPump(self._messages, links.__getitem__)
        beats = world.Dup()
        self._heartbeat = (
            Heartbeat(beats, ranks, self._seconds, self._end_for) if self._seconds else None
        )

    def broadcast(self, message: Any = None) -> Any:
        return self._messages.bcast(message, 0)

    def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._pump.stop()

    def abort(self) -> None:
        # mpirun ends all ranks at once, and drops what it has not yet read of their words.
        time.sleep(_LAST_WORDS_SECONDS)
        self._world.Abort(1)

    def _end_for(self, rank: int) -> None:
        """End for a rank that is silent: whoever waits for it would wait for ever."""
        print(
            f"facegen: error: rank {rank} was not heard of for {self._seconds} seconds "
            "(its network or its machine failed, or FACEGEN_MPI_TIMEOUT is too short)",
            file=sys.stderr,
            flush=True,
        )
        self.abort()


def _mismatch(place: Place, seen: int, library: str) -> str:
    name = library.strip("\0").split(",")[0].splitlines()[0].strip()
    advice = (
        "start it with srun --mpi=pmix or --mpi=pmi2 (srun --mpi=list says what there is), or "
        "with the mpirun of this MPI"
        if place.launcher == "srun"
        else "start it with the mpirun of this MPI"
    )
    return (
        f"{place.launcher} started {place.size} tasks, but MPI ({name}) sees {seen}: "
        f"the two do not understand each other; {advice}"
    )
