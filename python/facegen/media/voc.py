"""Class maps of Pascal VOC as pictures and numbers: the palette, overlays, masks, areas, legends.

A class map is (height, width) uint8, 0 to 20; or of other classes, which have names of their own.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
BACKGROUND = 0

Classes = NDArray[np.uint8]


class Area(TypedDict):
    """How much of a picture a class covers."""

    id: int
    name: str
    pixels: int
    share: float  # of the picture, 0 to 1


@cache
def palette() -> NDArray[np.uint8]:
    """The colours of VOC's own indexed PNGs, (256, 3) uint8; 255 marks borders in their masks.

    Bits 0, 3 and 6 of a class become the highest bits of red, the next ones (1, 4, 7) those of
    green and 2 and 5 of blue, so that neighbouring classes differ most.
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        channel, place = bit % 3, 7 - bit // 3
        colours[:, channel] |= ((index >> bit & 1) << place).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def indexed_png(classes: Classes) -> bytes:
    """An 8-bit PNG whose pixel values are the classes, with VOC's palette."""
    image = Image.fromarray(classes).convert("L")
    image.putpalette(palette().tobytes())  # makes it one of indices
    return _png(image)


def mask_png(classes: Classes, class_id: int) -> bytes:
    """A grey PNG: 255 where the class is, 0 elsewhere."""
    return _png(Image.fromarray(np.where(classes == class_id, 255, 0).astype(np.uint8)))


def overlay(pixels: NDArray[np.uint8], classes: Classes, opacity: float = 0.5) -> NDArray[np.uint8]:
    """A picture (height, width, 3) with its classes' colours laid over it, but for background."""
    found = (classes != BACKGROUND)[..., np.newaxis]
    colours = palette()[classes]
    blended = np.rint(pixels * (1 - opacity) + colours * opacity).astype(np.uint8)
    return np.where(found, blended, pixels)


def areas(classes: Classes, names: Sequence[str] = NAMES) -> list[Area]:
    """The classes that are there, the largest first."""
    counts = np.bincount(classes.reshape(-1), minlength=len(names))
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], i))
    return [
        Area(id=i, name=names[i], pixels=count, share=round(count / classes.size, 6))
        for i, count in ((i, int(counts[i])) for i in order)
    ]


def legend(found: Sequence[Area]) -> NDArray[np.uint8]:
    """A picture of the classes' colours, names and shares, one a row: (height, width, 3)."""
    row, margin = 24, 6
    font = ImageFont.load_default(size=14)
    texts = [f"{area['id']:2d}  {area['name']}  {area['share']:.1%}" for area in found]
    width = max((int(font.getlength(text)) for text in texts), default=0) + row + 3 * margin
    image = Image.new("RGB", (width, row * len(texts) + 2 * margin), "white")
    draw = ImageDraw.Draw(image)
    for i, (area, text) in enumerate(zip(found, texts, strict=True)):
        top = margin + i * row
        colour = tuple(palette()[area["id"]].tolist())
        draw.rectangle((margin, top + 2, margin + row, top + row - 3), colour, outline="black")
        draw.text((row + 2 * margin, top + row / 2), text, "black", font, anchor="lm")
    return np.asarray(image)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
