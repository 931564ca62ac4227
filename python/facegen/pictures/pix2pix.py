"""pix2pix on people's pictures: squared, made into another, and resized where that is wanted."""

from __future__ import annotations

from functools import partial

import numpy as np

from facegen.networks.pix2pix import Pix2Pix, Size
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.photos.square import SIDE
from facegen.pictures.task import Made, Task, settings_of


def task(
    model: Pix2Pix, original_size: bool = False, strip: bool = False, size: Size = (SIDE, SIDE)
) -> Task:
    """Results are of the size that they are computed at, or of that of their pictures.

    Those of the pictures' size keep what their files say besides pixels, unless it is to be
    stripped; others are pictures of another shape, of which it is not true.
    """
    settings = settings_of("pix2pix", model, original_size=original_size, strip=strip, size=size)
    prepare = partial(_prepare, model, size)
    finish = partial(_finish, model, original_size, strip)
    return Task(settings, prepare, model.compute, finish, model.runner.batch)


def _prepare(model: Pix2Pix, size: Size, photo: Photo) -> np.ndarray:
    return model.prepare(photo, size)


def _finish(
    model: Pix2Pix,
    original_size: bool,
    strip: bool,
    photo: Photo,
    value: np.ndarray,
    outputs: tuple[str, ...],
) -> Made:
    (output,) = outputs
    pixels = model.finish(value, photo.pixels.shape[:2]) if original_size else value
    metadata = photo.metadata if original_size and not strip else None
    return Made({output: encode(pixels, output, metadata=metadata)})
