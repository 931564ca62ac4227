"""The addresses of the page and what they answer (docs/serve.md lists them)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from facegen import FacegenError, __version__
from facegen.serve.face_api import FaceApi
from facegen.serve.faces import Faces
from facegen.serve.guard import Guard
from facegen.serve.incoming import Incoming
from facegen.serve.listening import checked_prefix
from facegen.serve.models import Models
from facegen.serve.one_shot_api import OneShotApi
from facegen.serve.picture_api import PictureApi
from facegen.serve.places import Places
from facegen.serve.prefix import Prefix


def create_app(models: Models, token: str | None = None, prefix: str = "") -> Starlette:
    """The application, ready for any ASGI server.

    Parameters
    ----------
    token
        What every request must know (`facegen.serve.guard`); without one, it answers only to this
        machine's own names.
    prefix
        The path that requests have in front of the addresses, "/facegen"; "" where they have none.

    Raises
    ------
    FacegenError
        The prefix is no path (`facegen.serve.listening.checked_prefix`).
    """
    places, incoming = Places(), Incoming()
    faces = None if models.generator is None else Faces(models.generator, models.traits)
    static = Path(str(files("facegen.serve"))) / "static"
    routes: list[BaseRoute] = [
        Route("/", lambda request: FileResponse(static / "index.html")),
        Mount("/static", StaticFiles(directory=static)),
        Route("/api/info", lambda request: JSONResponse(_info(models, faces))),
        *FaceApi(faces, places).routes(),
        *PictureApi(models, places, incoming).routes(),
        *OneShotApi(models, places, incoming).routes(),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _http_error,
            FacegenError: lambda request, error: _error(400, str(error)),
            ClientDisconnect: lambda request, error: Response(status_code=499),  # to nobody
        },
    )
    app.add_middleware(Guard, token=token)
    if prefix:
        app.add_middleware(Prefix, prefix=checked_prefix(prefix))  # around the guard
    app.state.places = places
    return app


def _info(models: Models, faces: Faces | None) -> dict[str, Any]:
    """What the page has, and says where a network is absent or a better one is to be had."""
    sliders = None if faces is None else faces.sliders
    return {
        "version": __version__,
        "faces": faces is not None,
        "draw": models.pix2pix is not None,
        "colorize": models.colorizer is not None,
        "segment": models.segmenter is not None,
        "digits": models.digits is not None,
        "sliders": [] if sliders is None else sliders.names,
        "reach": 0 if sliders is None else sliders.reach,
        "side": 0 if models.generator is None else models.generator.image_shape.height,
        "hints": dict(models.hints),
    }


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, error.headers)


def _error(status: int, message: str, headers: Any = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
