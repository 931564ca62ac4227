"""How a number becomes one of fewer digits."""

from __future__ import annotations

from typing import Literal, get_args

# To the nearest one, to the even one between two; or up with the probability of how far up it is
# (Gupta, Agrawal, Gopalakrishnan, Narayanan 2015), so that the mean stays what it was.
Rounding = Literal["nearest", "stochastic"]


def check_rounding(rounding: str) -> None:
    """ValueError for a word that is no `Rounding`."""
    if rounding not in get_args(Rounding):
        expected = " or ".join(get_args(Rounding))
        raise ValueError(f"rounding must be {expected}, not {rounding!r:.80}")
