"""The arena plan: nothing that lives at the same time overlaps, and little is wasted."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from facegen.nn.arena import ALIGNMENT, Lifetime, plan_arena


@st.composite
def lifetimes(draw):
    first = draw(st.integers(0, 10))
    return Lifetime(draw(st.integers(1, 500)), first, first + draw(st.integers(0, 5)))


@given(st.lists(lifetimes(), max_size=15))
def test_nothing_overlaps(drawn):
    buffers = {str(i): lifetime for i, lifetime in enumerate(drawn)}
    offsets, size = plan_arena(buffers)
    assert offsets.keys() == buffers.keys()
    for name, offset in offsets.items():
        assert offset >= 0 and offset % ALIGNMENT == 0
        assert offset + buffers[name].floats <= size
    for a, b in combinations(buffers, 2):
        if buffers[a].overlaps(buffers[b]):
            apart = (
                offsets[a] + buffers[a].floats <= offsets[b]
                or offsets[b] + buffers[b].floats <= offsets[a]
            )
            assert apart, f"{a} and {b} share memory and time"


def test_memory_is_reused():
    chain = {name: Lifetime(160, i, i + 1) for i, name in enumerate("abcdef")}
    assert plan_arena(chain)[1] == 320


def test_the_smallest_sufficient_gap_is_taken():
    buffers = {
        "long": Lifetime(1600, 0, 9),
        "wide, early": Lifetime(800, 0, 1),
        "end": Lifetime(400, 0, 9),
        "late": Lifetime(320, 5, 6),
    }
    offsets, size = plan_arena(buffers)
    assert size == 2800
    assert offsets["late"] == offsets["wide, early"]
