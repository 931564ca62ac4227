"""Processes that train together: ranks, which share every batch or are asynchronous.

Each rank calls the same steps with the same arrays and computes a part of each batch, of which
alone it needs the images. Sums go over the ranks along the same binary tree as over a batch's
chunks, and each rank then changes its own copy of the weights in the same way. So any number of
ranks gives the same bits. Those that are asynchronous have batches of their own instead: see
`facegen.train.exchange`. Ranks with a GPU each add up there: see `facegen.train.gpu_ranks`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen import extras
from facegen._native import CHUNK_IMAGES
from facegen.errors import DeviceError, FacegenError
from facegen.launchers import find_place
from facegen.train.meet import meet
from facegen.train.star import Star, inherit, last_words

if TYPE_CHECKING:
    from facegen.train.gpu_ranks import ConnectedGpu

_LAST_WORDS_SECONDS = 0.5
_NAP_SECONDS = 2e-4  # between looks for a message: MPI's own waiting takes a whole processor
_MESSAGE, _ARRAY = 1, 2  # tags


class Ranks:
    """A communicator of mpi4py, or a `Star`, and this process's place in it.

    Attributes
    ----------
    asynchronous
        Rank 0 has the weights, and the others have batches of their own; else all share every one.
    gpu
        This rank's, connected with the others'; None: on the CPU.
    """

    def __init__(self, communicator: Any, asynchronous: bool = False) -> None:
        self._communicator, self.asynchronous = communicator, asynchronous
        self.gpu: ConnectedGpu | None = None
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes and prints."""
        return self.rank == 0

    @property
    def by_messages(self) -> bool:
        """Whether MPI connects them, so that they can train on the CPU."""
        return not isinstance(self._communicator, Star)

    def require_messages(self) -> None:
        """Refuse ranks that have no MPI, whose GPUs alone can add up: DeviceError."""
        if not self.by_messages:
            raise DeviceError(
                "on the CPU several ranks are those of mpirun or srun; those of torchrun and "
                "facegen launch train on GPUs, one each"
            )

    def part_images(self, images: int) -> int:
        """Of a rank on the CPU: the smallest node of the batch's tree that is enough."""
        size = CHUNK_IMAGES
        while -(-images // size) > self.size:
            size *= 2
        return size

    def own(self, images: int) -> slice:
        """Which of a batch's images this rank computes; of others it need not have the inputs."""
        if self.gpu is not None:
            return slice(images * self.rank // self.size, images * (self.rank + 1) // self.size)
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

    def all(self, value: Any) -> list[Any]:
        """What each rank says: strings, numbers and lists of these."""
        values: list[Any] = self._communicator.allgather(value)
        return values

    def first_word(self, word: str | None) -> str | None:
        """What the first rank that has anything to say says."""
        words = [each for each in self.all(word) if each is not None]
        return words[0] if words else None

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        found = np.zeros(1, np.int32)
        self._communicator.Allreduce(np.array([flag], np.int32), found)
        return bool(found[0])

    def told(self, message: Any) -> Any:
        """Rank 0's message, on every rank."""
        return self._communicator.bcast(message)

    def send(self, to: int, message: Any, array: np.ndarray | None = None) -> None:
        """Send a rank something that is pickled, and maybe an array, which is not."""
        self._communicator.send(message, to, _MESSAGE)
        if array is not None:
            self._communicator.Send(array, to, _ARRAY)

    def receive(self, source: int | None = None) -> tuple[int, Any]:
        """Wait for a message of a rank, or of any; which it is of, and the message."""
        from mpi4py import MPI

        status = MPI.Status()
        while not self._communicator.iprobe(
            MPI.ANY_SOURCE if source is None else source, _MESSAGE, status
        ):
            time.sleep(_NAP_SECONDS)
        source = status.Get_source()
        return source, self._communicator.recv(None, source, _MESSAGE)

    def receive_array(self, source: int, array: np.ndarray) -> None:
        """Fill in what a rank sent with its message."""
        self._communicator.Recv(array, source, _ARRAY)

    def abort(self) -> None:
        """End all ranks now."""
        time.sleep(_LAST_WORDS_SECONDS)  # mpirun drops what it has not yet read
        self._communicator.Abort(1)

    def close(self) -> None:
        """Training has ended, on every rank. GPUs stay connected where a trainer still has them."""
        if self.gpu is not None:
            self.gpu.close(keep=any(self.all(self.gpu.is_used)))
        self.leave()

    def leave(self) -> None:
        """This rank ends, as the others know."""
        if isinstance(self._communicator, Star):
            self._communicator.leave()


def of_all(error: BaseException) -> None:
    """Every rank raises the like of it by itself: rank 0's is said, and no rank need be ended."""
    vars(error)["of_all_ranks"] = True


@contextmanager
def alike(ranks: Ranks | None) -> Iterator[None]:
    """What every rank does by itself before training: where one fails all end, and one says why.

    Rank 0 raises its own failure, else the first other's as a FacegenError.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    if ranks is not None:
        word = ranks.first_word(
            None if failure is None else f"rank {ranks.rank}: {said(failure)}"
        )
        if word is not None:
            failure = failure or FacegenError(word)
            of_all(failure)
    if failure is not None:
        raise failure


@contextmanager
def join(
    environment: Mapping[str, str] = os.environ, asynchronous: bool = False
) -> Iterator[Ranks | None]:
    """The ranks that this process was started among; None where it is alone.

    They are those of mpirun and srun, which MPI connects; or, for training on GPUs, those of
    torchrun, or of whatever sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as it
    does, and of `facegen launch`.

    A rank that fails inside ends all others, which would wait for it: with one line that says why.
    What all ranks know of, such as a loss that is not finite, rank 0 alone raises.

    Raises
    ------
    FacegenError
        There is no MPI, or it sees other ranks than the launcher started; ranks do not meet; or
        asynchronous training has no second rank, or no MPI.
    """
    place = find_place(environment)
    if place.size == 1:
        if asynchronous:
            raise FacegenError(
                "asynchronous training takes at least 2 ranks, of which the first has the weights: "
                "mpirun -n 3 ..."
            )
        yield None
        return
    by_mpi = place.launcher in ("mpirun", "srun")
    if asynchronous and not by_mpi:
        raise FacegenError(f"asynchronous training takes mpirun or srun, not {place.launcher}")
    if by_mpi:
        communicator = _communicator(place.size)
    else:
        communicator = inherit(place) if place.launcher == "launch" else meet(place, environment)
    ranks = Ranks(communicator, asynchronous)
    try:
        yield ranks
        ranks.close()
    except BaseException as error:
        if getattr(error, "of_all_ranks", False):
            ranks.leave()
            if ranks.first:
                raise
            raise SystemExit(0) from None  # a launcher joins their exit codes
        last_words(f"rank {ranks.rank}: {said(error)}")
        ranks.abort()
        raise


def said(error: BaseException) -> str:
    """An error in a line."""
    return f"{error}" if isinstance(error, FacegenError) else f"{type(error).__name__}: {error}"


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
