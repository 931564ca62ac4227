"""The addresses of the page and what they answer (docs/serve.md lists them)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from facegen import FacegenError, __version__
from facegen.media.pictures import grid
from facegen.photos import photo as photos
from facegen.photos.encode import encode
from facegen.photos.square import resized
from facegen.pictures.memory import PixelBudget
from facegen.serve.connection import CONNECTIONS
from facegen.serve.faces import DIRECTIONS, Faces, Point
from facegen.serve.guard import Guard
from facegen.serve.uploads import Uploads

if TYPE_CHECKING:
    from facegen.networks.colorizer import Colorizer
    from facegen.networks.dcgan import Generator
    from facegen.networks.pix2pix import Pix2Pix

SHEET = (8, 3)  # columns and rows of a sheet of faces
SIZES = (64, 128, 256, 512)  # of one face, in pixels
MAX_SEED = 2**53 - 1  # what JavaScript counts exactly
MAX_DRAWING_BYTES = 2 << 20
MAX_PHOTO_BYTES = 40 << 20
MAX_PHOTO_PIXELS = 50_000_000  # of a photo, and of all that are decoded at a time
MAX_PHOTO_SIDE = 32_767  # work is done by bands of whole rows
MAX_UPLOADS_BYTES = 4 << 30  # of all bodies that are here at a time, on disk
AT_ONCE = 2  # requests that compute at once ...
WAITING = CONNECTIONS  # ... and that wait for it; others are sent away


_Decoded = Callable[[], AbstractContextManager[photos.Photo]]


@dataclass(frozen=True)
class Models:
    """What the page has to play with; what is None is not offered."""

    generator: Generator | None = None
    pix2pix: Pix2Pix | None = None
    colorizer: Colorizer | None = None


def create_app(models: Models) -> Starlette:
    """The application, ready for any ASGI server."""
    api = _Api(models)
    static = Path(str(files("facegen.serve"))) / "static"
    app = Starlette(
        routes=[
            Route("/", lambda request: FileResponse(static / "index.html")),
            Mount("/static", StaticFiles(directory=static)),
            Route("/api/info", api.info),
            Route("/api/faces.png", api.faces),
            Route("/api/face.png", api.face),
            Route("/api/ends.png", api.ends),
            Route("/api/draw", api.draw, methods=["POST"]),
            Route("/api/colorize", api.colorize, methods=["POST"]),
        ],
        exception_handlers={
            HTTPException: _http_error,
            FacegenError: lambda request, error: _error(400, str(error)),
            ClientDisconnect: lambda request, error: Response(status_code=499),  # to nobody
        },
    )
    app.add_middleware(Guard)
    app.state.places = api.places
    return app


class _Api:
    """What the application answers: one method an address."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._faces = None if models.generator is None else Faces(models.generator)
        self.places = _Places(AT_ONCE, WAITING)
        self._uploads = Uploads(MAX_UPLOADS_BYTES)
        self._pixels = PixelBudget(MAX_PHOTO_PIXELS)

    async def info(self, request: Request) -> Response:
        return JSONResponse(
            {
                "version": __version__,
                "faces": self._faces is not None,
                "draw": self._models.pix2pix is not None,
                "colorize": self._models.colorizer is not None,
                "directions": DIRECTIONS,
                "sheet": {"columns": SHEET[0], "rows": SHEET[1]},
            }
        )

    async def faces(self, request: Request) -> Response:
        """A sheet of faces of seeds that follow one another."""
        faces = _offered(self._faces, "faces")
        columns, rows = SHEET
        first = _integer(request, "first", 0, MAX_SEED - columns * rows)
        count = columns * rows
        return await self._png(request, lambda: grid(faces.seeds(first, count), rows, columns))

    async def face(self, request: Request) -> Response:
        """One face."""
        faces, point = _offered(self._faces, "faces"), _point(request)
        size = _integer(request, "size", 64, 512)
        if size not in SIZES:
            raise HTTPException(400, f"size: expected one of {SIZES}, found {size}")
        return await self._png(request, lambda: resized(faces.images([point])[0], size, size))

    async def ends(self, request: Request) -> Response:
        """The face with each slider at its two ends: a row a slider."""
        faces, point = _offered(self._faces, "faces"), _point(request)
        return await self._png(request, lambda: grid(faces.ends(point), DIRECTIONS, 2))

    async def draw(self, request: Request) -> Response:
        """A picture in, the network's picture out."""
        model = _offered(self._models.pix2pix, "pix2pix")
        async with self._picture(request, MAX_DRAWING_BYTES) as picture:

            def work() -> np.ndarray:
                with picture() as drawing:
                    return model.compute([model.prepare(drawing)])[0]

            return await self._png(request, work)

    async def colorize(self, request: Request) -> Response:
        """A photo in, the same in colour out, at its full size."""
        model = _offered(self._models.colorizer, "colorizer")
        strength = _number(request, "strength", 1.0, 0.0, 2.0)
        async with self._picture(request, MAX_PHOTO_BYTES) as picture:

            def work() -> bytes:
                with picture() as photo:
                    pixels = model(photo.pixels, strength=strength)
                    return encode(pixels, "photo.png", photo.alpha, photo.profile, photo.metadata)

            return Response(await self.places.run(work, request), media_type="image/png")

    async def _png(self, request: Request, work: Callable[[], np.ndarray]) -> Response:
        data = await self.places.run(lambda: encode(work(), "picture.png"), request)
        return Response(data, media_type="image/png")

    @asynccontextmanager
    async def _picture(self, request: Request, limit: int) -> AsyncIterator[_Decoded]:
        """Receive a picture of up to `limit` bytes; what is given decodes it, in a thread."""
        kind = request.headers.get("content-type", "")
        if not kind.startswith("image/"):
            raise HTTPException(
                415, f"expected a picture (Content-Type: image/...), found {kind!r}"
            )
        async with self._uploads.receive(request, limit) as read:

            @contextmanager
            def decoded() -> Iterator[photos.Photo]:
                data = read()
                pixels = _checked_pixels(data)
                self._pixels.take(pixels)  # waits while others are worked on
                try:
                    yield photos.decode(data)
                finally:
                    self._pixels.give_back(pixels)

            yield decoded


class _Places:
    """Runs work in threads: some at once, some waiting, in turn, the rest refused."""

    def __init__(self, at_once: int, waiting: int) -> None:
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


def _point(request: Request) -> Point:
    """The face that ?seed=7&to=9&t=0.5&d=0,0.3,-1 means."""
    query = request.query_params
    sliders = tuple(
        _within("d", text, -1.0, 1.0) for text in query.get("d", "").split(",") if text != ""
    )
    if len(sliders) > DIRECTIONS:
        raise HTTPException(400, f"d: expected up to {DIRECTIONS} numbers, found {len(sliders)}")
    to = _integer(request, "to", 0, MAX_SEED) if "to" in query else None
    seed = _integer(request, "seed", 0, MAX_SEED)
    return Point(seed, to, _number(request, "t", 0.0, 0.0, 1.0), sliders)


def _integer(request: Request, name: str, default: int, largest: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= largest):
        raise HTTPException(400, f"{name}: expected 0 to {largest}, found {text[:40]!r}")
    return int(text)


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    return _within(name, request.query_params.get(name, str(default)), low, high)


def _within(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise HTTPException(400, f"{name}: expected {low:g} to {high:g}, found {text[:40]!r}")
    return value


def _checked_pixels(data: bytes) -> int:
    """How many pixels a picture has by its header; too many are refused before any is decoded."""
    height, width = photos.size(data)
    if height * width > MAX_PHOTO_PIXELS:
        raise HTTPException(413, f"more than {MAX_PHOTO_PIXELS:,} pixels: {width} x {height}")
    if max(height, width) > MAX_PHOTO_SIDE:
        raise HTTPException(413, f"more than {MAX_PHOTO_SIDE:,} pixels a side: {width} x {height}")
    return height * width


def _offered(model: Any, what: str) -> Any:
    if model is None:
        raise HTTPException(404, f"the server was started without a {what} network")
    return model


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, error.headers)


def _error(status: int, message: str, headers: Any = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
