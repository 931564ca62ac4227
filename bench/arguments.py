"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse


def numbers(text: str) -> list[int]:
    """Positive numbers, separated by commas, in order and each once."""
    found = sorted({int(word) for word in text.split(",")})
    if found[0] < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {found[0]}")
    return found
