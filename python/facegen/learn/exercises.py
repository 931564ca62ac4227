"""The exercises: a folder each in ``course/exercises``, with a task, and a file with a hole.

| file | what it is |
|---|---|
| ``task.md`` | ``# Title``, ``Reach: RATIO of RUNG on PROBLEM``, the text, ``## Hint`` sections |
| ``exercise.cpp``, ``.cu``, ``.py`` | the file with the hole |
| ``check.py`` | of Python ones: what `facegen.learn.python_exercise` calls |

A file of C++ or CUDA is a rung of the ladder with something missing (``course/common/rung.h``), and
is verified by what is in there. Solutions are in ``course/solutions``, under the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from facegen.errors import FacegenError
from facegen.learn.course import folder

LANGUAGES = {".cpp": "C++", ".cu": "CUDA", ".py": "Python"}

_FOLDER = re.compile(r"(\d\d)_\w+")
_TITLE = re.compile(r"# (.+)")
_REACH = re.compile(r"Reach: ([0-9.]+) of (\S+)(?: on (\S+))?")
_HINT = re.compile(r"^## Hint\n", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """The speed to reach.

    Attributes
    ----------
    ratio
        At least so many times as fast as that is.
    rung
        Of the ladder, as "cpu/04"; of Python's exercises "plain", which is in ``check.py``.
    problem
        "conv3x3" or "tconv2"; None for Python.
    """

    ratio: float
    rung: str
    problem: str | None


@dataclass(frozen=True)
class Exercise:
    """One of them.

    Attributes
    ----------
    number, name
        4 and "04_register_tile": the name of its folder, and of the learner's file.
    title, text, hints
        Of ``task.md``.
    source
        The file with the hole.
    target
        None where being right is all.
    """

    number: int
    name: str
    title: str
    text: str
    hints: tuple[str, ...]
    source: Path
    target: Target | None

    @property
    def language(self) -> str:
        """One of `LANGUAGES`."""
        return LANGUAGES[self.source.suffix]

    @property
    def file(self) -> str:
        """The learner's file, as "04_register_tile.cpp"."""
        return self.name + self.source.suffix

    @property
    def solution(self) -> Path:
        """Where the solution is."""
        return folder() / "solutions" / self.file

    @property
    def check(self) -> Path:
        """What verifies it, if it is one of Python."""
        return self.source.with_name("check.py")


def exercises() -> list[Exercise]:
    """All, by their numbers.

    Raises
    ------
    FacegenError
        The folder of the course is not there, or an exercise in it is not whole.
    """
    places = sorted(path for path in (folder() / "exercises").iterdir() if path.is_dir())
    return [_read(place) for place in places if _FOLDER.fullmatch(place.name)]


def find_exercise(number: int) -> Exercise:
    """The exercise of a number.

    Raises
    ------
    FacegenError
        There is none.
    """
    found = {exercise.number: exercise for exercise in exercises()}
    if number not in found:
        raise FacegenError(
            f"no exercise {number}; there are {min(found)} to {max(found)} (facegen learn list)"
        )
    return found[number]


def _read(place: Path) -> Exercise:
    task = place / "task.md"
    sources = [path for path in place.glob("exercise.*") if path.suffix in LANGUAGES]
    if len(sources) != 1 or not task.is_file():
        raise FacegenError(f"{place}: expected task.md and one exercise.cpp, .cu or .py")
    about, *hints = _HINT.split(task.read_text(encoding="utf-8"))
    first, second, *rest = about.split("\n", 2)
    title, reach = _TITLE.fullmatch(first), _REACH.fullmatch(second)
    if title is None or (second and reach is None):
        raise FacegenError(f"{task}: expected '# Title', and below it 'Reach: ...' or nothing")
    target = Target(float(reach[1]), reach[2], reach[3]) if reach else None
    return Exercise(
        int(place.name[:2]),
        place.name,
        title[1],
        "".join(rest).strip(),
        tuple(hint.strip() for hint in hints),
        sources[0],
        target,
    )
