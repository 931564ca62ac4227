"""The folder `course`: beside `python` in a checkout, within the package where it is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import facegen
from facegen.errors import FacegenError

STAIRCASES = {"cpu": ".cpp", "gpu": ".cu"}  # and how the names of their rungs end
PROBLEMS = ("conv3x3", "tconv2")  # of course/common/problem.h

_RUNG = re.compile(r"\d\d_\w+")
_TITLE = re.compile(r"// Rung \d+: (.+?)\.?\s*")


@dataclass(frozen=True)
class Rung:
    """One program of a staircase.

    Attributes
    ----------
    name
        As "04_register_blocking": the file's, and what it prints.
    source
        The file.
    title
        What its first line says.
    """

    name: str
    source: Path
    title: str


def folder() -> Path:
    """Where the course is.

    Raises
    ------
    FacegenError
        It is neither in the package nor beside it.
    """
    package = Path(facegen.__file__).resolve().parent
    places = [package / "course", package.parents[1] / "course"]
    for place in places:
        if (place / "common" / "problem.h").is_file():
            return place
    raise FacegenError(f"the folder of the course is in none of {', '.join(map(str, places))}")


def rungs(staircase: str) -> list[Rung]:
    """The programs of a staircase, "cpu" or "gpu", the first one first.

    Raises
    ------
    FacegenError
        The course is not there, or has no such staircase.
    """
    if staircase not in STAIRCASES:
        raise FacegenError(f"expected one of {', '.join(STAIRCASES)}, found {staircase!r}")
    if not (found := _listed(staircase)):
        raise FacegenError(f"{folder() / staircase}: no rungs are there")
    return found


def _listed(staircase: str) -> list[Rung]:
    files = sorted((folder() / staircase).glob(f"*{STAIRCASES[staircase]}"))
    return [Rung(file.stem, file, _title(file)) for file in files if _RUNG.fullmatch(file.stem)]


def find_rung(name: str) -> Rung:
    """A rung by its name, or by the beginning of it where only one begins so, as "cpu/04".

    Raises
    ------
    FacegenError
        No rung or several begin so.
    """
    staircase, _, begun = name.rpartition("/")
    if staircase and staircase not in STAIRCASES:
        raise FacegenError(f"{name}: expected {' or '.join(STAIRCASES)} before the /")
    listed = [rung for each in STAIRCASES if staircase in ("", each) for rung in _listed(each)]
    found = [rung for rung in listed if rung.name.startswith(begun)]
    if len(found) != 1:
        begin = ", ".join(f"{rung.source.parent.name}/{rung.name}" for rung in found) or "none"
        raise FacegenError(f"{name}: expected the name of one rung; those that begin so: {begin}")
    return found[0]


def _title(file: Path) -> str:
    with file.open(encoding="utf-8") as lines:
        match = _TITLE.fullmatch(lines.readline())
    return match[1] if match else ""
