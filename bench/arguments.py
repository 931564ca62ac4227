"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection


def numbers(text: str) -> list[int]:
    """Positive numbers, separated by commas, in order and each once."""
    found = sorted({int(word) for word in text.split(",")})
    if found[0] < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {found[0]}")
    return found


def words(known: Collection[str]) -> Callable[[str], str]:
    """Of an option: words that are known, separated by commas, as they are given."""

    def checked(text: str) -> str:
        for word in text.split(","):
            if word not in known:
                expected = f"expected some of {', '.join(known)}"
                raise argparse.ArgumentTypeError(f"{expected}, found {word!r}")
        return text

    return checked


def positive(text: str) -> float:
    """A finite number above 0."""
    found = float(text)
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return found
