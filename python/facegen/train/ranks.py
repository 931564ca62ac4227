"""Processes that train together: ranks of MPI that share every batch.

Each rank calls the same steps with the same arrays and computes a part of each batch, of which
alone it needs the images. Sums go over the ranks along the same binary tree as over a batch's
chunks, and each rank then changes its own copy of the weights in the same way. So any number of
ranks gives the same bits.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from facegen import extras
from facegen._native import CHUNK_IMAGES
from facegen.errors import FacegenError
from facegen.launchers import find_place

_LAST_WORDS_SECONDS = 0.5


class Ranks:
    """A communicator of mpi4py, and this process's place in it."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes and prints."""
        return self.rank == 0

    def part_images(self, images: int) -> int:
        """Of a rank: the smallest part that is a node of the batch's tree and is enough."""
        size = CHUNK_IMAGES
        while -(-images // size) > self.size:
            size *= 2
        return size

    def own(self, images: int) -> slice:
        """Which of a batch's images this rank computes; of others it need not have the inputs."""
        part = self.part_images(images)
        first = min(self.rank * part, images)
        return slice(first, min(first + part, images))

    def exchange(self, to: int, sent: Any, source: int, received: Any) -> None:
        """Send to one rank and receive from another; -1 is nobody. Called by the kernels."""
        if to >= 0 and source >= 0:
            self._communicator.Sendrecv(sent, to, 0, received, source, 0)
        elif to >= 0:
            self._communicator.Send(sent, to)
        elif source >= 0:
            self._communicator.Recv(received, source)

    def gather(self, array: np.ndarray, axis: int) -> None:
        """Fill in what other ranks computed: along an axis, each has its own part."""
        images = array.shape[axis]
        own = np.zeros_like(array)
        index = (*(slice(None),) * axis, self.own(images))
        own[index] = array[index]
        self._communicator.Allreduce(own, array)  # one is not 0: the order does not matter

    def first_word(self, word: str | None) -> str | None:
        """What the first rank that has anything to say says."""
        words = [each for each in self._communicator.allgather(word) if each is not None]
        return words[0] if words else None

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        found = np.zeros(1, np.int32)
        self._communicator.Allreduce(np.array([flag], np.int32), found)
        return bool(found[0])

    def told(self, message: Any) -> Any:
        """Rank 0's message, on every rank."""
        return self._communicator.bcast(message)

    def abort(self) -> None:
        """End all ranks now."""
        time.sleep(_LAST_WORDS_SECONDS)  # mpirun drops what it has not yet read
        self._communicator.Abort(1)


@contextmanager
def join(environment: Mapping[str, str] = os.environ) -> Iterator[Ranks | None]:
    """The ranks that this process was started among by mpirun or srun; None where it is alone.

    A rank that fails inside ends all others, which would wait for it: with one line that says why.
    What all ranks know of, such as a loss that is not finite, rank 0 alone raises.

    Raises
    ------
    FacegenError
        There is no MPI, or it sees other ranks than the launcher started.
    """
    place = find_place(environment)
    if place.size == 1:
        yield None
        return
    if place.launcher not in ("mpirun", "srun"):
        raise FacegenError(
            f"training on several ranks takes mpirun or srun, not {place.launcher}; "
            "FACEGEN_RANKS=off trains in each process by itself"
        )
    ranks = Ranks(_communicator(place.size))
    try:
        yield ranks
    except BaseException as error:
        if getattr(error, "of_all_ranks", False):
            if ranks.first:
                raise
            raise SystemExit(1) from None
        said = f"{error}" if isinstance(error, FacegenError) else f"{type(error).__name__}: {error}"
        print(f"facegen: error: rank {ranks.rank}: {said}", file=sys.stderr, flush=True)
        ranks.abort()
        raise


def _communicator(size: int) -> Any:
    try:
        from mpi4py import MPI
    except ModuleNotFoundError as error:
        raise FacegenError(
            f"{size} ranks were started, which needs mpi4py: {extras.install('mpi')}"
        ) from error
    except (ImportError, RuntimeError) as error:
        raise FacegenError(f"mpi4py cannot load MPI: {' '.join(str(error).split())}") from error
    world = MPI.COMM_WORLD
    if world.Get_size() != size:
        raise FacegenError(f"{size} ranks were started, but MPI sees {world.Get_size()}")
    return world.Dup()
