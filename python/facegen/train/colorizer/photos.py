"""Photos to learn colours from: which have some, how often each colour comes, and parts of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.colour.lab import rgb_to_lab
from facegen.errors import FacegenError, FormatError
from facegen.photos.square import resized
from facegen.train.colorizer.bins import BINS, Bins
from facegen.train.folders import read_each
from facegen.train.readers import read_rgb

LARGER = 288 / 256  # what the shorter side of photos is, by the side of the parts that are shown
REDUCED = 4  # pixels a side that share a colour
LONGEST = 64  # times the shorter side: what is enlarged to a side of some hundred pixels is bounded
_SURVEYED = 64  # pixels a side of the copies that are counted
_GREY = 5.0, 0.95  # a photo is grey where such a share of its pixels has less colour than this


@dataclass(frozen=True)
class Survey:
    """What there is of some photos.

    Attributes
    ----------
    photos
        Paths of those that can be read and are in colour.
    grey
        How many are not.
    unreadable
        What is wrong with each of the others.
    distribution
        (313,) float64, what each point has of the colours: see `Bins.distribution`.
    """

    photos: list[str]
    grey: int
    unreadable: list[str]
    distribution: NDArray[np.float64]


def survey(
    paths: Sequence[str], bins: Bins, advance: Callable[[int], None] = lambda count: None
) -> Survey:
    """Look at every photo once, small; `advance` is told of each.

    Raises
    ------
    FacegenError
        None is left.
    """
    photos, unreadable, grey = [], [], 0
    distribution = np.zeros(BINS)
    for path, ab in zip(paths, read_each(_colours, paths), strict=True):
        advance(1)
        if isinstance(ab, str):
            unreadable.append(ab)
        elif is_grey(ab):
            grey += 1
        else:
            photos.append(path)
            distribution += bins.distribution(ab)
    if not photos:
        first = f" ({unreadable[0]})" if unreadable else ""
        raise FacegenError(
            f"expected photos in colour, found {grey:,} grey ones and {len(unreadable):,} that "
            f"cannot be read{first}"
        )
    return Survey(photos, grey, unreadable, distribution)


def _colours(path: str) -> NDArray[np.float32]:
    """a and b of a small copy."""
    pixels = _read(path, _SURVEYED)
    return rgb_to_lab(resized(pixels, _SURVEYED, _SURVEYED), threads=1)[..., 1:]


def _read(path: str, least_side: int) -> NDArray[np.uint8]:
    pixels = read_rgb(path, least_side)
    height, width, _ = pixels.shape
    if max(height, width) > LONGEST * min(height, width):
        expected = f"one side at most {LONGEST} times the other"
        raise FormatError(f"{path}: expected {expected}, found {width} x {height} pixels")
    return pixels


def is_grey(ab: NDArray[np.float32]) -> bool:
    """Whether a picture (..., 2) of a and b has next to no colour; a brown print has."""
    least, share = _GREY
    return bool((np.linalg.norm(ab, axis=-1) < least).mean() >= share)


@dataclass(frozen=True)
class PhotoSample:
    """Reads a photo as training shows it: a square part, mirrored half of the time.

    L (side, side, 1), and a and b (side / 4, side / 4, 2), each the mean of 4x4 pixels.

    Attributes
    ----------
    zoom
        The photo is enlarged by up to so much, all scales between as likely by their logarithm.
    """

    photos: Sequence[str]
    side: int
    mirror: bool = True
    zoom: float = 1.0

    def __call__(self, sample: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        zoom = self.zoom ** random.random() if self.zoom > 1 else 1.0
        least = round(self.side * LARGER * zoom)
        pixels = shorter_side(_read(self.photos[sample], least), least)
        height, width, _ = pixels.shape
        y, x = (int(random.integers(size - self.side + 1)) for size in (height, width))
        part = pixels[y : y + self.side, x : x + self.side]
        return planes(part[:, ::-1] if self.mirror and random.random() < 0.5 else part)


def shorter_side(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture whose shorter side has so many pixels, its proportions kept; bicubic."""
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    return resized(pixels, *(max(side, round(size * scale)) for size in (height, width)))


def planes(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """L (h, w, 1), and a and b (h / 4, w / 4, 2), of pixels (h, w, 3)."""
    lab = rgb_to_lab(np.ascontiguousarray(pixels), threads=1)
    height, width = (size // REDUCED for size in pixels.shape[:2])
    blocks = lab[..., 1:].reshape(height, REDUCED, width, REDUCED, 2)
    return np.ascontiguousarray(lab[..., :1]), blocks.mean(axis=(1, 3), dtype=np.float32)
