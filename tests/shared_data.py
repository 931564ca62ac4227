"""Where real inputs lie, beside the checkout; tests that use them are skipped where they do not."""

from __future__ import annotations

from pathlib import Path

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
