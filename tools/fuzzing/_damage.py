"""Ways to damage a file: bits, ends, pieces, sizes at their extremes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

Rng = np.random.Generator
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"2147483648", b"4294967296", b"9" * 19, b"9" * 5000)


def changed(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    """Several changes, with pieces of other files among them."""
    for _ in range(1 + rng.geometric(0.6)):
        change = CHANGES[rng.integers(len(CHANGES))]
        data = splice(rng, data, others) if change is None else change(rng, data)
    return data[: 8 << 20]  # what is repeated grows fast


def place(rng: Rng, data: bytes) -> int:
    """Anywhere in a file, with its beginning twice as often: there are the headers."""
    most = len(data) if rng.random() < 0.5 else min(len(data), 256)
    return int(rng.integers(most + 1))


def flip(rng: Rng, data: bytes) -> bytes:
    result = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        if (at := place(rng, data)) < len(data):
            result[at] ^= 1 << rng.integers(8)
    return bytes(result)


def cut(rng: Rng, data: bytes) -> bytes:
    return data[: place(rng, data)]


def extend(rng: Rng, data: bytes) -> bytes:
    return data + rng.bytes(rng.integers(1, 100))


def remove(rng: Rng, data: bytes) -> bytes:
    at = place(rng, data)
    return data[:at] + data[at + int(rng.integers(1, 64)) :]


def repeat(rng: Rng, data: bytes) -> bytes:
    at, size = place(rng, data), int(rng.integers(1, 200))
    times = int(2 ** rng.uniform(0, 12))
    return data[:at] + data[at : at + size] * times + data[at:]


def splice(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    """A piece of any valid file instead of, or between, what is there."""
    other = others[rng.integers(len(others))]
    start, at, size = place(rng, other), place(rng, data), int(rng.integers(1, 500))
    return data[:at] + other[start : start + size] + data[at + size * int(rng.integers(2)) :]


def size_field(rng: Rng, data: bytes) -> bytes:
    """1 to 8 bytes become an extreme number, or one beside it."""
    width = int(rng.choice([1, 2, 4, 8]))
    value = int(EXTREMES[rng.integers(len(EXTREMES))]) + int(rng.integers(-1, 2))
    field = (value % 256**width).to_bytes(width, "big" if rng.integers(2) else "little")
    at = place(rng, data)
    return data[:at] + field + data[at + width :]


def number(rng: Rng, data: bytes) -> bytes:
    """A number written in digits becomes another."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[: 1 << 16]))
    if not found:
        return size_field(rng, data)
    match = found[rng.integers(len(found))]
    return data[: match.start()] + NUMBERS[rng.integers(len(NUMBERS))] + data[match.end() :]


def nest(rng: Rng, data: bytes) -> bytes:
    """Brackets, deep."""
    at, depth = place(rng, data), int(2 ** rng.uniform(0, 18))
    word = [b"[", b"(", b'{"a":', b"'", b"\xef\xbb\xbf", b"\0", b"\n", b" "][rng.integers(8)]
    return data[:at] + word * depth + data[at:]


# None is `splice`.
CHANGES = flip, cut, extend, remove, repeat, None, size_field, size_field, number, nest
