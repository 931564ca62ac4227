"""What is made of each picture, and under which names; nothing may overwrite anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facegen.errors import FacegenError
from facegen.media.photo import WRITABLE, readable_extensions
from facegen.media.standard import STANDARD
from facegen.pictures.sources import Source

SAME = "same"  # as a format: the extension of the source


@dataclass(frozen=True)
class Item:
    """A picture and the files that are made of it.

    Attributes
    ----------
    source
        The picture's file, or "-".
    outputs
        Paths of the results, in the order of the task's suffixes; "-" is standard output.
    """

    source: str
    outputs: tuple[str, ...]


def is_folder(output: str) -> bool:
    """Whether ``-o`` names a folder: it is one, ends as one, or has no picture's extension."""
    if output == STANDARD:
        return False
    extension = os.path.splitext(output)[1].lower()
    return (
        output.endswith("/") or os.path.isdir(output) or extension not in readable_extensions()
    )


def items(
    sources: Sequence[Source], output: str, suffixes: Sequence[str], extension: str = ".png"
) -> list[Item]:
    """Name the results.

    Parameters
    ----------
    output
        A folder, where results are named after their sources ("sub/cat.jpg" and the suffix
        "_areas.json" give "OUTPUT/sub/cat_areas.json"); or, for one source and one suffix, a
        picture file or "-".
    suffixes
        What follows a source's name without its extension, one a result; "" is a picture, which
        gets `extension`.
    extension
        Of pictures: one of `WRITABLE`, or "same" for that of the source (.png where it cannot be
        written).

    Raises
    ------
    FacegenError
        Two results with one name, a result with the name of a source, several results for one
        file, or a file of a format that is read but not written (.gif).
    """
    if is_folder(output):
        named = [
            Item(source.path, tuple(_name(source, output, s, extension) for s in suffixes))
            for source in sources
        ]
    elif output != STANDARD and os.path.splitext(output)[1].lower() not in WRITABLE:
        raise FacegenError(f"{output}: pictures are written as {', '.join(WRITABLE)}")
    elif len(sources) == 1 and len(suffixes) == 1:
        named = [Item(sources[0].path, (output,))]
    else:
        what = "several pictures" if len(sources) > 1 else "several results"
        raise FacegenError(f"{output}: is one file, and there are {what}; name a folder")
    _check(named)
    return named


def _name(source: Source, folder: str, suffix: str, extension: str) -> str:
    stem, own = os.path.splitext(source.name)
    if suffix == "":
        if extension == SAME:
            extension = own if own.lower() in WRITABLE else ".png"
        suffix = extension
    return os.path.join(folder, stem + suffix)


def _check(named: Iterable[Item]) -> None:
    named = list(named)
    inputs = {os.path.realpath(item.source) for item in named if item.source != STANDARD}
    makers: dict[str, str] = {}
    for item in named:
        for path in item.outputs:
            real = os.path.realpath(path)
            if real in makers:
                raise FacegenError(
                    f"{path}: would be the result of both {makers[real]} and {item.source}"
                )
            if real in inputs:
                raise FacegenError(f"{path}: would replace a picture that is to be read")
            makers[real] = item.source
