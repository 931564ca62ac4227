"""The score: a file in the learner's folder, which anyone may have written."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile, open_regular
from facegen.files.json_text import json_text

NAME = "facegen-score.json"
_MOST_BYTES = 1 << 20
_MOST_COUNT = 1_000_000
_MOST_RATIO = 1e9
_FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """Of one exercise.

    Attributes
    ----------
    right, fast
        Whether a check has found it so; fast is True too where no speed is asked for.
    ratio
        The best there was, to the rung that it is measured by; None where nothing was timed.
    hints, checks
        That were asked for.
    date
        Of the last check, as "2026-11-30".
    """

    right: bool = False
    fast: bool = False
    ratio: float | None = None
    hints: int = 0
    checks: int = 0
    date: str = ""

    @property
    def points(self) -> int:
        """One for being right, one for being fast."""
        return int(self.right) + int(self.right and self.fast)

    def checked(self, right: bool, fast: bool, ratio: float | None) -> Entry:
        """After another check; what was reached stays."""
        best = max((r for r in (self.ratio, ratio) if r is not None), default=None)
        if best is not None:  # a time of next to nothing must not make a score that is refused
            best = min(best, _MOST_RATIO)
        return replace(
            self,
            right=self.right or right,
            fast=self.fast or (right and fast),
            ratio=best,
            checks=min(self.checks + 1, _MOST_COUNT),
            date=date.today().isoformat(),
        )


def read_score(place: Path, known: Container[str]) -> dict[str, Entry]:
    """The score in a folder, by the names of exercises; empty where there is none yet.

    Nothing in the file is followed or run: it is numbers and words that are checked one by one.

    Parameters
    ----------
    place
        The learner's folder.
    known
        Names that exercises have.

    Raises
    ------
    FormatError
        It is no such file, but another one, a link, a folder, a pipe or a device. It is named, with
        what was expected and found.
    OSError
        It cannot be read.
    """
    path = place / NAME
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EINVAL):
            raise
        raise FormatError(f"{path}: expected a file, found a link, a folder or a pipe") from None
    if len(data) > _MOST_BYTES:
        raise FormatError(f"{path}: expected at most {_MOST_BYTES:,} bytes of a score")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not a score, which is JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FormatError(f'{path}: expected a score, {{"format": {_FORMAT}, "exercises": ...}}')
    found = content.get("exercises")
    if not isinstance(found, dict):
        raise FormatError(f"{path}: exercises: expected an object, found {_short(found)}")
    for name in found:
        if name not in known:
            raise FormatError(f"{path}: {_short(name)} is no exercise")
    return {name: _entry(path, name, fields) for name, fields in found.items()}


def write_score(place: Path, score: dict[str, Entry]) -> None:
    """Replace the file in a folder; a link of that name is replaced, not followed."""
    entries = {name: asdict(score[name]) for name in sorted(score)}
    text = json_text({"format": _FORMAT, "exercises": entries}, indent=1)
    with AtomicFile(place / NAME, replace=True) as file:
        file.write(text.encode() + b"\n")


def update_score(
    place: Path, known: Container[str], name: str, change: Callable[[Entry], Entry]
) -> Entry:
    """Change one exercise's entry; another check may have changed others in the meantime.

    For parameters and errors see `read_score` and `write_score`.
    """
    score = read_score(place, known)
    score[name] = change(score.get(name, Entry()))
    write_score(place, score)
    return score[name]


def _entry(path: Path, name: str, fields: Any) -> Entry:
    if not isinstance(fields, dict) or set(fields) != set(Entry.__dataclass_fields__):
        expected = ", ".join(Entry.__dataclass_fields__)
        raise FormatError(f"{path}: {name}: expected {expected}, found {_short(fields)}")
    for key, is_valid in _VALID.items():
        if not is_valid(fields[key]):
            raise FormatError(f"{path}: {name}: {key} cannot be {_short(fields[key])}")
    return Entry(**fields)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST_COUNT


def _is_ratio(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= _MOST_RATIO)


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 10:
        return False
    try:
        return value == "" or bool(date.fromisoformat(value))
    except ValueError:
        return False


_VALID = {
    "right": _is_flag,
    "fast": _is_flag,
    "ratio": _is_ratio,
    "hints": _is_count,
    "checks": _is_count,
    "date": _is_date,
}


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
