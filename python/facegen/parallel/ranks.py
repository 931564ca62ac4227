"""A loop over chunks on all ranks: rank 0 reads, hands out, computes too, and writes in order.

Every rank is given a few chunks ahead and gets another for each that it returns, so that slow and
fast ones finish together. What is read and not yet written is bounded. The chunks of a rank that
dies go to the others (under MPI the launcher ends the run).
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any, TypeVar

from facegen import system
from facegen.errors import FacegenError
from facegen.parallel.board import Board
from facegen.parallel.inherited import started_by_a_rank
from facegen.parallel.links import Link, LinkLost, QueueLink
from facegen.parallel.transport import Transport, connect
from facegen.pipeline import run_pipeline, run_together
from facegen.place import find_place

Input = TypeVar("Input")
Output = TypeVar("Output")
Encoded = TypeVar("Encoded")

# Chunks that a rank has at a time: one is computed, one arrives, one is encoded and returned.
CHUNKS_OF_A_RANK = 3
# Chunks read and not yet written, a rank. A rank may be this many times slower than the others
# (less those it holds) before they wait for it.
WINDOW_OF_A_RANK = 12

# How long rank 0 waits for the others at its end; they may be at their last chunk.
_GOODBYE_SECONDS = 60.0

_JOB, _END, _STOP = "job", "end", "stop"

_transport: Transport | None = None
_leaving, _left = threading.Event(), threading.Event()


def join() -> int:
    """Connect with the other ranks, if there are any; in those the call never returns.

    Ranks other than 0 compute for rank 0 until it ends, and end then. Call it early, before files
    are opened and weights are loaded; `run` calls it otherwise. A process that was started by
    itself goes on as it is, and so does one that a rank started as a tool.

    Returns
    -------
    int
        How many ranks share work from here on; 1 where there is this process alone.

    Raises
    ------
    FacegenError
        In every rank: MPI is missing, or sees another number of ranks than were started.
    """
    global _transport
    place = find_place(os.environ)
    if _transport is not None:
        return place.size
    if not place.connected or started_by_a_rank(place):
        return 1
    _transport = connect(place)
    if place.rank > 0:
        _serve(_transport)
    # Started here, since Python 3.12 refuses new threads at the exit.
    threading.Thread(target=_watch_the_end, args=[_transport], daemon=True).start()
    atexit.register(leave)
    return place.size


def leave() -> None:
    """Rank 0: let the other ranks end; registered to run at the exit."""
    global _transport
    transport, _transport = _transport, None
    if transport is None:
        return
    _leaving.set()
    for link in transport.links.values():
        try:
            link.send((_STOP, None))
            while link.receive()[0] != (_STOP, None):
                pass  # results that nobody waits for any more
        except LinkLost:
            pass
    transport.close()
    _left.set()


def _forget() -> None:
    """In a child that was forked: the links are its parent's."""
    global _transport
    _transport = None


system.after_fork_in_child(_forget)


def _watch_the_end(transport: Transport) -> None:
    """Once rank 0 leaves: end the ranks that do not let it go."""
    _leaving.wait()
    if not _left.wait(_GOODBYE_SECONDS):
        transport.abort()


def run(
    source: Iterable[Input],
    compute: Callable[[Input], Output],
    sink: Callable[[Encoded], None],
    encode: Callable[[Output], Encoded] | None = None,
    on_ranks: bool = True,
) -> float:
    """``for item in source: sink(encode(compute(item)))``, on all ranks, all of it overlapping.

    With one process it is `facegen.pipeline.run_pipeline`. With several, `source` and `sink` are
    used in rank 0 alone; `compute` and `encode` travel to the others once, pickled, so they must be
    models, functions of a module or objects of its classes. The order is kept.

    Parameters
    ----------
    source
        Gives chunks of work, say arrays of 64 latents; several a rank, for them to share evenly.
    compute
        Called with each, one at a time in a rank.
    sink
        Takes what becomes of them, in order.
    encode
        What else can be done where the chunk was computed, in a thread beside `compute`: text or
        pixels of results, so that rank 0 has only to write.
    on_ranks
        False where the work is this process's alone, though others were started with it.

    Returns
    -------
    float
        Seconds of computing, reading and writing not counted: those of the rank that computed
        longest, messages from and to it included.

    Raises
    ------
    FacegenError
        As `join`; or `compute` or `encode` cannot be pickled.
    """
    if on_ranks:
        join()
    if _transport is None or not on_ranks:
        return _run_alone(source, compute, sink, encode)
    return _run_ranks(_transport, source, compute, sink, encode)


def _run_alone(
    source: Iterable[Any], compute: Callable[[Any], Any], sink: Callable[[Any], None], encode: Any
) -> float:
    seconds = 0.0

    def timed(item: Any) -> Any:
        nonlocal seconds
        start = perf_counter()
        result = compute(item)
        seconds += perf_counter() - start
        return result

    run_pipeline(source, timed, sink if encode is None else lambda item: sink(encode(item)))
    return seconds


def _run_ranks(
    transport: Transport,
    source: Iterable[Any],
    compute: Callable[[Any], Any],
    sink: Callable[[Any], None],
    encode: Any,
) -> float:
    """In rank 0: a thread reads, one writes, and one for each rank hands chunks to it."""
    try:
        pickle.dumps((compute, encode), 5, buffer_callback=lambda buffer: None)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise FacegenError(f"what ranks compute must be picklable: {error}") from error
    for link in transport.links.values():
        _tell(link, (_JOB, None))
    transport.broadcast((compute, encode))

    board = Board(WINDOW_OF_A_RANK * (len(transport.links) + 1))
    own_end, far_end = QueueLink.pair()
    links = {0: own_end, **transport.links}
    seconds: list[float] = []

    def read() -> None:
        for item in source:
            if not board.offer(item):
                return
        board.end()

    def write() -> None:
        for result in board.results():
            sink(result)

    def here() -> None:
        _work(far_end, compute, encode)

    def feeder(rank: int) -> Callable[[], None]:
        return lambda: seconds.append(_feed(rank, links[rank], board))

    feeders = [feeder(rank) for rank in links]
    run_together([write, here, *feeders], hanging=read, stop=board.stop)
    return max(seconds)


def _feed(rank: int, link: Link, board: Board) -> float:
    """Hand chunks to a rank until all are done; gives the seconds that it computed."""
    held: dict[int, Any] = {}
    try:
        while True:
            while len(held) < CHUNKS_OF_A_RANK:
                taken = board.take(wait=not held)
                if taken is None:
                    break
                held[taken[0]] = taken[1]
                link.send(taken)
            if not held:
                break
            number, result = link.receive()[0]
            del held[number]
            if isinstance(result, _Failure):
                board.stop()  # the chunks that this rank still holds come first
                while held:
                    del held[link.receive()[0][0]]
                link.send((_END, None))
                link.receive()
                raise result.error
            board.put(number, result)
        link.send((_END, None))
        return float(link.receive()[0])
    except LinkLost:
        board.give_back(held.items())
        warnings.warn(f"rank {rank} is gone; others do its work", RuntimeWarning, stacklevel=2)
        return 0.0


def _serve(transport: Transport) -> None:
    """In the other ranks: do jobs for rank 0 until it ends, and end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all ranks; rank 0 decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    link = transport.links[0]
    try:
        while (message := link.receive()[0]) != (_STOP, None):
            if message == (_JOB, None):
                _work(link, *_received(transport))
        link.send((_STOP, None))
    except LinkLost:
        print("facegen: error: rank 0 is gone", file=sys.stderr, flush=True)
        os._exit(1)  # threads may hang in the link
    transport.close()
    sys.exit(0)


def _received(transport: Transport) -> tuple[Callable[[Any], Any], Any]:
    """The job of rank 0; one that cannot be made ready here fails with its first chunk."""
    try:
        return transport.broadcast()
    except LinkLost:
        raise
    except Exception as error:
        return _Raise(_portable(error)), None


def _work(link: Link, compute: Callable[[Any], Any], encode: Any) -> None:
    """Compute chunks from the link until its end, then tell it the seconds."""
    seconds = 0.0

    def chunks() -> Iterator[tuple[int, Any]]:
        nonlocal seconds
        while True:
            (number, chunk), arriving = link.receive()
            if number == _END:
                return
            seconds += arriving
            yield number, chunk

    def timed(item: tuple[int, Any]) -> tuple[int, Any]:
        nonlocal seconds
        start = perf_counter()
        try:
            return item[0], compute(item[1])
        except Exception as error:
            return item[0], _Failure(_portable(error))
        finally:
            seconds += perf_counter() - start

    def answer(item: tuple[int, Any]) -> None:
        nonlocal seconds
        number, result = item
        if encode is not None and not isinstance(result, _Failure):
            try:
                result = encode(result)
            except Exception as error:
                result = _Failure(_portable(error))
        start = perf_counter()
        link.send((number, result))
        seconds += perf_counter() - start

    run_pipeline(chunks(), timed, answer, depth=1)
    link.send(seconds)


class _Failure:
    """An exception, in the place of a result."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Raise:
    """A computation that fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __call__(self, item: Any) -> Any:
        raise self._error


def _portable(error: Exception) -> Exception:
    """The exception, or one of its text where it cannot be pickled and read back."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _tell(link: Link, message: Any) -> None:
    with suppress(LinkLost):  # found again, and said, when it is given work
        link.send(message)
