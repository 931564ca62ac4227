from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "course-facegen"


@pytest.fixture
def course_data() -> Path:
    """Real inputs and outputs of the reference program; not part of the project."""
    if not _SHARED.is_dir():
        pytest.skip(f"no {_SHARED}: the reference program's files are not here")
    return _SHARED
