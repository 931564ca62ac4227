"""Which samples each step shows, and what is random in it: functions of the seed and the step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_BATCH = 2**32  # no sample has this number



@dataclass(frozen=True)
class Batch:
    """The samples of one step.

    Attributes
    ----------
    step
        From 0, of the whole run.
    epoch, index
        Which pass over the set, and which batch of it, both from 0.
    samples
        Their numbers in the set, (n,).
    """

    seed: int
    step: int
    epoch: int
    index: int
    samples: NDArray[np.int64]

    @property
    def random(self) -> np.random.Generator:
        """For what is drawn for the whole batch: always the same numbers for a batch."""
        return np.random.default_rng((self.seed, self.epoch, _BATCH, self.index))

    def random_of(self, sample: int) -> np.random.Generator:
        """For what is drawn for one sample, wherever in the epoch it is shown.

        Those of `augment.generators`.
        """
        return np.random.default_rng((self.seed, self.epoch, int(sample)))


@dataclass(frozen=True)
class Order:
    """A set shuffled anew for every pass over it, in batches; the last of a pass may be smaller.

    >>> order = Order(samples=10, batch=4, seed=0)
    >>> order.steps_per_epoch
    3
    >>> [len(order(step).samples) for step in range(4)]
    [4, 4, 2, 4]
    """

    samples: int
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batch < 1:
            raise ValueError(
                f"expected at least 1 sample and 1 a batch, not {self.samples} and {self.batch}"
            )

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.samples // self.batch)

    def __call__(self, step: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch)
        first = index * self.batch
        order = _shuffled(self.seed, epoch, self.samples)
        return Batch(self.seed, step, epoch, index, order[first : first + self.batch])


@lru_cache(maxsize=4)  # of threads that read ahead, one may be an epoch before another
def _shuffled(seed: int, epoch: int, samples: int) -> NDArray[np.int64]:
    order = np.random.default_rng((seed, epoch)).permutation(samples)
    order.flags.writeable = False
    return order
