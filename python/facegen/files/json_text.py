"""JSON as its standard has it: numbers that are not finite, which it lacks, become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(
    value: Any, indent: int | None = None, sort_keys: bool = False, compact: bool = False
) -> str:
    """The text of a value of dicts, lists, strings, numbers and None, in ASCII.

    `compact`: without spaces.

    Python's own writes NaN and Infinity bare, which no other reader takes.

    >>> json_text({"mean": float("nan")})
    '{"mean": null}'
    """
    separators = (",", ":") if compact else None
    options: dict[str, Any] = {"indent": indent, "sort_keys": sort_keys, "separators": separators}
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
