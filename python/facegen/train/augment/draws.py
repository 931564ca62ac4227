"""Random amounts.

>>> import numpy as np
>>> uniforms(2, 3, generators(seed=0, epoch=5, indices=[7, 8])).shape
(2, 3)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

# One for a batch, or one for each of its pictures.
Random = np.random.Generator | Sequence[np.random.Generator]


def generators(seed: int, epoch: int, indices: Iterable[int]) -> list[np.random.Generator]:
    """A generator for each picture, by its index: what is drawn of it depends on nothing else.

    The picture is then augmented alike in whatever batch it comes, on whatever machine.
    """
    return [np.random.default_rng((seed, epoch, int(index))) for index in indices]


def uniforms(n: int, count: int, random: Random) -> np.ndarray:
    """(n, count) from 0 to 1, a row a picture."""
    if isinstance(random, np.random.Generator):
        return random.random((n, count))
    if len(random) != n:
        raise ValueError(f"random: expected 1 generator or {n}, found {len(random)}")
    return np.stack([each.random(count) for each in random]) if n else np.empty((0, count))
