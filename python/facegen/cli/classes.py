"""Classes as commands print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facegen.cli import terminal


def print_classes(source: str, classes: Sequence[dict[str, Any]]) -> None:
    """A picture's name, and a line for each of its most probable classes."""
    terminal.say(source)
    for found in classes:
        name = f"  {found['name']}" if "name" in found else ""
        terminal.say(f"  {found['probability']:6.1%}  {found['id']:3d}{name}")
