"""Pictures to train on: read from a folder or a .npy, kept on the device as bytes.

200,000 pictures of 64x64 are 2.5 GB: the whole set stays in the GPU's memory, and a batch is one
gather there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facegen import processors
from facegen.errors import FormatError
from facegen.numbers.npy import NpyFile
from facegen.photos import photo

SIDE = 64


@dataclass(frozen=True)
class Pictures:
    """A set of pictures and what could not be read of it."""

    pixels: NDArray[np.uint8]  # (n, 64, 64, 3), RGB
    skipped: list[tuple[str, str]]  # file and reason

    def __len__(self) -> int:
        return len(self.pixels)


def read_pictures(source: str | os.PathLike[str]) -> Pictures:
    """Read a folder of pictures (with its sub-folders) or a .npy of uint8 (n, 64, 64, 3).

    Pictures of a folder are read as all pictures are (`facegen.photos.photo`), put on white where
    they are transparent, cut to the square in their middle and resized to 64x64. A file that cannot
    be read is skipped and listed; hidden files are passed over. The order is that of the sorted
    paths.

    Raises
    ------
    FormatError
        The .npy holds something else, or not one picture could be read.
    OSError
        The folder or the file cannot be opened.
    """
    source = Path(source)
    if source.is_dir():
        return _read_folder(source)
    return Pictures(_read_npy(source), [])


def _read_npy(path: Path) -> NDArray[np.uint8]:
    with NpyFile(path, "expected a folder or a .npy of pictures") as array:
        if array.dtype != np.uint8 or array.shape[1:] != (SIDE, SIDE, 3):
            raise FormatError(
                f"{path}: expected uint8 of shape (n, {SIDE}, {SIDE}, 3), "
                f"found {array.dtype} of shape {array.shape}"
            )
        if array.shape[0] == 0:
            raise FormatError(f"{path}: holds no pictures")
        return np.ascontiguousarray(array.rows(0, array.shape[0]))


def _read_folder(folder: Path) -> Pictures:
    paths = sorted(_files(folder))
    pixels = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)
    count, skipped = 0, []
    # Pillow decodes and resizes without the GIL.
    with ThreadPoolExecutor(processors.count()) as pool:
        for path, result in zip(paths, pool.map(_read_or_reason, paths), strict=True):
            if isinstance(result, str):
                skipped.append((str(path), result))
            else:
                pixels[count] = result
                count += 1
    if count == 0:
        found = f"{len(skipped)} files that are none" if skipped else "no files"
        raise FormatError(f"{folder}: expected pictures, found {found}")
    return Pictures(pixels[:count], skipped)


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _read_or_reason(path: Path) -> NDArray[np.uint8] | str:
    try:
        return read_picture(path)
    except FormatError as error:
        return str(error)
    except Exception as error:  # whatever a decoder raises for a broken file
        return f"{type(error).__name__}: {error}"


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """One picture, its middle square resized: (64, 64, 3) uint8 RGB."""
    from PIL import Image, ImageOps

    decoded = photo.decode(photo.read_bytes(path), least_side=2 * SIDE)
    upright = Image.fromarray(photo.opaque(decoded))
    square = ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(square)


class Batches:
    """Random batches of pictures, as a pure function of the step: so that training can resume.

    The set is shuffled anew for every pass over it; with several ranks each takes its part of the
    same batch.

    Parameters
    ----------
    pixels
        (n, 64, 64, 3) uint8
    batch
        Pictures a step over all ranks.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        batch: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.pixels = torch.from_numpy(pixels).to(device)
        self.batch, self.seed, self.rank, self.ranks = batch, seed, rank, ranks
        self._orders: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """This rank's part of the batch of a step: (batch / ranks, 3, 64, 64) in -1 to 1."""
        part = self.batch // self.ranks
        first = step * self.batch + self.rank * part
        return to_values(self.pixels[self._indices(first, part)])

    def _indices(self, first: int, count: int) -> Tensor:
        """Elements `first` to `first + count` of the endless sequence of shuffled passes."""
        n = len(self.pixels)
        parts = []
        while count:
            epoch, start = divmod(first, n)
            parts.append(self._order(epoch)[start : start + count])
            first, count = first + len(parts[-1]), count - len(parts[-1])
        return torch.cat(parts)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pixels))
            self._orders = {k: v for k, v in self._orders.items() if k == epoch - 1}
            self._orders[epoch] = torch.from_numpy(order).to(self.pixels.device)
        return self._orders[epoch]


def to_values(pixels: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) float32, NHWC in memory.

    The inverse of ``(int)((x + 1) / 2 * 255)``, which cuts: a byte becomes the middle of the values
    that give it, so that pictures are neither darkened nor brightened.
    """
    values = (2 * pixels.permute(0, 3, 1, 2).float() + 1) / 255 - 1
    return values.clamp(max=1.0)
