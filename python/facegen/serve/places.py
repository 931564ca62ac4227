"""Room for work: some at once, some waiting in turn, the rest refused.

Work is given up where its client goes away: it is not begun, or it ends at its next `Check`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from facegen.serve.connection import CONNECTIONS

AT_ONCE = 2  # requests that compute at once ...
WAITING = CONNECTIONS  # ... and that wait for it; others are sent away
LOOK_SECONDS = 0.1  # from one look at whether a client is still there to the next

Check = Callable[[], None]  # raises ClientDisconnect where nobody waits for the work any more


def unchecked() -> None:
    """The `Check` of work that somebody waits for in any case."""


class Places:
    """Runs work in threads: some at once, some waiting, in turn, the rest refused."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="facegen-serve")
        self._free = asyncio.Semaphore(at_once)
        self._limit = at_once + waiting
        self._taken = 0
        self._computing = 0

    @property
    def taken(self) -> int:
        """Requests that compute or wait now."""
        return self._taken

    @property
    def busy(self) -> bool:
        """Whether a thread computes now, perhaps for nobody any more."""
        return self._computing > 0

    async def run(self, work: Callable[[Check], Any], request: Request) -> Any:
        """What `work` returns, which calls its `Check` between pieces of what it does.

        Raises
        ------
        HTTPException
            There is no room.
        ClientDisconnect
            The client has gone.
        """
        if self._taken >= self._limit:
            raise HTTPException(503, "busy; try again in a second", {"Retry-After": "1"})
        with self._place():
            async with self._free:
                if await request.is_disconnected():
                    raise ClientDisconnect
                with _watched(request) as check:
                    return await asyncio.get_running_loop().run_in_executor(
                        self._threads, self._counted, work, check
                    )

    def _counted(self, work: Callable[[Check], Any], check: Check) -> Any:
        self._computing += 1
        try:
            check()  # it may have waited for threads whose work was given up
            return work(check)
        finally:
            self._computing -= 1

    @contextmanager
    def _place(self) -> Iterator[None]:
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


@contextmanager
def _watched(request: Request) -> Iterator[Check]:
    """A `Check` for a thread; the client counts as gone, too, once the context has ended."""
    gone = threading.Event()

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(LOOK_SECONDS)
        gone.set()

    def check() -> None:
        if gone.is_set():
            raise ClientDisconnect

    watching = asyncio.create_task(watch())
    try:
        yield check
    finally:
        watching.cancel()
        gone.set()
