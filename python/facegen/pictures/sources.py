"""Which pictures a command line means: files, folders, globs, standard input."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from facegen.errors import FacegenError
from facegen.files.standard import STANDARD
from facegen.photos.photo import readable_extensions
from facegen.pictures.passed_over import lines


@dataclass(frozen=True)
class Source:
    """A picture to read.

    Attributes
    ----------
    path
        Its file, or "-".
    name
        Where it stands below the folder that was named ("sub/cat.jpg"), or its bare file name:
        results are named after it.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Found:
    """What inputs mean.

    Attributes
    ----------
    pictures
        Each once, in order; those of a folder in order of names.
    passed_over
        Paths of the files of folders, or that fit globs, that are not read.
    """

    pictures: list[Source]
    passed_over: list[str]


def find(inputs: Iterable[str], recursive: bool = False, skip: str | None = None) -> Found:
    """The pictures that the inputs mean.

    Parameters
    ----------
    inputs
        Files, folders, globs ("photos/*.jpg", "photos/**/*.jpg") or "-". Files that are named are
        taken whatever they are; in folders, what has a picture's extension. What cannot be read (a
        link that leads nowhere, a pipe) is among them: whoever reads it says so. Hidden files are
        neither taken nor passed over.
    recursive
        Folders with all that is below them.
    skip
        A folder whose files are not taken, that of the results; unless it is what is named.

    Raises
    ------
    FileNotFoundError
        A name that nothing has.
    FacegenError
        A folder or a glob without a picture; "-" beside other inputs.
    """
    inputs = list(inputs)
    if STANDARD in inputs:
        if len(inputs) > 1:
            raise FacegenError("'-' (standard input) is one picture and goes alone")
        return Found([Source(STANDARD, "stdin")], [])
    hidden = None if skip is None else os.path.realpath(skip)
    found: dict[str, Source] = {}
    passed_over: dict[str, str] = {}
    for name in inputs:
        here = list(_expand(name, recursive, hidden))
        if os.path.isdir(name) or not os.path.lexists(name):
            others = [source.path for source in here if not _is_picture(source.path)]
            passed_over |= {os.path.abspath(path): path for path in others}
            here = [source for source in here if _is_picture(source.path)]
            if not here:
                hint = "" if recursive else " (-r looks into its folders too)"
                more = "".join(f"; passed over: {line}" for line in lines(others))
                raise FacegenError(f"{name}: no pictures there{hint}{more}")
        for source in here:
            found.setdefault(os.path.abspath(source.path), source)
    return Found(list(found.values()), [passed_over[p] for p in passed_over if p not in found])


def _expand(name: str, recursive: bool, skip: str | None) -> Iterator[Source]:
    """All files that an input means, whatever they are."""
    if os.path.isdir(name):
        yield from _folder(name, recursive, None if _inside(name, skip) else skip)
    elif os.path.lexists(name):
        yield Source(name, os.path.basename(name))
    elif glob.has_magic(name):
        root, fitting = _fitting(name)
        skip = None if _inside(root, skip) else skip
        for path in fitting:
            if not os.path.isdir(path) and not _inside(path, skip):
                yield Source(path, os.path.relpath(path, root))
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _folder(folder: str, recursive: bool, skip: str | None) -> Iterator[Source]:
    for place, folders, files in os.walk(folder, onerror=_raise):
        for file in sorted(files):
            path = os.path.join(place, file)
            if not file.startswith("."):
                yield Source(path, os.path.relpath(path, folder))
        below = [name for name in folders if not name.startswith(".")] if recursive else []
        folders[:] = sorted(
            name for name in below if not _inside(os.path.join(place, name), skip)
        )


def _raise(error: OSError) -> None:
    raise error


def _fitting(pattern: str) -> tuple[str, list[str]]:
    """The folder before a pattern's first wildcard, and what fits the pattern, in order.

    A part that is something's very name means that alone: folders are called "[2020]" too.
    """
    *folders, last = pattern.split(os.sep)
    root, found, wild = "", [""], False
    for part in folders:
        found = _matches(found, part + os.sep)
        wild = wild or found != [root + part + os.sep]
        if not wild:
            root += part + os.sep
    return root or os.curdir, sorted(_matches(found, last))


def _matches(folders: Iterable[str], part: str) -> list[str]:
    """What fits a part of a pattern in folders, each of which ends as one or is empty."""
    found: list[str] = []
    for folder in folders:
        if os.path.lexists(folder + part):
            found.append(folder + part)
            continue
        if part == "**" + os.sep:
            found.append(folder)
        found += glob.glob(glob.escape(folder) + part, recursive=True)
    return list(dict.fromkeys(found))


def _is_picture(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in readable_extensions()


def _inside(path: str, folder: str | None) -> bool:
    """The path is the folder, or lies in it."""
    real = os.path.realpath(path)
    return folder is not None and (real == folder or real.startswith(folder.rstrip("/") + "/"))
