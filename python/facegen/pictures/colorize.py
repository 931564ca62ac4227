"""The colorizer on people's pictures: a small copy for the network, colours at full size."""

from __future__ import annotations

from functools import partial

import numpy as np

from facegen.networks.colorizer import Colorizer
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.pictures.task import Made, Task


def task(model: Colorizer, strength: float = 1.0, strip: bool = False) -> Task:
    """Results keep the size, the lightness, the alpha and the profile of their pictures.

    And what their files say besides, unless it is to be stripped.
    """
    finish = partial(_finish, model, strength, strip)
    return Task.of_model("colorize", model, finish, strength=strength, strip=strip)


def _finish(
    model: Colorizer,
    strength: float,
    strip: bool,
    photo: Photo,
    ab: np.ndarray,
    outputs: tuple[str, ...],
) -> Made:
    (output,) = outputs
    # Other pictures have the other threads; and a large one need not be in memory twice.
    pixels = model.finish(photo.pixels, ab, strength, threads=1, out=photo.pixels)
    metadata = None if strip else photo.metadata
    return Made({output: encode(pixels, output, photo.alpha, photo.profile, metadata)})
