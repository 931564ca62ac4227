"""A model whose first call lasts until the test lets it go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from doubling import Doubling


@pytest.fixture
def held() -> Iterator[Doubling]:
    model = Doubling(held=True)
    yield model
    model.go_on.set()
