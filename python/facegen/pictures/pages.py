"""The pages of a document, or the frames of an animation: one file's pictures, done one by one.

What comes of them is one file again where its format holds several, else a file each: "scan.png",
"scan_page2.png", ... Of all of them together no more is in memory than a few pictures: what is
made goes into a temporary file (TMPDIR says where) once it is more than `_SPOOLED_BYTES`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any, cast

from facegen.errors import FormatError
from facegen.photos.encode import extension_of
from facegen.photos.frames import Frame, Frames, frames
from facegen.photos.joined import Picture, holds, writer
from facegen.photos.photo import Photo
from facegen.pictures.task import Made, Task

_SPOOLED_BYTES = 64 << 20
_MOST_NUMBERED = 200  # files that are open at once, twice over
_GROUP_PIXELS = 4_000_000  # of pictures that are computed at once


@dataclass(frozen=True)
class Pages:
    """What becomes of files of several pictures.

    Attributes
    ----------
    first
        The first picture alone is done.
    numbered
        See `Task`.
    """

    first: bool = False
    numbered: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """For `Task.settings`."""
        return {"frames": "first" if self.first else "all"}

    def of_task(self, task: Task, keep_depth: bool = False) -> Task:
        """The task for such files too."""
        if self.first:
            return task
        return replace(task, frames=partial(frames, keep_depth=keep_depth), numbered=self.numbered)


ALL = Pages()


def finish_one(
    picture: Callable[[Any, Any, str], Picture], photo: Photo, value: Any, outputs: tuple[str, ...]
) -> Made:
    """`Task.finish` of commands with one result, by their `Task.picture`."""
    (output,) = outputs
    return Made({output: picture(photo, value, output).encoded(output)})


def made_of_all(task: Task, found: Frames, outputs: tuple[str, ...]) -> Made:
    """Do each of several pictures of a file.

    Raises
    ------
    FormatError
        One cannot be decoded; or the result's format holds one, and is to be a single file.
    """
    path = outputs[0]
    if task.picture is not None and holds(extension_of(path), found.plays):
        return _joined(task, found, path)
    if not task.numbered:
        holding = ".tif" if found.plays is None else ".tif, .png, .webp or .gif"
        raise FormatError(
            f"{found.count} {found.name}s, and a {extension_of(path)} file holds one: a folder "
            f"takes a file each, {'' if task.picture is None else f'{holding} holds all, '}and "
            "--frames first takes the first"
        )
    return _numbered(task, found, outputs)


def _joined(task: Task, found: Frames, path: str) -> Made:
    assert task.picture is not None
    # Closed when nobody has it any more.
    file = tempfile.SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115
    content = cast(IO[bytes], file)
    joined = writer(extension_of(path), content, found.count, found.plays)
    done = 0
    for frame, value in _computed(task, found):
        joined.add(task.picture(frame.photo, value, path), frame.milliseconds)
        done += 1
    if done != found.count:
        raise FormatError(f"{done} {found.name}s, where {found.count} were announced")
    joined.end()
    return Made({path: content}, {f"{found.name}s": found.count})


def _numbered(task: Task, found: Frames, outputs: tuple[str, ...]) -> Made:
    if found.count > _MOST_NUMBERED:
        raise FormatError(
            f"{found.count:,} {found.name}s, of which {_MOST_NUMBERED} at most become a file each"
        )
    files: dict[str, bytes | IO[bytes]] = {}
    facts = []
    for number, (frame, value) in enumerate(_computed(task, found), start=1):
        names = outputs if number == 1 else _names(outputs, f"_{found.name}{number}")
        made = task.finish(frame.photo, value, names)
        for path, content in made.files.items():
            files[path] = _spooled(content)
        facts.append({"outputs": list(made.files), **made.facts})
    return Made(files, {f"{found.name}s": facts})


def _computed(task: Task, found: Frames) -> Iterator[tuple[Frame, Any]]:
    """Each with the network's output; as many are computed at once as are small."""
    group: list[Frame] = []
    pixels = 0
    for frame in found:
        group.append(frame)
        pixels += frame.photo.pixels.shape[0] * frame.photo.pixels.shape[1]
        if pixels >= _GROUP_PIXELS or len(group) == task.batch:
            yield from _values(task, group)
            group, pixels = [], 0
    if group:
        yield from _values(task, group)


def _values(task: Task, group: list[Frame]) -> Iterator[tuple[Frame, Any]]:
    values = task.compute([task.prepare(frame.photo) for frame in group])
    return zip(group, list(values), strict=True)


def _names(outputs: tuple[str, ...], mark: str) -> tuple[str, ...]:
    """Names of another page's results: all begin as the first one does, without its extension."""
    stem = os.path.splitext(outputs[0])[0]
    return tuple(stem + mark + output[len(stem) :] for output in outputs)


def _spooled(content: bytes | IO[bytes]) -> IO[bytes]:
    assert isinstance(content, bytes)
    file = cast(IO[bytes], tempfile.SpooledTemporaryFile(1 << 20))  # noqa: SIM115
    file.write(content)
    return file
