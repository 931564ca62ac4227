"""Random amounts."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(
    n: int, low: float, high: float, device: torch.device, generator: torch.Generator
) -> Tensor:
    """(n,), each from `low` to `high`."""
    return low + (high - low) * torch.rand(n, device=device, generator=generator)
