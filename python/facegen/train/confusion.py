"""Which classes were taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion(
    answers: NDArray[Any], guesses: NDArray[Any], classes: int
) -> NDArray[np.int64]:
    """How many of each class (row) were taken for each class (column), (classes, classes).

    `answers` and `guesses` are classes from 0 on, in arrays of one shape.
    """
    cells = answers.astype(np.int64) * classes + guesses
    return np.bincount(cells.ravel(), minlength=classes * classes).reshape(classes, classes)
