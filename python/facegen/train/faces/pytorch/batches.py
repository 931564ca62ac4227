"""The set of pictures on a GPU: 200,000 of 64x64 are 2.5 GB, and a batch is one gather there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Batches:
    """Pictures by their numbers, each rank its part of the same batch.

    Parameters
    ----------
    pixels
        (n, 64, 64, 3) uint8
    """

    def __init__(
        self, pixels: NDArray[np.uint8], device: torch.device, rank: int = 0, ranks: int = 1
    ) -> None:
        self.pixels = torch.from_numpy(pixels).to(device)
        self.rank, self.ranks = rank, ranks

    def __call__(self, samples: NDArray[np.int64]) -> Tensor:
        """This rank's part of a batch: (batch / ranks, 3, 64, 64) in -1 to 1."""
        # The last batch of a pass may not divide by the ranks.
        whole = np.resize(samples, -(-len(samples) // self.ranks) * self.ranks)
        part = np.ascontiguousarray(whole[self.rank :: self.ranks])
        return to_values(self.pixels[torch.from_numpy(part).to(self.pixels.device)])


def to_values(pixels: Tensor) -> Tensor:
    """`facegen.train.faces.data.to_values`: (n, h, w, 3) uint8 -> (n, 3, h, w), NHWC in memory."""
    values = (2 * pixels.permute(0, 3, 1, 2).float() + 1) / 255 - 1
    return values.clamp(max=1.0)
