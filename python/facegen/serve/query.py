"""Numbers in the query of an address; what is not understood is refused with 400."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from starlette.exceptions import HTTPException

MAX_SEED = 2**53 - 1  # what JavaScript counts exactly

Query = Mapping[str, str]


def refuse_others(query: Query, known: Collection[str]) -> None:
    """Refuse a name that nobody reads, such as that of a misspelt slider."""
    for name in query:
        if name not in known:
            raise HTTPException(400, f"{name[:40]}: expected one of {', '.join(known)}")


def integer(query: Query, name: str, default: int, largest: int, least: int = 0) -> int:
    text = query.get(name, str(default))
    plain = text.isascii() and text.isdigit() and len(text) < 20
    if not (plain and least <= int(text) <= largest):
        raise HTTPException(400, f"{name}: expected {least} to {largest}, found {text[:40]!r}")
    return int(text)


def number(query: Query, name: str, default: float, low: float, high: float) -> float:
    text = query.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise HTTPException(400, f"{name}: expected {low:g} to {high:g}, found {text[:40]!r}")
    return value


def choice(query: Query, name: str, default: str, choices: Collection[str]) -> str:
    text = query.get(name, default)
    if text not in choices:
        known = ", ".join(choices)
        raise HTTPException(400, f"{name}: expected one of {known}, found {text[:40]!r}")
    return text
