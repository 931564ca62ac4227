"""A picture file as the networks want it: 8-bit RGB in sRGB, upright.

What Pillow reads comes in many shapes. Here they become one: the EXIF orientation is applied, 16
bits are rounded to 8, palettes, grey and CMYK become RGB, other colour spaces are converted from,
and alpha is kept apart, as is what the file says besides its pixels.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facegen.colour import profiles
from facegen.errors import FormatError
from facegen.files.standard import STANDARD
from facegen.photos import avif, camera_raw, deep, heif, png_chunks, tiff_pixels
from facegen.photos import metadata as metadata_of_files
from facegen.photos.metadata import Metadata
from facegen.photos.refused import checked_size, refusing_damage
from facegen.photos.tiff_tags import is_tiff
from facegen.photos.transparency import Key, key_alpha, key_of, on_white, split_alpha

# What is read, if Pillow was built with it. Others that it knows run programs (EPS) or are rare.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

MAX_FILE_BYTES = 1 << 30
_AVIF_HEAD = 1 << 16  # bytes in which the kinds of its items are listed
_BAND_PIXELS = 1 << 20  # converted at a time
_PIECE_BYTES = 1 << 20  # read(n) takes memory for n bytes, however few there are


@dataclass(frozen=True)
class Photo:
    """A decoded picture.

    Attributes
    ----------
    pixels
        (height, width, 3) uint8, sRGB.
    alpha
        (height, width) uint8, or None where the picture is opaque.
    profile
        The ICC profile that results should get, or None for sRGB. They can be converted to it.
    metadata
        What results should say as the file does; empty for images that others have opened.
    deep
        The same picture in 16 bits, (height, width, 3) or grey (height, width), sRGB: where
        `decode` was asked for it, the file has more than 8 bits, and its colours are sRGB's or a
        grey profile's. Pillow converts others in 8 bits alone.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    profile: bytes | None = None
    metadata: Metadata = Metadata()
    deep: NDArray[np.uint16] | None = None


@cache
def readable_extensions() -> frozenset[str]:
    """Extensions of what `decode` reads, in lower case."""
    known = Image.registered_extensions()
    extensions = frozenset(extension for extension, kind in known.items() if kind in FORMATS)
    return extensions | heif.EXTENSIONS if heif.installed() else extensions


def open_image(data: bytes, animated: bool = False) -> Image.Image:
    """A file without what is no pixel, where Pillow would refuse it for a fault in that.

    Of an animation all frames if `animated`, else the first.
    """
    if heif.is_heif(data):
        return heif.opened(data)
    if png_chunks.is_png(data):
        data = png_chunks.pixels_only(data, animated)
    elif is_tiff(data):
        camera_raw.refuse(data)
        data = tiff_pixels.pixels_only(data)
    Image.init()
    known = [kind for kind in FORMATS if kind in Image.OPEN]
    try:
        return Image.open(io.BytesIO(data), formats=known)
    except Exception:  # an AVIF's reader raises all kinds for damaged EXIF
        place = data.find(b"Exif", 0, _AVIF_HEAD) if data[4:8] == b"ftyp" else -1
        if place < 0:
            raise
        without = data[:place] + b"none" + data[place + 4 :]  # as a kind of item that is not known
        return Image.open(io.BytesIO(without), formats=known)


def described(data: bytes) -> dict[str, Any]:
    """What `open_image` keeps from Pillow, as `Image.info` has it."""
    if png_chunks.is_png(data):
        return png_chunks.describe(data)
    if avif.is_avif(data):
        return avif.describe(data)
    return tiff_pixels.describe(data) if is_tiff(data) else {}


def size(data: bytes) -> tuple[int, int]:
    """(height, width) in the file's header, before any pixel is decoded.

    Raises
    ------
    FormatError
        As for `decode`.
    """
    with refusing_damage(), open_image(data) as image:
        return checked_size(image)


def is_deep(data: bytes) -> bool:
    """Whether `decode` can have 16 bits of it, by the file's header; FormatError as there."""
    with refusing_damage(), open_image(data) as image:
        return deep.is_deep(image)


def decode(data: bytes, least_side: int | None = None, keep_depth: bool = False) -> Photo:
    """A picture file's bytes as a `Photo`; the first frame where there are several.

    Parameters
    ----------
    least_side
        For those who make pictures small: a JPEG may be decoded to a size below its own, which is
        faster, with at least so many pixels a side.
    keep_depth
        Have what the file has of 16 bits too: `Photo.deep`.

    Raises
    ------
    FormatError
        No picture, a damaged or truncated one, one above Pillow's limit of pixels
        (``PIL.Image.MAX_IMAGE_PIXELS``), or one of floating-point values, which have no range.
    """
    with refusing_damage(), open_image(data) as image:
        if least_side is not None:
            checked_size(image)
            image.draft(None, (least_side, least_side))
        info: dict[Any, Any] = {**image.info, **described(data)}
        turned, metadata = metadata_of_files.orientation(info), metadata_of_files.read(info)
        key, reopened = key_of(image), partial(open_image, data)
        return of_opened(image, key, info, turned, metadata, reopened, keep_depth)


def of_image(image: Image.Image) -> Photo:
    """A Pillow image of any mode as a `Photo`; FormatError as for `decode`.

    What only the file says, Pillow's own objects alone still know: of a 16-bit TIFF that its least
    value is white, or that it has 12 bits. Images that `copy` and the like make of those count as
    16-bit ones whose least value is black.
    """
    with refusing_damage():
        info: dict[Any, Any] = {**image.info, **tiff_pixels.of_image(image)}
        checked_size(image)
        key = key_of(image)
        image.load()  # before its orientation is asked for: TIFFs turn themselves when they load
        turned = metadata_of_files.orientation_of_image(image)
        return of_opened(image, key, info, turned, Metadata())


def of_opened(
    image: Image.Image,
    key: Key | None,
    info: Mapping[str, Any],
    turned: int,
    metadata: Metadata,
    reopened: Callable[[], Image.Image] | None = None,
    keep_depth: bool = False,
) -> Photo:
    """The `Photo` of an image that Pillow has opened.

    `info` says more than `image.info`, `turned` is EXIF's orientation; else see `key_alpha`.
    """
    checked_size(image)
    colours = reopened if deep.has_deep_colours(image) else None
    image.load()
    values = deep.in_16_bits(image, info, colours) if keep_depth else None
    invisible = image.format in ("BMP", "DIB")  # a fourth byte that nobody set is no alpha
    if key is not None:
        alpha: Image.Image | None = key_alpha(image, key, reopened)
    else:
        image, alpha = split_alpha(deep.to_8_bits(image, info))
    opaque = alpha is None or alpha.getextrema() in ((255, 255), (0, 0) if invisible else ())
    image, profile = profiles.to_srgb(image, info)
    turn = _TURNS.get(turned)
    alpha = None if opaque else alpha
    if turn is not None:
        image, alpha = image.transpose(turn), alpha and alpha.transpose(turn)
        values = None if values is None else _turned(values, turn)
    pixels, alpha_pixels = _rgb(image), None if alpha is None else np.array(alpha)
    return Photo(pixels, alpha_pixels, profile, metadata, values)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels (height, width, 3); Pillow's own way would have a large picture in memory 4 times."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        band = image.crop((0, top, image.width, bottom))
        pixels[top:bottom] = np.asarray(band.convert("RGB"))
    return pixels


_TURNS = {  # by EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def opaque(photo: Photo) -> NDArray[np.uint8]:
    """A photo's pixels (height, width, 3), on white paper where it is transparent."""
    if photo.alpha is None:
        return photo.pixels
    return np.array(on_white(Image.fromarray(photo.pixels), photo.alpha))


def refuse_pipe(path: str | os.PathLike[str]) -> None:
    """Raise FormatError for a pipe that has a name in a folder: nobody may ever write into it.

    A shell's own, /dev/fd/63, is read.
    """
    if not os.fspath(path).startswith("/dev/") and stat.S_ISFIFO(os.stat(path).st_mode):
        raise FormatError("expected a file, found a pipe ('-' reads standard input)")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's content ('-' is standard input).

    Raises
    ------
    FormatError
        More than `MAX_FILE_BYTES`, or as `refuse_pipe`.
    OSError
        It cannot be read.
    """
    if path != STANDARD:
        refuse_pipe(path)
    with open(0 if path == STANDARD else path, "rb", closefd=path != STANDARD) as file:
        pieces, size = [], 0
        while size <= MAX_FILE_BYTES and (piece := file.read(_PIECE_BYTES)):
            pieces.append(piece)
            size += len(piece)
    if size > MAX_FILE_BYTES:
        raise FormatError(f"more than {MAX_FILE_BYTES:,} bytes, too large for a picture")
    return b"".join(pieces)


def _turned(values: NDArray[np.uint16], turn: Image.Transpose) -> NDArray[np.uint16]:
    planes = [Image.fromarray(plane) for plane in np.moveaxis(np.atleast_3d(values), 2, 0)]
    turned = np.stack([np.asarray(plane.transpose(turn)) for plane in planes], axis=2)
    return turned if values.ndim == 3 else turned[..., 0]
