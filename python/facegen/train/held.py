"""A data set where a trainer's steps run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Held:
    """What `Trainer.hold` gives and `Trainer.run` takes.

    Attributes
    ----------
    images
        How many it has.
    device
        Where it is.
    network
        Whose inputs and targets it has.
    data
        As the engine of the steps takes it.
    """

    images: int
    device: str
    network: Any
    data: Any
