"""Extras: packages that only some commands need, and how to get them."""

from __future__ import annotations

import re
from functools import cache

_NAMES = ("facegen", "facegen-cu13")  # of distributions that hold this package


@cache
def install(extra: str) -> str:
    """The command that installs what an extra stands for, as "pip install 'av>=14'".

    It is true wherever the package came from, be it a checkout, a wheel or an index.
    """
    needed = " ".join(f"'{package}'" for package in _requirements(extra))
    # Nothing states them where the package runs from its source without having been installed.
    return f"pip install {needed}" if needed else f"pip install '.[{extra}]' in facegen's source"


def _requirements(extra: str) -> list[str]:
    """What an extra needs, as the installed distribution states it."""
    from importlib import metadata

    marker = re.compile(rf"([^;]+?)\s*;\s*extra\s*==\s*['\"]{re.escape(extra)}['\"]\s*")
    for name in _NAMES:
        try:
            stated = metadata.requires(name) or []
        except (metadata.PackageNotFoundError, OSError, ValueError):  # or it cannot be read
            continue
        return [match[1] for line in stated if (match := marker.fullmatch(line))]
    return []
