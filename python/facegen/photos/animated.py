"""Animations as Pillow plays them: GIF, WebP, PNG and AVIF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image

from facegen.photos import deep, metadata
from facegen.photos.photo import Photo, described, of_opened, open_image
from facegen.photos.refused import checked_size, refusing_damage

FOR_EVER = 0
_MOST_MILLISECONDS = 65_535  # that a frame is shown: what all formats can say


class Animation:
    """The frames of an animation, for a ``with`` block; FormatError as for `decode`.

    Attributes
    ----------
    count
        Of frames; of a picture that is none 1.
    plays
        How often they are shown, or `FOR_EVER`.
    """

    def __init__(self, data: bytes) -> None:
        with refusing_damage():
            self._image = open_image(data, animated=True)
            self._info: dict[Any, Any] = {**self._image.info, **described(data)}
            checked_size(self._image)
            # Of a PNG the picture for readers of no animations may be another one.
            self._first = 1 if self._info.get("default_image") else 0
            self.count = int(getattr(self._image, "n_frames", 1)) - self._first
            self.plays = _plays(self._image)

    def __enter__(self) -> Animation:
        return self

    def __exit__(self, *error: object) -> None:
        self._image.close()

    def photos(self) -> Iterator[tuple[Photo, int]]:
        """Each frame, whole, and the milliseconds that it is shown."""
        turned, about = metadata.orientation(self._info), metadata.read(self._info)
        for index in range(self._first, self._first + self.count):
            with refusing_damage():
                self._image.seek(index)
                self._image.load()
                shown = self._image.info.get("duration") or 0
                frame = deep.to_8_bits(self._image, self._info).convert("RGBA")
                photo = of_opened(frame, None, self._info, turned, about)
            yield photo, min(max(round(shown), 0), _MOST_MILLISECONDS)


def _plays(image: Image.Image) -> int:
    """A GIF says how often it is repeated, the others how often they are shown."""
    number = image.info.get("loop")
    if image.format != "GIF":
        return int(number or FOR_EVER)
    return 1 if number is None else number and number + 1
