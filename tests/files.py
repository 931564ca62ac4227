"""Picture files of every kind, made by Pillow."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from facegen.media.photo import Photo, encode
from facegen.pictures.items import Item
from facegen.pictures.task import Made, Task


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8, smooth enough for JPEG."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [np.sin(3 * y + seed), np.cos(5 * x + seed), np.sin(4 * (x + y))]
    return np.uint8(np.stack([127.5 + 100 * plane for plane in planes], axis=2))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(height: int = 9, width: int = 7, seed: int = 0) -> bytes:
    return encoded(Image.fromarray(pixels(height, width, seed)), "PNG")


@cache  # it has the time of its making
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def negative(batch: int = 3, **settings: object) -> Task:
    """A task whose network is 255 - x, and whose fact is the size."""
    return Task({"command": "negative", **settings}, _prepare, _compute, _finish, batch)


def _prepare(photo: Photo) -> np.ndarray:
    return photo.pixels


def _compute(values: list[np.ndarray]) -> list[np.ndarray]:
    return [255 - value for value in values]


def _finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
    (output,) = outputs
    data = encode(value, output, photo.alpha, photo.profile)
    return Made({output: data}, {"size": list(photo.pixels.shape[:2])})


def one(source: str, output: str) -> Item:
    return Item(source, (output,))
