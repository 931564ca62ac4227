"""Pictures as people hold them: path, Pillow image or array; results are of the same kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.errors import FormatError

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | os.PathLike[str] | Image | np.ndarray


def opened(picture: Picture) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """Pixels of a picture, and what makes a picture of that kind from pixels of the result.

    Parameters
    ----------
    picture
        A path, a Pillow image, or an array, which is taken as it is.

    Returns
    -------
    pixels, as_given
        Pixels of a path or an image are (height, width, 3) uint8, upright and in sRGB, and
        `as_given` makes a Pillow image from such pixels of the same size, with the picture's alpha.

    Raises
    ------
    FormatError
        What is none of them, or a file that is no readable picture.
    OSError
        The file cannot be read.
    """
    if isinstance(picture, np.ndarray):
        return picture, lambda pixels: pixels
    from PIL import Image

    from facegen.pictures import photo

    if isinstance(picture, (str, os.PathLike)):
        try:
            decoded = photo.decode(photo.read_bytes(picture))
        except FormatError as error:
            raise FormatError(f"{os.fspath(picture)}: {error}") from error
        return decoded.pixels, lambda pixels: _image(pixels, decoded.alpha)
    if isinstance(picture, Image.Image):
        alpha = None
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            alpha = np.asarray(picture.getchannel("A"))
        return np.asarray(picture.convert("RGB")), lambda pixels: _image(pixels, alpha)
    raise FormatError(
        f"expected a path, a Pillow image or an array, found {type(picture).__name__}"
    )


def _image(pixels: np.ndarray, alpha: np.ndarray | None) -> Image:
    from PIL import Image

    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image
