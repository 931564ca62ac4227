"""The server itself: uvicorn, with limits on connections, and an end that comes soon."""

from __future__ import annotations

import uvicorn
from starlette.applications import Starlette

from facegen.serve.connection import Connection

STOP_SECONDS = 2  # that answers may take which are under way when it is ended


def settings(app: Starlette) -> uvicorn.Config:
    """How a `uvicorn.Server` runs the app; it ends at SIGINT or SIGTERM and raises them then."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="critical",  # the application says what fails, in a line
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
