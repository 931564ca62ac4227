"""Pictures of classes: a folder a class, its name the class's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facegen.engine.memory import check_memory
from facegen.errors import FormatError
from facegen.graphs.pictures import LONGEST_NAME
from facegen.photos.preparation import Preparation
from facegen.train.folders import files_below, is_run, read_each
from facegen.train.readers import read_rgb

LEAST = 2  # pictures of a class: one to learn from, one to measure by


@dataclass(frozen=True)
class ClassPictures:
    """Pictures at the network's size, class by class.

    Attributes
    ----------
    names
        Of the classes, sorted.
    pixels
        (n, height, width, channels) uint8.
    labels
        (n,): numbers of the classes.
    skipped
        What could not be read, and why.
    """

    names: tuple[str, ...]
    paths: list[str]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    skipped: list[str]

    def __len__(self) -> int:
        return len(self.labels)


def read_classes(
    folder: str | os.PathLike[str],
    preparation: Preparation,
    advance: Callable[[int], None] = lambda done: None,
) -> ClassPictures:
    """Read every file below every folder of `folder`; those that are no pictures are skipped.

    Hidden files and folders, and those of runs, are passed over. Order is that of the sorted paths.

    Raises
    ------
    FormatError
        There are fewer than two classes, or one has fewer than two pictures that can be read.
    OutOfMemory
        The machine does not hold so many at the network's size.
    OSError
        The folder, or one below, cannot be read.
    """
    folder = Path(folder)
    found = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    folders = [each for each in found if each.is_dir()]
    classes = [each for each in folders if not is_run(os.listdir(each))]
    if len(classes) < 2:
        loose = len(found) - len(folders)
        files = f", and {loose:,} files beside" if loose else ""
        raise FormatError(
            f"{folder}: expected a folder for each of two or more classes, found "
            f"{_counted(len(classes), 'folder')}{files}"
        )
    for each in classes:
        _check_name(each)
    inside = [sorted(files_below(each)) for each in classes]
    paths = [(label, path) for label, each in enumerate(inside) for path in each]
    shape = (len(paths), preparation.height, preparation.width, preparation.channels)
    check_memory(prod(shape), f"{len(paths):,} pictures of {shape[1]}x{shape[2]}")
    pixels = np.empty(shape, np.uint8)
    labels: list[int] = []
    kept: list[str] = []
    skipped: list[str] = []
    read = read_each(partial(_read, preparation), [path for _, path in paths])
    for (label, path), result in zip(paths, read, strict=True):
        advance(1)
        if isinstance(result, str):
            skipped.append(result)
            continue
        pixels[len(labels)] = result
        labels.append(label)
        kept.append(str(path))
    counts = np.bincount(np.array(labels, np.int64), minlength=len(classes))
    for each, count in zip(classes, counts, strict=True):
        if count < LEAST:
            why = f" ({skipped[0]})" if skipped and count == 0 else ""
            raise FormatError(
                f"{each}: expected at least {LEAST} pictures, one to learn from and one to measure "
                f"by, found {count}{why}"
            )
    return ClassPictures(
        tuple(each.name for each in classes),
        kept,
        pixels[: len(labels)],
        np.array(labels, np.int64),
        skipped,
    )


def _check_name(folder: Path) -> None:
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        raise FormatError(f"{folder}: a class's name must be text") from None
    if not folder.name.isprintable() or len(folder.name) > LONGEST_NAME:
        expected = f"printable characters, {LONGEST_NAME} at most"
        raise FormatError(f"{folder}: a class's name must have {expected}")


def _read(preparation: Preparation, path: Path) -> NDArray[np.uint8]:
    sides = 2 * max(preparation.height, preparation.width)
    return preparation.resized(read_rgb(path, least_side=sides))


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
