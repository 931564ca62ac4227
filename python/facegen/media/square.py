"""A picture as pix2pix sees it: 256x256, on white paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 256


def squared(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The whole picture, resized (bicubic, as Pillow does); what is transparent becomes white.

    Parameters
    ----------
    pixels
        (height, width, 3).
    alpha
        (height, width), or None.

    Returns
    -------
    (256, 256, 3)
    """
    from PIL import Image

    from facegen.media.photo import on_white

    if alpha is not None:
        pixels = np.asarray(on_white(Image.fromarray(pixels), alpha))
    return resized(pixels, SIDE, SIDE)


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(h, w, 3) -> (height, width, 3), bicubic."""
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)
