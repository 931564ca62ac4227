"""Which of a set are trained on, and which are held out to measure the result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError

SEED = 0  # whatever the seed of training: runs of all settings are measured on the same


def split(count: int, held_out: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of those to train on and of those held out, each in order.

    Always the same for a count and a number to hold out, which are chosen at random.

    Raises
    ------
    FacegenError
        `held_out` leaves nothing to train on, or nothing to measure.
    """
    if not 0 < held_out < count:
        expected = f"expected at least 1 and fewer than {count:,}, which is all"
        raise FacegenError(f"held out (--held-out): {expected}, not {held_out:,}")
    order = np.random.default_rng(SEED).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def stratified(
    labels: NDArray[np.int64], share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same with a share of every class held out, at least one and never all.

    Raises
    ------
    FacegenError
        A class has fewer than two.
    """
    held_out: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise FacegenError(f"held out: class {label} has {len(members)}, expected at least 2")
        count = min(len(members) - 1, max(1, round(share * len(members))))
        held_out.append(np.random.default_rng((SEED, int(label))).permutation(members)[:count])
    kept_back = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(labels)), kept_back), kept_back
