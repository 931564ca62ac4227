"""Room for work: some at once, some waiting in turn, the rest refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from facegen.serve.connection import CONNECTIONS

AT_ONCE = 2  # requests that compute at once ...
WAITING = CONNECTIONS  # ... and that wait for it; others are sent away


class Places:
    """Runs work in threads: some at once, some waiting, in turn, the rest refused."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="facegen-serve")
        self._free = asyncio.Semaphore(at_once)
        self._limit = at_once + waiting
        self._taken = 0
        self._computing = 0

    @property
    def busy(self) -> bool:
        """Whether a thread computes now, perhaps for nobody any more."""
        return self._computing > 0

    async def run(self, work: Callable[[], Any], request: Request | None = None) -> Any:
        """What `work` returns; it is not begun where the request is given up meanwhile."""
        if self._taken >= self._limit:
            raise HTTPException(503, "busy; try again in a second", {"Retry-After": "1"})
        with self._place():
            async with self._free:
                if request is not None and await request.is_disconnected():
                    raise ClientDisconnect
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._counted, work
                )

    def _counted(self, work: Callable[[], Any]) -> Any:
        self._computing += 1
        try:
            return work()
        finally:
            self._computing -= 1

    @contextmanager
    def _place(self) -> Iterator[None]:
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
