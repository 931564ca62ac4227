"""How the learning rate changes over a run."""

from __future__ import annotations

import math

WARM_UP = 0.05  # share of the steps: Adam's first estimates are poor


def cosine(progress: float) -> float:
    """Share of the highest rate: up for a twentieth of the run, then along a cosine to 0."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP))))
