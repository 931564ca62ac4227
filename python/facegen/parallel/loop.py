"""A loop over chunks on all ranks: rank 0 reads, hands out, computes too, and writes in order.

Every rank is given a few chunks ahead and gets another for each that it returns, so that slow and
fast ones finish together. What is read and not yet written is bounded. The chunks of a rank that
dies go to the others (under MPI the launcher ends the run).
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any, TypeVar

from facegen.errors import FacegenError
from facegen.parallel.board import Board
from facegen.parallel.links import Link, LinkLost, QueueLink
from facegen.parallel.membership import join, transport_of_ranks
from facegen.parallel.transport import Transport
from facegen.parallel.worker import END, JOB, Failure, work
from facegen.pipeline import run_pipeline, run_together

Input = TypeVar("Input")
Output = TypeVar("Output")
Encoded = TypeVar("Encoded")

# Chunks that a rank has at a time: one is computed, one arrives, one is encoded and returned.
CHUNKS_OF_A_RANK = 3
# Chunks read and not yet written, a rank. A rank may be this many times slower than the others
# (less those it holds) before they wait for it.
WINDOW_OF_A_RANK = 12


def run(
    source: Iterable[Input],
    compute: Callable[[Input], Output],
    sink: Callable[[Encoded], None],
    encode: Callable[[Output], Encoded] | None = None,
    on_ranks: bool = True,
    beside: bool = True,
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
        What else can be done where the chunk was computed: text or pixels of results, so that rank
        0 has only to write. It may give an iterator: with one process what that gives is made while
        the sink goes through it, from ranks it comes as a list.
    on_ranks
        False where the work is this process's alone, though others were started with it.
    beside
        Whether `encode` runs in a thread beside `compute`; False: after it, in its thread, which is
        better where each of them takes all processors. What an iterator gives is made beside it
        all the same.

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
    transport = transport_of_ranks() if on_ranks else None
    if transport is None:
        return _run_alone(source, compute, sink, encode, beside)
    return _run_ranks(transport, source, compute, sink, encode, beside)


def _run_alone(
    source: Iterable[Any],
    compute: Callable[[Any], Any],
    sink: Callable[[Any], None],
    encode: Any,
    beside: bool,
) -> float:
    seconds = 0.0

    def timed(item: Any) -> Any:
        nonlocal seconds
        start = perf_counter()
        result = compute(item)
        seconds += perf_counter() - start
        return result

    if encode is None:
        run_pipeline(source, timed, sink)
    elif beside:
        run_pipeline(source, timed, lambda result: sink(encode(result)))
    else:
        run_pipeline(source, lambda item: encode(timed(item)), sink)
    return seconds


def _run_ranks(
    transport: Transport,
    source: Iterable[Any],
    compute: Callable[[Any], Any],
    sink: Callable[[Any], None],
    encode: Any,
    beside: bool,
) -> float:
    """Rank 0's part: a thread reads, one writes, and one for each rank hands chunks to it."""
    try:
        pickle.dumps((compute, encode), 5, buffer_callback=lambda buffer: None)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise FacegenError(f"what ranks compute must be picklable: {error}") from error
    for link in transport.links.values():
        _tell(link, (JOB, None))
    transport.broadcast((compute, encode, beside))

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
        work(far_end, compute, encode, beside)

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
            if isinstance(result, Failure):
                board.stop()  # the chunks that this rank still holds come first
                while held:
                    del held[link.receive()[0][0]]
                link.send((END, None))
                link.receive()
                raise result.error
            board.put(number, result)
        link.send((END, None))
        return float(link.receive()[0])
    except LinkLost:
        board.give_back(held.items())
        warnings.warn(f"rank {rank} is gone; others do its work", RuntimeWarning, stacklevel=2)
        return 0.0


def _tell(link: Link, message: Any) -> None:
    with suppress(LinkLost):  # found again, and said, when it is given work
        link.send(message)
