"""Exercise 19: numbers of IL + FL bits, rounded so that nothing is lost on average."""

from __future__ import annotations

import numpy as np


def round_stochastic(x: np.ndarray, il: int, fl: int, random: np.random.Generator) -> np.ndarray:
    """To multiples of 2**-fl, up with the probability of the share that is cut off.

    A number of fixed point <il, fl> has il bits before the point, the sign among them, and fl
    behind: it lies in -2**(il - 1) ... 2**(il - 1) - 2**-fl, and what does not is moved there.
    `random.random(x.shape)` are numbers from 0 up to but without 1. Float64 in and out.
    """
    # YOUR CODE: floor of what, and what is added before?
    raise NotImplementedError("YOUR CODE")
    # END
