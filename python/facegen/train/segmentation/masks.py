"""Pairs of a picture and the class of each of its pixels, from two folders."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from facegen.errors import FormatError
from facegen.networks.segmentation import CLASSES
from facegen.networks.squeezenet import IMAGE
from facegen.photos import photo, png_chunks

VOID = 255  # pixels that belong to no class, such as the borders in VOC's masks
SIDE = IMAGE.height


@dataclass(frozen=True)
class Pairs:
    """Pictures and masks at the network's size, in order of their names."""

    names: list[str]
    pixels: NDArray[np.uint8]  # (n, 227, 227, 3), RGB
    classes: NDArray[np.uint8]  # (n, 227, 227), from 0, or VOID

    def __len__(self) -> int:
        return len(self.names)


def read_pairs(
    pictures: str | os.PathLike[str], masks: str | os.PathLike[str], known: int = CLASSES
) -> Pairs:
    """Read every mask, ``masks/NAME.png``, and its picture, ``pictures/NAME.*``.

    Masks are PNG files whose pixels are classes: indexed (VOC's palette, or another) or 8-bit grey.
    Pictures without a mask are left out, as VOC has many. All are resized to 227x227: pictures
    bilinearly, masks to the nearest pixel.

    Raises
    ------
    FormatError
        There are no masks; a mask has no picture, or is not of its size; a file cannot be read; a
        pixel's class is not 0 to `known` - 1, nor 255.
    OSError
        A folder or a file cannot be opened.
    """
    found = sorted(path for path in Path(masks).iterdir() if path.suffix.lower() == ".png")
    if not found:
        raise FormatError(f"{masks}: expected masks, found no .png file")
    extensions = photo.readable_extensions()
    by_name = {
        path.stem: path
        for path in sorted(Path(pictures).iterdir(), reverse=True)
        if path.suffix.lower() in extensions and not path.name.startswith(".")
    }
    pixels = np.empty((len(found), SIDE, SIDE, IMAGE.channels), np.uint8)
    classes = np.empty((len(found), SIDE, SIDE), np.uint8)
    for i, path in enumerate(found):
        if path.stem not in by_name:
            raise FormatError(f"{path}: there is no picture {path.stem} in {pictures}")
        picture, mask = _read_picture(by_name[path.stem]), _read_mask(path, known)
        if picture.size != mask.size:
            (w, h), (mask_w, mask_h) = picture.size, mask.size
            raise FormatError(f"{path}: {mask_w} x {mask_h} pixels, but its picture has {w} x {h}")
        pixels[i] = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        classes[i] = np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.NEAREST))
    return Pairs([path.stem for path in found], pixels, classes)


def _read_picture(path: Path) -> Image.Image:
    try:
        return Image.fromarray(photo.decode(photo.read_bytes(path)).pixels)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def _read_mask(path: Path, known: int) -> Image.Image:
    """A mask's classes as a grey picture; of an indexed one, the indices and not their colours."""
    try:
        classes = _decode_mask(photo.read_bytes(path))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    wrong = (classes >= known) & (classes != VOID)
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        raise FormatError(
            f"{path}: expected classes 0 to {known - 1} or {VOID}, "
            f"found {classes[y, x]} at row {y}, column {x}"
        )
    return Image.fromarray(classes)


def _decode_mask(data: bytes) -> NDArray[np.uint8]:
    try:
        pixels = png_chunks.pixels_only(data)  # what a mask says besides is no reason to refuse it
        with Image.open(io.BytesIO(pixels), formats=("PNG",)) as image:
            found = image.mode
            # Pillow spreads greys of fewer bits over 0 to 255: the class 1 of 4 bits would be 17.
            bits = png_chunks.bit_depth(data)
            if found == "L" and bits < 8:
                found = f"{bits}-bit grey"
            if found in ("P", "L"):
                return np.array(image)
    except UnidentifiedImageError:
        raise FormatError("expected a PNG") from None
    except Exception as error:  # whatever a decoder raises for a broken file
        raise FormatError(f"not a mask that can be read: {error}") from error
    raise FormatError(f"expected indexed or 8-bit grey, found {found}")
