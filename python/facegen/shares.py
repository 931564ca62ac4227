"""Equal shares of a number of items."""

from __future__ import annotations


def split(n: int, parts: int) -> list[range]:
    """Cut ``range(n)`` into `parts` neighbouring ranges whose lengths differ by 1 at most.

    The longer ones come first; with fewer items than parts, the last ones are empty.

    >>> split(10, 3)
    [range(0, 4), range(4, 7), range(7, 10)]
    """
    if n < 0 or parts < 1:
        raise ValueError(f"cannot split {n} items into {parts} parts")
    least, longer = divmod(n, parts)
    starts = [i * least + min(i, longer) for i in range(parts + 1)]
    return [range(start, stop) for start, stop in zip(starts, starts[1:], strict=False)]
