"""Shapes and options that hypothesis draws, small enough to compare with naive definitions."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

sizes = st.integers(1, 9)
pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
channels = st.sampled_from([1, 2, 3, 4, 7, 16, 17, 33])
maps = st.tuples(st.integers(1, 3), sizes, sizes, channels)
pair_of = {n: st.tuples(st.integers(1, n), st.integers(1, n)) for n in (3, 5)}
few = settings(max_examples=40, deadline=None)
