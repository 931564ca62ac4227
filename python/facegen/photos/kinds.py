"""Pictures as people hold them: path, Pillow image or array; results are of the same kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.errors import FormatError

if TYPE_CHECKING:
    from PIL.Image import Image

    from facegen.photos.photo import Photo

    FileOrImage = str | os.PathLike[str] | Image
    Picture = FileOrImage | np.ndarray
    Several = list[Any] | tuple[Any, ...]  # of pictures, of one kind or of different ones


def opened(picture: Picture | Photo) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """Pixels of a picture, and what makes a picture of that kind from pixels of the result.

    Parameters
    ----------
    picture
        A path, a Pillow image, a `Photo`, or an array, which is taken as it is.

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
    decoded = photo_of(picture)
    return decoded.pixels, lambda pixels: _image(pixels, decoded.alpha)


def photo_of(picture: Any) -> Photo:
    """A path, a Pillow image or a `Photo` as a `Photo`, with its alpha; errors as for `opened`."""
    from PIL import Image

    from facegen.photos import photo

    if isinstance(picture, photo.Photo):
        return picture
    if isinstance(picture, Image.Image):
        return photo.of_image(picture)
    if not isinstance(picture, (str, os.PathLike)):
        raise FormatError(
            f"expected a path, a Pillow image or an array, found {type(picture).__name__}"
        )
    try:
        return photo.decode(photo.read_bytes(picture))
    except FormatError as error:
        raise FormatError(f"{os.fspath(picture)}: {error}") from error


def _image(pixels: np.ndarray, alpha: np.ndarray | None) -> Image:
    from PIL import Image

    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def split_batch(pictures: Any) -> tuple[list[Any], bool]:
    """The pictures of a batch one by one; and whether it was a single picture, no batch.

    A batch is a list, a tuple, or an array (n, height, width, 3).
    """
    if isinstance(pictures, (list, tuple)):
        return list(pictures), False
    if isinstance(pictures, np.ndarray) and pictures.ndim == 4:
        return list(pictures), False
    return [pictures], True


def rgb_pixels(picture: Any) -> np.ndarray:
    """Pixels of a picture to look at, (height, width, 3) uint8.

    An array must have them, or (height, width) grey ones; for the rest see `opened`.

    Raises
    ------
    FormatError
        What is no picture, a file that is no readable one, or another array.
    OSError
        A file cannot be read.
    """
    pixels, _ = opened(picture)
    shape = (*pixels.shape, 3) if pixels.ndim == 2 else pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise FormatError(
            f"picture: expected uint8 of shape (height, width, 3), "
            f"found {pixels.dtype} of {pixels.shape}"
        )
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)
