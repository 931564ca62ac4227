"""pix2pix on people's pictures: squared, made into another, and resized where that is wanted."""

from __future__ import annotations

from functools import partial

import numpy as np

from facegen.networks.pix2pix import Pix2Pix, Size
from facegen.photos.joined import Picture
from facegen.photos.photo import Photo
from facegen.photos.square import SIDE
from facegen.pictures.pages import ALL, Pages, finish_one
from facegen.pictures.task import Task, settings_of


def task(
    model: Pix2Pix,
    original_size: bool = False,
    strip: bool = False,
    size: Size = (SIDE, SIDE),
    pages: Pages = ALL,
) -> Task:
    """Results are of the size that they are computed at, or of that of their pictures.

    Those of the pictures' size keep what their files say besides pixels, unless it is to be
    stripped; others are pictures of another shape, of which it is not true.
    """
    options = {"original_size": original_size, "strip": strip, "size": size, **pages.settings}
    settings = settings_of("pix2pix", model, **options)
    prepare = partial(_prepare, model, size)
    picture = partial(_picture, model, original_size, strip)
    finish = partial(finish_one, picture)
    work = Task(settings, prepare, model.compute, finish, model.runner.batch, picture=picture)
    return pages.of_task(work)


def _prepare(model: Pix2Pix, size: Size, photo: Photo) -> np.ndarray:
    return model.prepare(photo, size)


def _picture(
    model: Pix2Pix,
    original_size: bool,
    strip: bool,
    photo: Photo,
    value: np.ndarray,
    output: str,
) -> Picture:
    pixels = model.finish(value, photo.pixels.shape[:2]) if original_size else value
    metadata = photo.metadata if original_size and not strip else None
    return Picture(pixels, metadata=metadata)
