"""Files of folders that are not read: what is said of them, so that none is left out unnoticed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from facegen import extras
from facegen.photos import camera_raw, heif

_HINTS = {
    **dict.fromkeys(camera_raw.EXTENSIONS, "raw of a camera, to be developed"),
    ".pdf": "a document; pdftoppm makes pictures of its pages",
}


def lines(paths: Iterable[str]) -> list[str]:
    """A line for each kind that may be wanted, and one for all others; none for no paths."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        kinds.setdefault(_hint(_extension(path)), []).append(path)
    return [_line(hint, kinds[hint]) for hint in sorted(kinds, reverse=True)]  # others come last


def _hint(extension: str) -> str:
    if extension in heif.EXTENSIONS:
        return f"HEIC, to be read after {extras.install('heif')}"
    return _HINTS.get(extension, "")


def _line(hint: str, paths: list[str]) -> str:
    """As "12 .heic (first a/1.heic): HEIC, to be read after pip install 'pillow-heif>=1'"."""
    counts = Counter(_extension(path) or "without extension" for path in paths).most_common()
    found = ", ".join(f"{count:,} {extension}" for extension, count in counts)
    return f"{found} (first {paths[0]})" + (f": {hint}" if hint else "")


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()
