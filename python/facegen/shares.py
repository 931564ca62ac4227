"""Items cut into parts: equal shares, or chunks of a size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def split(n: int, parts: int) -> list[range]:
    """Cut ``range(n)`` into `parts` neighbouring ranges whose lengths differ by 1 at most.

    The longer ones come first; with fewer items than parts, the last ones are empty.

    >>> split(10, 3)
    [range(0, 4), range(4, 7), range(7, 10)]
    """
    if n < 0 or parts < 1:
        raise ValueError(f"cannot split {n} items into {parts} parts")
    return [share(n, part, parts) for part in range(parts)]


def share(n: int, part: int, parts: int) -> range:
    """One of the ranges of ``split(n, parts)``."""
    least, longer = divmod(n, parts)
    start = part * least + min(part, longer)
    return range(start, start + least + (part < longer))


def chunks(items: Any, size: int) -> Iterator[Any]:
    """Up to `size` neighbouring items at a time, of a list or of an array's rows.

    >>> list(chunks([1, 2, 3, 4, 5], 2))
    [[1, 2], [3, 4], [5]]
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
