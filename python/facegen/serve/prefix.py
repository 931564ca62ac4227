"""The page below a path, for proxies that hand requests on with the path that they came with."""

from __future__ import annotations

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """ASGI middleware around the whole application, which is found below `prefix` alone."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(f"{self._prefix}/"):
            await self._app({**scope, "root_path": self._prefix}, receive, send)
        else:
            await self._elsewhere(scope)(scope, receive, send)

    def _elsewhere(self, scope: Scope) -> Response:
        page = f"{self._prefix}/"
        if scope["path"] != self._prefix:
            return JSONResponse({"error": f"the page is at {page}"}, 404)
        query = scope["query_string"].decode("latin-1")  # which may have the token
        return RedirectResponse(f"{page}?{query}" if query else page)
