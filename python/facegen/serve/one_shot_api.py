"""The addresses of work that is one request: a picture in, the answer out.

Drawings and digits are asked for so while they are drawn; the others are for programs.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facegen.media import digits, voc
from facegen.photos.encode import encode
from facegen.photos.photo import Photo, opaque
from facegen.serve.incoming import MAX_DRAWING_BYTES, MAX_PHOTO_BYTES, Incoming, check_kind
from facegen.serve.models import Models, offered
from facegen.serve.picture_api import MOST_STRENGTH
from facegen.serve.picture_work import coloured
from facegen.serve.places import Check, Places
from facegen.serve.query import number


class OneShotApi:
    """What is answered of pictures that are not kept."""

    def __init__(self, models: Models, places: Places, incoming: Incoming) -> None:
        self._models, self._places, self._incoming = models, places, incoming

    def routes(self) -> list[Route]:
        return [
            Route("/api/draw", self.draw, methods=["POST"]),
            Route("/api/digit", self.digit, methods=["POST"]),
            Route("/api/colorize", self.colorize, methods=["POST"]),
            Route("/api/segment", self.segment, methods=["POST"]),
        ]

    async def draw(self, request: Request) -> Response:
        """A picture in, the network's picture out."""
        model = offered(self._models.pix2pix, "pix2pix")

        def work(drawing: Photo, check: Check) -> bytes:
            return encode(model.compute([model.prepare(drawing)])[0], "drawn.png")

        return _png(await self._run(request, MAX_DRAWING_BYTES, work))

    async def digit(self, request: Request) -> Response:
        """A digit in; which it is, the probabilities of all, and what the network saw, out."""
        model = offered(self._models.digits, "digits")

        def work(drawing: Photo, check: Check) -> dict[str, object]:
            image = digits.to_mnist(opaque(drawing))
            guesses = model(image)
            return {
                "digit": int(guesses.digits[0]),
                "probabilities": [round(float(p), 6) for p in guesses.probabilities[0]],
                "seen": image.reshape(-1).tolist(),
            }

        return JSONResponse(await self._run(request, MAX_DRAWING_BYTES, work))

    async def colorize(self, request: Request) -> Response:
        """A photo in, the same in colour out, at its full size."""
        model = offered(self._models.colorizer, "colorizer")
        strength = number(request.query_params, "strength", 1.0, 0.0, MOST_STRENGTH)

        def work(photo: Photo, check: Check) -> bytes:
            (ab,) = model.compute([model.prepare(photo)])
            pixels = coloured(photo, model, ab, strength, lambda rows: check())
            return encode(pixels, "photo.png", photo.alpha, photo.profile, photo.metadata)

        return _png(await self._run(request, MAX_PHOTO_BYTES, work, keep_depth=True))

    async def segment(self, request: Request) -> Response:
        """A photo in, the class of each pixel out."""
        model = offered(self._models.segmenter, "segmentation")

        def work(photo: Photo, check: Check) -> bytes:
            (found,) = model.compute([model.prepare(photo)])
            check()
            return voc.indexed_png(model.finish(found, photo.pixels.shape[:2]))

        return _png(await self._run(request, MAX_PHOTO_BYTES, work))

    async def _run(
        self,
        request: Request,
        limit: int,
        work: Callable[[Photo, Check], object],
        keep_depth: bool = False,
    ) -> object:
        """What `work` makes of the picture that a body of up to `limit` bytes holds."""
        check_kind(request)
        async with self._incoming.uploads.receive(request, limit) as body:

            def whole(check: Check) -> object:
                with self._incoming.decoded(body.read, keep_depth) as photo:
                    check()
                    return work(photo, check)

            return await self._places.run(whole, request)


def _png(data: object) -> Response:
    return Response(data, media_type="image/png")
