"""pix2pix on people's pictures: squared, made into another, and resized where that is wanted."""

from __future__ import annotations

from functools import partial

import numpy as np

from facegen.networks.pix2pix import Pix2Pix
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.photos.square import SIDE
from facegen.pictures.task import Made, Task


def task(model: Pix2Pix, original_size: bool = False, strip: bool = False) -> Task:
    """Results are 256x256, or of the size of their pictures.

    Those of the pictures' size keep what their files say besides pixels, unless it is to be
    stripped; squares are pictures of another shape, of which it is not true.
    """
    finish = partial(_finish, model, original_size, strip)
    return Task.of_model("pix2pix", model, finish, original_size=original_size, strip=strip)


def _finish(
    model: Pix2Pix,
    original_size: bool,
    strip: bool,
    photo: Photo,
    value: np.ndarray,
    outputs: tuple[str, ...],
) -> Made:
    (output,) = outputs
    pixels = model.finish(value, photo.pixels.shape[:2] if original_size else (SIDE, SIDE))
    metadata = photo.metadata if original_size and not strip else None
    return Made({output: encode(pixels, output, metadata=metadata)})
