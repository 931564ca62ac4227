"""Pairs of pictures, side by side in one file or in two folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.photos import photo
from facegen.photos.square import resized
from facegen.train.readers import read_rgb

DIRECTIONS = ("AtoB", "BtoA")
FOLDERS = ("A", "B")

Skipped = tuple[str, str]  # a file, and why it is not read


@dataclass(frozen=True)
class Pair:
    """The files of a pair: one of both pictures, side by side, or one each, A and B."""

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Found:
    """The pairs of a folder, in order of their names, and the files that are in none."""

    pairs: list[Pair]
    skipped: list[Skipped]


def find(folder: str | os.PathLike[str]) -> Found:
    """The pairs of a folder, none of which is opened.

    Each picture in it is two, side by side. Where it has the folders ``A`` and ``B``, pictures of
    one name in both are a pair, whatever their extensions; what has no other half is skipped.

    Raises
    ------
    FormatError
        There is no pair.
    OSError
        The folder cannot be read.
    """
    folder = Path(folder)
    halves = [folder / name for name in FOLDERS]
    if not any(half.is_dir() for half in halves):
        pairs = [Pair(path.stem, (path,)) for path in _pictures(folder)]
        if not pairs:
            raise FormatError(
                f"{folder}: expected pictures side by side, or folders A and B; found neither"
            )
        return Found(pairs, [])
    for half in halves:
        if not half.is_dir():
            raise FormatError(f"{folder}: expected folders A and B, there is no {half.name}")
    a, b = ({path.stem: path for path in reversed(_pictures(half))} for half in halves)
    skipped = [
        (str(own[name]), f"there is no {name} in {other}")
        for own, theirs, other in ((a, b, halves[1]), (b, a, halves[0]))
        for name in sorted(own.keys() - theirs.keys())
    ]
    pairs = [Pair(name, (a[name], b[name])) for name in sorted(a.keys() & b.keys())]
    if not pairs:
        raise FormatError(
            f"{folder}: no picture of {halves[0]} ({len(a):,}) has the name of one of "
            f"{halves[1]} ({len(b):,})"
        )
    return Found(pairs, skipped)


def read(pair: Pair, side: int, direction: str = "AtoB") -> NDArray[np.uint8]:
    """What goes in and what comes out: (2, side, side, 3), resized whatever their shapes are.

    What is transparent becomes white.

    Raises
    ------
    FormatError
        A file is no readable picture, or both halves cannot be of one width.
    """
    if len(pair.files) == 1:
        (path,) = pair.files
        both = read_rgb(path)
        width = both.shape[1]
        if width % 2:
            raise FormatError(
                f"{path}: expected two pictures of one width side by side, found {width} pixels"
            )
        halves = [both[:, : width // 2], both[:, width // 2 :]]
    else:
        halves = [read_rgb(path) for path in pair.files]
    if direction == "BtoA":
        halves.reverse()
    return np.stack([resized(np.ascontiguousarray(half), side, side) for half in halves])


def _pictures(folder: Path) -> list[Path]:
    extensions = photo.readable_extensions()
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in extensions and not path.name.startswith(".")
    )
