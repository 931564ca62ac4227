"""Who may ask this server, and how often.

It listens on this machine alone, but every web site open in a browser here can send requests to it.
So a request is answered only if its ``Host`` is this machine by name (a site that gives its own
name this machine's address is turned away), and if no other site has sent it (``Origin``,
``Sec-Fetch-Site``).
"""

from __future__ import annotations

import logging
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = {"localhost", "127.0.0.1", "::1"}
PER_SECOND = 50  # requests on average
BURST = 600  # requests at once; more than there may be connections

_LOG = logging.getLogger(__name__)

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, per_second: float = PER_SECOND, burst: int = BURST) -> None:
        self._app = app
        self._bucket = _Bucket(per_second, burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSockets here

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        app = self._refusal(Headers(scope=scope)) or self._app
        try:
            await app(scope, receive, with_headers)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            line = f"facegen: error: {scope['method']} {scope['path']}: {what}"
            _LOG.error("%s", ascii(line)[1:-1])  # nothing that could steer a terminal
            if not begun:
                await _error(500, what)(scope, receive, with_headers)

    def _refusal(self, headers: Headers) -> ASGIApp | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if _name_of(host) not in HOSTS:
            return _error(403, f"this server answers to localhost alone, not to {host!r}")
        other_site = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if other_site or (origin is not None and origin != f"http://{host}"):
            return _error(403, "requests of other web sites are not answered")
        if not self._bucket.take():
            return _error(429, "too many requests; wait a second", {"Retry-After": "1"})
        return None


class _Bucket:
    """Tokens that come at a rate and are taken one a request."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._time = float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens += (now - self._time) * self._per_second
        self._tokens, self._time = min(self._tokens, self._burst), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _name_of(host: str) -> str | None:
    """"localhost" of "localhost:8000"; None where that is no host."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> ASGIApp:
    return JSONResponse({"error": message}, status, headers)
