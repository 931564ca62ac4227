"""Makes the helpers in this folder (tests/tolerance.py) importable from every folder of tests.

Tests marked ``cuda`` need a GPU and are skipped, with the reason, where none is usable. A run ends
with why tests were skipped, and how many.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

import one_blas_thread  # noqa: F401  (before NumPy)
import skips
from facegen.engine.cuda import why_no_cuda
from shared_data import SHARED_DATA

# No test is timed: machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell's background job, and some CI, start with Ctrl-C ignored, and the commands under test
# would inherit that. A handler of Python's own is not inherited: they start with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def course_data() -> Path:
    """Real inputs and outputs of the reference program; not part of the project."""
    folder = SHARED_DATA / "course-facegen"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the reference program's files are not here")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_gpu = [item for item in items if item.get_closest_marker("cuda")]
    if on_gpu and (reason := why_no_cuda()):
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    places = (report.longrepr for report in terminalreporter.getreports("skipped"))
    reasons = [place[2].removeprefix("Skipped: ") for place in places if isinstance(place, tuple)]
    if line := skips.summary(reasons):
        terminalreporter.write_line(line)
