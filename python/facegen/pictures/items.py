"""What is made of each picture, and under which names; nothing may overwrite anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from facegen import weights
from facegen.errors import FacegenError
from facegen.files.standard import STANDARD, is_stream
from facegen.photos import camera_raw, heif
from facegen.photos.encode import WRITABLE
from facegen.pictures.sources import Source

SAME = "same"  # as a format: the extension of the source

# Names that end so mean a file and no folder, though no result is written as one: beside all kinds
# of pictures that Pillow knows those that it does not, and what else programs write.
_OTHER_FILES = heif.EXTENSIONS | camera_raw.EXTENSIONS | {
    *(".jxl", ".svg", ".exr", ".mp4", ".mov", ".avi", ".mkv", ".webm", ".txt", ".json", ".csv"),
    *(".npy", ".zip", ".tar", ".gz", *weights.writable()),
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A picture and the files that are made of it.

    Attributes
    ----------
    source
        The picture's file, or "-".
    outputs
        Paths of the results, in the order of the task's suffixes. That of standard output, a device
        or a pipe has the extension of what is written there ("-.jpg").
    """

    source: str
    outputs: tuple[str, ...]


def is_folder(output: str) -> bool:
    """Whether ``-o`` names a folder: it is one, ends as one, or has no extension of a file's.

    "v1.0" is a folder, and "out.heic" a file, of a kind that `items` refuses. A device or a pipe is
    a file.
    """
    if is_stream(output):
        return False
    if output.endswith("/") or os.path.isdir(output):
        return True
    extension = os.path.splitext(output)[1].lower()
    return extension not in _OTHER_FILES | Image.registered_extensions().keys()


def items(
    sources: Sequence[Source], output: str, suffixes: Sequence[str], extension: str = ".png"
) -> list[Item]:
    """Name the results.

    Parameters
    ----------
    output
        A folder, where results are named after their sources ("sub/cat.jpg" and the suffix
        "_areas.json" give "OUTPUT/sub/cat_areas.json"); or, for one source and one suffix, a
        picture file, "-", a device or a pipe.
    suffixes
        What follows a source's name without its extension, one a result; "" is a picture, which
        gets `extension`.
    extension
        Of pictures in a folder, and of one for a name that has none (standard output): one of
        `WRITABLE`, or "same" for that of the source (.png where it cannot be written).

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
    elif not is_stream(output) and not _is_writable(output):
        raise FacegenError(
            f"{output}: pictures are written as {', '.join(WRITABLE)}; a folder of this name would "
            f"be {output}/"
        )
    elif len(sources) == 1 and len(suffixes) == 1:
        if is_stream(output):
            ending = "" if _is_writable(output) else _ending(sources[0], suffixes[0], extension)
            return [Item(sources[0].path, (output + ending,))]  # which replaces no file
        named = [Item(sources[0].path, (output,))]
    else:
        what = "several pictures" if len(sources) > 1 else "several results"
        raise FacegenError(f"{output}: is one file, and there are {what}; name a folder")

    def same_differs(a: Source, b: Source) -> bool:
        """Whether with the extensions of their sources results would have names of their own."""
        return "" in suffixes and _name(a, output, "", SAME) != _name(b, output, "", SAME)

    _check(named, sources, same_differs)
    return named


def _is_writable(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in WRITABLE


def _name(source: Source, folder: str, suffix: str, extension: str) -> str:
    stem = os.path.splitext(source.name)[0]
    return os.path.join(folder, stem + _ending(source, suffix, extension))


def _ending(source: Source, suffix: str, extension: str) -> str:
    if suffix != "":
        return suffix
    if extension == SAME:
        return os.path.splitext(source.name)[1] if _is_writable(source.name) else ".png"
    return extension


def _check(
    named: Sequence[Item], sources: Sequence[Source], same_differs: Callable[[Source, Source], bool]
) -> None:
    inputs = {os.path.realpath(item.source) for item in named if item.source != STANDARD}
    makers: dict[str, Source] = {}
    for item, source in zip(named, sources, strict=True):
        for path in item.outputs:
            real = os.path.realpath(path)
            if real in makers:
                same = same_differs(makers[real], source)
                cure = "--format same keeps them apart" if same else "use a folder for each"
                raise FacegenError(
                    f"{path}: would be the result of both {makers[real].path} and {item.source} "
                    f"({cure})"
                )
            if real in inputs:
                raise FacegenError(f"{path}: would replace a picture that is to be read")
            makers[real] = source
