"""Who may ask this server, and how often.

Every web site that is open in a browser can send requests to a server on its machine or in its
network. So a request is not answered if another site has sent it (``Origin``, ``Sec-Fetch-Site``);
a link to the page itself may stand anywhere. Beyond that, a server that listens on this machine
alone answers if ``Host`` is this machine by name (a site that gives its own name this machine's
address is turned away). One with a token, for other machines or behind a proxy, answers to whoever
knows it: ``?token=`` in the page's address, the cookie that this sets, ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import logging
import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = {"localhost", "127.0.0.1", "::1"}
COOKIE = "facegen-token"
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

    def __init__(
        self,
        app: ASGIApp,
        token: str | None = None,
        per_second: float = PER_SECOND,
        burst: int = BURST,
    ) -> None:
        self._app, self._token = app, token
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
                if refusal is None and self._token is not None and _is_page(scope):
                    cookie = f"{_cookie_name(scope)}={self._token}; HttpOnly; SameSite=Lax"
                    headers["Set-Cookie"] = cookie
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        app = refusal or self._app
        try:
            await app(scope, receive, with_headers)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            line = f"facegen: error: {scope['method']} {scope['path']}: {what}"
            _LOG.error("%s", ascii(line)[1:-1])  # nothing that could steer a terminal
            if not begun:
                await _error(500, what)(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._token is None and _name_of(host) not in HOSTS:
            return _error(403, f"this server answers to localhost alone, not to {host!r}")
        linked = _is_page(scope) and headers.get("sec-fetch-dest") == "document"
        other_site = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if (other_site and not linked) or (origin is not None and not self._is_own(origin, host)):
            return _error(403, "requests of other web sites are not answered")
        if not self._bucket.take():
            return _error(429, "too many requests; wait a second", {"Retry-After": "1"})
        if self._token is not None and not self._knows_token(scope, headers):
            return _error(401, "open the address with the token that facegen serve has printed")
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        """A proxy may speak TLS to the browser and not to this server."""
        return origin == f"http://{host}" or (
            self._token is not None and origin == f"https://{host}"
        )

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        assert self._token is not None
        given = [headers.get("authorization", "").removeprefix("Bearer "), _cookie(scope, headers)]
        if _is_page(scope):
            given.append(QueryParams(scope["query_string"]).get("token", ""))
        expected = self._token.encode()
        return any([hmac.compare_digest(each.encode(), expected) for each in given])


def _is_page(scope: Scope) -> bool:
    """Whether it is the page itself that is asked for, wherever the application is mounted."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path == "/" and scope["method"] in ("GET", "HEAD")


def _cookie_name(scope: Scope) -> str:
    """Browsers keep one cookie of a name for all ports of a host."""
    return f"{COOKIE}-{scope['server'][1]}"


def _cookie(scope: Scope, headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(scope))
    except CookieError:
        return ""
    return "" if found is None else found.value


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
    """ "localhost" of "localhost:8000"; None where that is no host."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> ASGIApp:
    return JSONResponse({"error": message}, status, headers)
