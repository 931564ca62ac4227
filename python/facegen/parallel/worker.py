"""What every rank does with the chunks that it is given, and what it tells rank 0 by messages."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from facegen.parallel.links import Link, LinkLost
from facegen.parallel.transport import Transport
from facegen.pipeline import run_pipeline

# What rank 0 announces: a job, the end of one, the end of all. Other messages are numbered chunks.
JOB, END, STOP = "job", "end", "stop"


def received_job(transport: Transport) -> tuple[Callable[[Any], Any], Any, bool]:
    """The job of rank 0; one that cannot be made ready here fails with its first chunk."""
    try:
        job: tuple[Callable[[Any], Any], Any, bool] = transport.broadcast()
        return job
    except LinkLost:
        raise
    except Exception as error:
        return _Raise(_portable(error)), None, True


def work(link: Link, compute: Callable[[Any], Any], encode: Any, beside: bool) -> None:
    """Compute chunks from the link until its end, then tell it the seconds.

    `encode` and `beside` are as for `facegen.parallel.run`.
    """
    seconds = 0.0

    def chunks() -> Iterator[tuple[int, Any]]:
        nonlocal seconds
        while True:
            (number, chunk), arriving = link.receive()
            if number == END:
                return
            seconds += arriving
            yield number, chunk

    def timed(item: tuple[int, Any]) -> tuple[int, Any]:
        nonlocal seconds
        start = perf_counter()
        try:
            return item[0], compute(item[1])
        except Exception as error:
            return item[0], Failure(_portable(error))
        finally:
            seconds += perf_counter() - start

    def encoded(item: tuple[int, Any]) -> tuple[int, Any]:
        number, result = item
        if encode is not None and not isinstance(result, Failure):
            try:
                result = encode(result)
                if isinstance(result, Iterator):  # it travels whole, and is made before the clock
                    result = list(result)
            except Exception as error:
                result = Failure(_portable(error))
        return number, result

    def answer(item: tuple[int, Any]) -> None:
        nonlocal seconds
        start = perf_counter()
        link.send(item)
        seconds += perf_counter() - start

    if beside:
        run_pipeline(chunks(), timed, lambda item: answer(encoded(item)), depth=1)
    else:
        run_pipeline(chunks(), lambda item: encoded(timed(item)), answer, depth=1)
    link.send(seconds)


class Failure:
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
