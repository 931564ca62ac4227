"""The colorizer on people's pictures: a small copy for the network, colours at full size."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.networks.colorizer import Colorizer
from facegen.photos.encode import check_depth, extension_of, holds_16_bits
from facegen.photos.joined import Picture
from facegen.photos.photo import Photo, decode, is_deep
from facegen.pictures.pages import ALL, Pages, finish_one
from facegen.pictures.task import Task, counted_pixels

SAME = "same"  # as a depth: 16 bits for pictures of more than 8, where the format holds them


def task(
    model: Colorizer,
    strength: float = 1.0,
    strip: bool = False,
    depth: str | int = SAME,
    pages: Pages = ALL,
) -> Task:
    """Results keep the size, the lightness, the alpha and the profile of their pictures.

    And what their files say besides, unless it is to be stripped. `depth` is 8 or 16 bits a colour,
    or `SAME`.
    """
    picture = partial(_picture, model, strength, strip, depth)
    options = {"strength": strength, "strip": strip, "depth": depth, **pages.settings}
    work = Task.of_model("colorize", model, partial(finish_one, picture), **options)
    decoded = partial(decode, keep_depth=depth != 8)
    work = replace(work, pixels=partial(_pixels, depth), decode=decoded, picture=picture)
    return pages.of_task(work, keep_depth=depth != 8)


def _pixels(depth: str | int, data: bytes) -> int:
    """What a picture counts for: 16 bits are in memory where they are read or written."""
    return counted_pixels(data, depth == 16 or (depth == SAME and is_deep(data)))


def _picture(
    model: Colorizer,
    strength: float,
    strip: bool,
    depth: str | int,
    photo: Photo,
    ab: np.ndarray,
    output: str,
) -> Picture:
    grey = _source(photo, depth, extension_of(output))
    # Other pictures have the other threads; and a large one need not be in memory twice.
    out = grey if grey.ndim == 3 else None
    pixels = model.finish(grey, ab, strength, threads=1, out=out)
    metadata = None if strip else photo.metadata
    return Picture(pixels, photo.alpha, photo.profile, metadata)


def _source(photo: Photo, depth: str | int, extension: str) -> NDArray[Any]:
    """What is coloured: the picture in the depth of the result."""
    if depth == 8 or (depth == SAME and (photo.deep is None or not holds_16_bits(extension))):
        return photo.pixels
    check_depth(extension)
    return photo.pixels.astype(np.uint16) * 257 if photo.deep is None else photo.deep
