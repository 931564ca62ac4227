"""A picture as pix2pix sees it: 256x256, on white paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from facegen.photos.photo import Photo

SIDE = 256


def squared(photo: Photo) -> NDArray[np.uint8]:
    """The whole picture at (256, 256, 3), as `on_paper` has it."""
    return on_paper(photo, SIDE, SIDE)


def on_paper(photo: Photo, height: int, width: int) -> NDArray[np.uint8]:
    """The whole picture, resized (bicubic, as Pillow does); what is transparent becomes white.

    Returns
    -------
    (height, width, 3)
    """
    from facegen.photos.photo import opaque

    return resized(opaque(photo), height, width)


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(h, w, 3) -> (height, width, 3), bicubic."""
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)
