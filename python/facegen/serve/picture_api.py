"""The addresses of pictures that are sent once and asked for many things.

A picture is posted and gets a name. Work is posted to that name and tells of itself (`jobs.py`);
the files that it made are there to be fetched then, as are the picture itself and its colours of
any strength: small enough for a screen and as JPEG, whatever the picture came as.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facegen.networks.pix2pix import Size
from facegen.photos.encode import encode
from facegen.photos.square import SIDE
from facegen.serve import jobs, picture_work
from facegen.serve.incoming import MAX_PHOTO_BYTES, Incoming, check_kind
from facegen.serve.models import Models, offered
from facegen.serve.places import Check, Places
from facegen.serve.query import choice, number
from facegen.serve.shelf import Kept, Shelf

MOST_STRENGTH = 2.0
_SIZES: Mapping[str, Size] = {"trained": (SIDE, SIDE), "own": "own"}
_KINDS = {"png": "image/png", "jpg": "image/jpeg"}


class PictureApi:
    """What is answered of pictures that are kept."""

    def __init__(self, models: Models, places: Places, incoming: Incoming) -> None:
        self._models, self._places, self._incoming = models, places, incoming
        self._shelf = Shelf()

    def routes(self) -> list[Route]:
        picture = "/api/pictures/{picture}"
        return [
            Route("/api/pictures", self.add, methods=["POST"]),
            Route(picture, self.drop, methods=["DELETE"]),
            Route(f"{picture}/before.jpg", self.before),
            Route(f"{picture}/colour.jpg", self.coloured),
            Route(f"{picture}/colours", self.colours, methods=["POST"]),
            Route(f"{picture}/colour-file", self.colour_file, methods=["POST"]),
            Route(f"{picture}/segments", self.segments, methods=["POST"]),
            Route(f"{picture}/drawing", self.drawing, methods=["POST"]),
            Route(f"{picture}/files/{{file}}", self.file),
        ]

    async def add(self, request: Request) -> Response:
        """A picture in; its name and its size in pixels out."""
        check_kind(request)
        body = await self._incoming.uploads.take(request, MAX_PHOTO_BYTES)
        try:
            kept = await self._places.run(lambda check: Kept(self._incoming, body), request)
        except BaseException:
            body.close()
            raise
        name = self._shelf.add(kept)
        return JSONResponse({"picture": name, "width": kept.width, "height": kept.height}, 201)

    async def drop(self, request: Request) -> Response:
        """Forget a picture."""
        self._shelf.drop(request.path_params["picture"])
        return Response(status_code=204)

    async def before(self, request: Request) -> Response:
        """The picture itself."""
        kept = self._kept(request)
        return await self._jpeg(request, lambda check: kept.preview())

    async def coloured(self, request: Request) -> Response:
        """The picture in colour, once its colours were found."""
        kept, strength = self._kept(request), _strength(request)
        model = offered(self._models.colorizer, "colorizer")
        planes = kept.colours

        def work(check: Check) -> np.ndarray:
            return model.finish(kept.preview(), planes, strength, advance=lambda rows: check())

        return await self._jpeg(request, work)

    async def colours(self, request: Request) -> Response:
        """Find its colours."""
        model = offered(self._models.colorizer, "colorizer")
        return await self._job(request, partial(picture_work.find_colours, model=model))

    async def colour_file(self, request: Request) -> Response:
        """Make colour.png, at full size."""
        model = offered(self._models.colorizer, "colorizer")
        strength = _strength(request)
        return await self._job(
            request, partial(picture_work.colour_file, model=model, strength=strength)
        )

    async def segments(self, request: Request) -> Response:
        """Find what is where."""
        model = offered(self._models.segmenter, "segmentation")
        return await self._job(request, partial(picture_work.find_segments, model=model))

    async def drawing(self, request: Request) -> Response:
        """Make the pix2pix network's picture of it."""
        model = offered(self._models.pix2pix, "pix2pix")
        size = _SIZES[choice(request.query_params, "size", "trained", _SIZES)]
        return await self._job(request, partial(picture_work.draw_file, model=model, size=size))

    async def file(self, request: Request) -> Response:
        """A file that was made of it."""
        kept, name = self._kept(request), request.path_params["file"]
        data = await self._places.run(lambda check: kept.get(name), request)
        return Response(data, media_type=_KINDS[name.rpartition(".")[2]])

    def _kept(self, request: Request) -> Kept:
        return self._shelf.find(request.path_params["picture"])

    async def _job(self, request: Request, work: Callable[..., dict[str, object]]) -> Response:
        kept = self._kept(request)
        return await jobs.answer(request, self._places, lambda tell: work(kept, tell=tell))

    async def _jpeg(self, request: Request, work: Callable[[Check], np.ndarray]) -> Response:
        data = await self._places.run(lambda check: encode(work(check), "picture.jpg"), request)
        return Response(data, media_type=_KINDS["jpg"])


def _strength(request: Request) -> float:
    return number(request.query_params, "strength", 1.0, 0.0, MOST_STRENGTH)
