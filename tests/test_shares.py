from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen.parallel import split
from facegen.shares import chunks


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_parts_are_equal_in_order_and_complete(n: int, parts: int) -> None:
    ranges = split(n, parts)
    assert [i for part in ranges for i in part] == list(range(n))
    lengths = [len(part) for part in ranges]
    assert len(ranges) == parts and max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(("n", "parts"), [(-1, 2), (3, 0), (3, -1)])
def test_refused(n: int, parts: int) -> None:
    with pytest.raises(ValueError, match="cannot split"):
        split(n, parts)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_chunks_are_full_but_for_the_last(items: list[int], size: int) -> None:
    parts = list(chunks(items, size))
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1]) and all(parts)
