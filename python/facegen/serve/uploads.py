"""Bodies of requests while they come in: on disk, in bounded time, and not too many of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from facegen.serve.connection import LEAST_RATE

IN_MEMORY = 256 << 10  # of one body; drawings stay below
GRACE_SECONDS = 20.0  # that a body may take beside what LEAST_RATE gives it


class Uploads:
    """All bodies that are here at a time; what would be more than `budget` bytes is refused."""

    def __init__(self, budget: int) -> None:
        self._left = budget

    @asynccontextmanager
    async def receive(self, request: Request, limit: int) -> AsyncIterator[Callable[[], bytes]]:
        """A body of up to `limit` bytes; gives what reads it, from any thread.

        Raises
        ------
        HTTPException
            It is longer, comes too slowly, or there are too many others.
        ClientDisconnect
            It was broken off.
        """
        announced = request.headers.get("content-length", "")
        size, waited = 0, 0.0
        with SpooledTemporaryFile(IN_MEMORY) as file:

            def read() -> bytes:
                file.seek(0)
                return file.read()

            try:
                more = True
                while more:
                    if size > limit or (announced.isdecimal() and int(announced) > limit):
                        raise HTTPException(413, f"more than {limit:,} bytes")
                    start = asyncio.get_running_loop().time()
                    chunk, more = await _chunk(request, GRACE_SECONDS + size / LEAST_RATE - waited)
                    waited += asyncio.get_running_loop().time() - start
                    if len(chunk) > self._left:
                        busy = {"Retry-After": "5", "Connection": "close"}
                        raise HTTPException(503, "too many uploads; try again in a moment", busy)
                    self._left -= len(chunk)
                    size += len(chunk)
                    file.write(chunk)
                if size > limit:
                    raise HTTPException(413, f"more than {limit:,} bytes")
                yield read
            finally:
                self._left += size


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
