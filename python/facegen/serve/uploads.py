"""Bodies of requests while they come in: on disk, in bounded time, and not too many of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from facegen.serve.connection import LEAST_RATE

IN_MEMORY = 256 << 10  # of one body; drawings stay below
GRACE_SECONDS = 20.0  # that a body may take beside what LEAST_RATE gives it


class Body:
    """One body: read from any thread, and closed by whoever has it last."""

    def __init__(self, budget: Uploads) -> None:
        self._budget = budget
        self._file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed in `close`
        self._lock = threading.Lock()
        self.size = 0

    def read(self) -> bytes:
        """All of it; 404 where it was closed meanwhile."""
        with self._lock:
            if self._file.closed:
                raise HTTPException(404, "this picture is not kept any more; send it again")
            self._file.seek(0)
            return self._file.read()

    def append(self, chunk: bytes) -> None:
        """Take what came next; HTTPException where there are too many others."""
        if len(chunk) > self._budget.left:
            busy = {"Retry-After": "5", "Connection": "close"}
            raise HTTPException(503, "too many uploads; try again in a moment", busy)
        self._budget.left -= len(chunk)
        self.size += len(chunk)
        self._file.write(chunk)

    def close(self) -> None:
        """Give its room back."""
        with self._lock:
            self._file.close()
        self._budget.left += self.size
        self.size = 0


class Uploads:
    """All bodies that are here at a time; what would be more than `budget` bytes is refused."""

    def __init__(self, budget: int) -> None:
        self.left = budget

    @asynccontextmanager
    async def receive(self, request: Request, limit: int) -> AsyncIterator[Body]:
        """A body of up to `limit` bytes, as long as the context lasts; raises as `take`."""
        body = await self.take(request, limit)
        try:
            yield body
        finally:
            body.close()

    async def take(self, request: Request, limit: int) -> Body:
        """A body of up to `limit` bytes, for the caller to close.

        Raises
        ------
        HTTPException
            It is longer, comes too slowly, or there are too many others.
        ClientDisconnect
            It was broken off.
        """
        announced = request.headers.get("content-length", "")
        body, waited, more = Body(self), 0.0, True
        try:
            while more:
                if body.size > limit or (announced.isdecimal() and int(announced) > limit):
                    raise HTTPException(413, f"more than {limit:,} bytes")
                start = asyncio.get_running_loop().time()
                seconds = GRACE_SECONDS + body.size / LEAST_RATE - waited
                chunk, more = await _chunk(request, seconds)
                waited += asyncio.get_running_loop().time() - start
                body.append(chunk)
            if body.size > limit:
                raise HTTPException(413, f"more than {limit:,} bytes")
        except BaseException:
            body.close()
            raise
        return body


async def _chunk(request: Request, seconds: float) -> tuple[bytes, bool]:
    """What comes next of a body, and whether there is more."""
    try:
        message = await asyncio.wait_for(request.receive(), max(seconds, 0.0))
    except asyncio.TimeoutError:
        slow = f"the body came at less than {LEAST_RATE >> 10} KiB a second"
        raise HTTPException(408, slow, {"Connection": "close"}) from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)
