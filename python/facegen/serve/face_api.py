"""The addresses of faces: one, a sheet, a wall along a slider, a walk as frames and as a GIF."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facegen.media import animation
from facegen.media.pictures import grid
from facegen.photos.encode import encode
from facegen.photos.square import resized
from facegen.serve.faces import Faces, Point
from facegen.serve.models import offered
from facegen.serve.places import Check, Places
from facegen.serve.query import MAX_SEED, Query, choice, integer, number, refuse_others

SIZES = (64, 128, 256, 512)  # of one face, in pixels
SHEET_COLUMNS = 8
MOST_FACES = 64  # on a sheet or a wall
MOST_STEPS = 11  # of a face on a wall
MOST_FRAMES = 96  # of a walk
MOST_STATIONS = 12  # of a walk
GIF_SIDE = 256  # at least
GIF_RATE = 20.0  # frames a second
GIF_LEG_FRAMES = 24  # from one face to the next


class FaceApi:
    """What is answered of faces."""

    def __init__(self, faces: Faces | None, places: Places) -> None:
        self._offered, self._places = faces, places

    def routes(self) -> list[Route]:
        return [
            Route("/api/face.png", self.face),
            Route("/api/ends.png", self.ends),
            Route("/api/faces.png", self.sheet),
            Route("/api/wall.png", self.wall),
            Route("/api/walk.png", self.walk),
            Route("/api/walk.gif", self.gif),
        ]

    @property
    def _faces(self) -> Faces:
        return offered(self._offered, "faces")

    async def face(self, request: Request) -> Response:
        """One face."""
        query = request.query_params
        point = self._point(query, "size")
        size = integer(query, "size", 64, 512)
        if size not in SIZES:
            raise HTTPException(400, f"size: expected one of {SIZES}, found {size}")
        return await self._png(
            request, lambda check: resized(self._faces.images([point], check)[0], size, size)
        )

    async def ends(self, request: Request) -> Response:
        """The face with each slider at its two ends: a row a slider."""
        point = self._point(request.query_params)
        rows = len(self._faces.sliders.names)
        return await self._png(request, lambda check: grid(self._faces.ends(point, check), rows, 2))

    async def sheet(self, request: Request) -> Response:
        """Faces of seeds that follow one another, eight a row."""
        points = self._points(request.query_params)
        rows = -(-len(points) // SHEET_COLUMNS)
        return await self._png(
            request, lambda check: grid(self._faces.images(points, check), rows, SHEET_COLUMNS)
        )

    async def wall(self, request: Request) -> Response:
        """Faces of seeds, a row each, at places along one slider from end to end."""
        query, names = request.query_params, self._faces.sliders.names
        name = choice(query, "along", names[0], names)
        steps = integer(query, "steps", 7, MOST_STEPS, least=1)
        points = self._points(query, "along", "steps")

        def work(check: Check) -> np.ndarray:
            return grid(self._faces.along(points, name, steps, check), len(points), steps)

        return await self._png(request, work)

    async def walk(self, request: Request) -> Response:
        """Frames of the way from face to face, both ends among them, eight a row."""
        stations = self._stations(request.query_params, "frames")
        frames = integer(request.query_params, "frames", 48, MOST_FRAMES, least=2)
        rows = -(-frames // SHEET_COLUMNS)

        def work(check: Check) -> np.ndarray:
            return grid(self._faces.walk(stations, frames, False, check), rows, SHEET_COLUMNS)

        return await self._png(request, work)

    async def gif(self, request: Request) -> Response:
        """The way from face to face and back to the first one."""
        stations = self._stations(request.query_params)

        def work(check: Check) -> bytes:
            frames = self._faces.walk(stations, GIF_LEG_FRAMES * len(stations), True, check)
            check()
            frames = animation.enlarge(frames, -(-GIF_SIDE // frames.shape[1]))
            check()
            return animation.writer("walk.gif")(frames, GIF_RATE)

        return Response(await self._places.run(work, request), media_type="image/gif")

    async def _png(self, request: Request, work: Callable[[Check], np.ndarray]) -> Response:
        data = await self._places.run(lambda check: encode(work(check), "picture.png"), request)
        return Response(data, media_type="image/png")

    def _point(self, query: Query, *others: str) -> Point:
        """The face that seed=7&to=9&t=0.5&smile=1.5 means; `others` may stand beside it."""
        refuse_others(query, ("seed", "to", "t", *self._faces.sliders.names, *others))
        to = integer(query, "to", 0, MAX_SEED) if "to" in query else None
        seed = integer(query, "seed", 0, MAX_SEED)
        return Point(seed, to, number(query, "t", 0.0, 0.0, 1.0), self._amounts(query))

    def _points(self, query: Query, *others: str) -> list[Point]:
        """Of seeds that follow one another, all pushed alike."""
        refuse_others(query, ("first", "count", *self._faces.sliders.names, *others))
        count = integer(query, "count", 24, MOST_FACES, least=1)
        first = integer(query, "first", 0, MAX_SEED - count)
        amounts = self._amounts(query)
        return [Point(seed, amounts=amounts) for seed in range(first, first + count)]

    def _stations(self, query: QueryParams, *others: str) -> list[Point]:
        """Of face=seed%3D7%26smile%3D1&face=seed%3D9, in order."""
        refuse_others(query, ("face", *others))
        faces = query.getlist("face")
        if not 2 <= len(faces) <= MOST_STATIONS:
            raise HTTPException(400, f"face: expected 2 to {MOST_STATIONS}, found {len(faces)}")
        return [self._point(QueryParams(face)) for face in faces]

    def _amounts(self, query: Query) -> dict[str, float]:
        sliders = self._faces.sliders
        reach = sliders.reach
        return {
            name: number(query, name, 0.0, -reach, reach) for name in sliders.names if name in query
        }
