"""In place of networks, so that what is tested is the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facegen import Pix2Pix
from facegen.media import voc
from facegen.networks.lenet import Guesses
from facegen.photos.square import resized


class Negative:
    """In place of a pix2pix: 255 - v."""

    prepare = Pix2Pix.prepare

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        assert prepared[0].dtype == np.uint8
        return [255 - pixels for pixels in prepared]

    def finish(self, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return resized(pixels, *size)


class Reddish:
    """In place of a colorizer: strength times 100 in the red channel."""

    def prepare(self, photo: Any) -> np.ndarray:
        return np.zeros((256, 256), np.float32)

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        return np.full((len(prepared), 2, 256, 256), 100, np.float32)

    def finish(
        self,
        pixels: np.ndarray,
        ab: np.ndarray,
        strength: float,
        out: np.ndarray | None = None,
        advance: Callable[[int], None] = print,
    ) -> np.ndarray:
        advance(len(pixels) // 2)
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3, axis=2)
        result = pixels.copy() if out is None else out
        result[..., 0] = ab[0, 0, 0] * strength * (257 if pixels.dtype == np.uint16 else 1)
        return result


class Halves:
    """In place of a segmentation: background above, persons below."""

    names = voc.NAMES

    def prepare(self, photo: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.float32)

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.repeat(np.uint8([0, 15]), 32).reshape(8, 8) for _ in prepared]

    def finish(self, classes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        height, width = size
        return classes[np.arange(height) * 8 // height][:, np.arange(width) * 8 // width]


class Sevens:
    """In place of a classifier of digits: all are sevens."""

    def __call__(self, image: np.ndarray) -> Guesses:
        assert image.shape == (28, 28) and image.dtype == np.uint8
        return Guesses.of(np.eye(10, dtype=np.float32)[7:8])
