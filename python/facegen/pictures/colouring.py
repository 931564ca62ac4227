"""The colorizer on people's pictures: a small copy for the network, colours at full size."""

from __future__ import annotations

from functools import partial

import numpy as np

from facegen.media.colorization import network_lightness, with_colours
from facegen.networks.colorizer import Colorizer
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.pictures.task import Made, Task
from facegen.weights import digest

# Pictures computed at once: what keeps a GPU busy; on a CPU no more than a run may lose by a kill.
GPU_BATCH, CPU_BATCH = 32, 4


def task(model: Colorizer, strength: float = 1.0, strip: bool = False) -> Task:
    """Results keep the size, the lightness, the alpha and the profile of their pictures.

    And what their files say besides, unless it is to be stripped.
    """
    settings = {
        "command": "colorize",
        "network": digest(model.weights),
        **model.arithmetic,
        "strength": strength,
        "strip": strip,
    }
    batch = GPU_BATCH if model.runner.device.startswith("cuda") else CPU_BATCH
    finish = partial(_finish, strength, strip)
    return Task(settings, _prepare, partial(_compute, model), finish, batch)


def _prepare(photo: Photo) -> np.ndarray:
    """(256, 256) of L."""
    return network_lightness(photo.pixels)


def _compute(model: Colorizer, lightness: list[np.ndarray]) -> np.ndarray:
    """(n, 2, 256, 256) of a and b."""
    return model.predict_ab(np.stack(lightness))


def _finish(
    strength: float, strip: bool, photo: Photo, ab: np.ndarray, outputs: tuple[str, ...]
) -> Made:
    (output,) = outputs
    pixels = with_colours(photo.pixels, ab, strength, threads=1)  # other pictures have the others
    metadata = None if strip else photo.metadata
    return Made({output: encode(pixels, output, photo.alpha, photo.profile, metadata)})
