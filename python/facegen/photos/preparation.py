"""A picture as a network of any kind takes it, by numbers that its author knows, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from facegen.photos.photo import Photo

STRETCH, CROP = "stretch", "crop"


@dataclass(frozen=True)
class Preparation:
    """What becomes of a picture's pixels.

    Attributes
    ----------
    height, width, channels
        Of the network's input; 3 channels, or 1 of a grey picture.
    low, high
        What black and white become.
    mean, std
        What is subtracted then, and divided by: one number, or one a channel, R, G, B.
    bgr
        The network has blue first.
    fit
        How a picture of another form is resized (bilinear): `STRETCH`, or `CROP`, the largest
        part in its middle that has the form of the input.
    own_size
        Pictures keep their height and width; those of the input do not matter.
    """

    height: int
    width: int
    channels: int
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False
    fit: str = STRETCH
    own_size: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"pictures have 1 or 3 channels, the input has {self.channels}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(f"{name}: expected 1 number or {self.channels}, not {len(values)}")
        with np.errstate(over="ignore"):  # as the pixels are computed
            low, high = np.float32(self.low), np.float32(self.high)
            mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
            span = high - low
        if not (np.isfinite([low, high, span]).all() and np.isfinite([*mean, *std]).all()):
            raise ValueError("the range, mean and std must be within float32")
        if 0 in std or span == 0:
            raise ValueError("std must not be 0, and the two ends of a range not equal")

    def __call__(self, photo: Photo) -> NDArray[np.float32]:
        """(height, width, channels) of a photo; what is transparent becomes white."""
        from facegen.photos.photo import opaque

        return self.of_pixels(opaque(photo))

    def of_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same of (height, width, 3)."""
        return self.values(self.resized(pixels))

    def resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels (height, width, 3) at the input's size and channels: (height, width, channels)."""
        from PIL import Image

        image = Image.fromarray(pixels)
        if self.channels == 1:
            image = image.convert("L")
        if not self.own_size:
            box = None if self.fit == STRETCH else self._middle(*image.size)
            image = image.resize((self.width, self.height), Image.Resampling.BILINEAR, box)
        return np.asarray(image).reshape(image.height, image.width, self.channels)

    def values(self, resized: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network takes of such pixels, (..., channels); those between bytes too."""
        values = resized.astype(np.float32)
        values /= np.float32(255)  # in place: these may be the largest arrays that there are
        values *= np.float32(self.high - self.low)
        values += np.float32(self.low)
        values -= np.array(self.mean, np.float32)
        values /= np.array(self.std, np.float32)
        return np.ascontiguousarray(values[..., ::-1] if self.bgr else values)

    def pixels(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Pixels of an output (height, width, 1 or 3), low to high: (height, width[, 3]).

        Mean and std are those of inputs alone.
        """
        scaled = (values - np.float32(self.low)) / np.float32(self.high - self.low) * 255
        clean = np.nan_to_num(scaled, nan=0.0)
        pixels = np.rint(np.clip(clean, 0, 255)).astype(np.uint8)
        if pixels.shape[2] == 1:
            return pixels[..., 0]
        return np.ascontiguousarray(pixels[..., ::-1] if self.bgr else pixels)

    def _middle(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the part that has the input's form."""
        scale = min(width / self.width, height / self.height)
        left = (width - self.width * scale) / 2
        top = (height - self.height * scale) / 2
        return left, top, width - left, height - top
