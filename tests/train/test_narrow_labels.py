"""Class numbers of any integers, as the engines take them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen._native import narrow_labels

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(INTEGERS), st.integers(1, 2**31 - 1), st.integers(1, 3))
def test_labels_become_int32_and_too_large_ones_are_found(
    data: st.DataObject, dtype: str, classes: int, threads: int
) -> None:
    limits = np.iinfo(dtype)
    near = [v for v in (-1, 0, 1, classes - 1, classes) if limits.min <= v <= limits.max]
    number = st.sampled_from(near) | st.integers(limits.min, limits.max)
    labels = np.array(data.draw(st.lists(number, max_size=9)), dtype)
    to = np.full(labels.shape, 7, np.int32)
    fit = narrow_labels(labels, classes, to, threads)
    assert fit == all(int(label) < classes for label in labels)
    if fit:
        assert to.tolist() == [max(-1, int(label)) for label in labels]


@pytest.mark.parametrize("place", [0, 40_000, 99_999])
def test_one_of_many_is_found(place: int) -> None:
    labels = np.arange(100_000) % 21
    to = np.empty(labels.shape, np.int32)
    assert narrow_labels(labels, 21, to, 4)
    np.testing.assert_array_equal(to, labels)
    labels[place] = 21
    assert not narrow_labels(labels, 21, to, 4)


def test_what_is_no_label_is_refused() -> None:
    to = np.empty(3, np.int32)
    with pytest.raises(TypeError, match="integers"):
        narrow_labels(np.zeros(3), 2, to, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="byte order"):
        narrow_labels(np.zeros(3, ">i4"), 2, to, 1)
    with pytest.raises(ValueError, match="to must have 4 places, found 3"):
        narrow_labels(np.zeros(4, np.int64), 2, to, 1)
    with pytest.raises(ValueError, match="contiguous"):
        narrow_labels(np.zeros(6, np.int64)[::2], 2, to, 1)
