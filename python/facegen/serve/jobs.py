"""Long work whose answer is how far it is: a line of JSON each time, the result in the last one.

| line | means |
|---|---|
| `{"done": 0.4, "doing": "colouring"}` | so much of it is done, and this is begun |
| `{"result": {...}}` | it is finished |
| `{"error": "..."}` | it has failed |

A client that goes away ends it: the work stops where it tells of its progress next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from facegen.errors import FacegenError
from facegen.files.json_text import json_text
from facegen.serve.places import Check, Places

Tell = Callable[[float, str], None]  # how much is done (0 to 1), and what is begun
Work = Callable[[Tell], dict[str, Any]]
_LOG = logging.getLogger(__name__)


async def answer(request: Request, places: Places, work: Work) -> Response:
    """Run `work` in its turn and tell of it; what fails before it tells of anything is raised."""
    lines: asyncio.Queue[dict[str, Any] | Exception] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def carry_out(check: Check) -> dict[str, Any]:
        def tell(done: float, doing: str) -> None:
            check()
            line = {"done": round(done, 3), "doing": doing}
            loop.call_soon_threadsafe(lines.put_nowait, line)

        return work(tell)

    async def run() -> None:
        try:
            lines.put_nowait({"result": await places.run(carry_out, request)})
        except Exception as error:
            lines.put_nowait(error)

    running = asyncio.create_task(run())
    first = await lines.get()
    if isinstance(first, Exception):
        raise first

    async def told() -> AsyncIterator[bytes]:
        line: dict[str, Any] | Exception = first
        try:
            while "done" in (line := _of_failure(line)):
                yield _encoded(line)
                line = await lines.get()
            yield _encoded(line)
        finally:
            running.cancel()

    return StreamingResponse(told(), media_type="application/x-ndjson")


def _of_failure(line: dict[str, Any] | Exception) -> dict[str, Any]:
    if isinstance(line, HTTPException):
        return {"error": line.detail}
    if isinstance(line, FacegenError):
        return {"error": str(line)}
    if isinstance(line, ClientDisconnect):
        return {"error": "it was given up"}  # to nobody
    if isinstance(line, Exception):
        what = f"{type(line).__name__}: {line}"
        _LOG.error("%s", ascii(f"facegen: error: {what}")[1:-1])
        return {"error": what}
    return line


def _encoded(line: dict[str, Any]) -> bytes:
    return json_text(line).encode() + b"\n"
