"""How far a run has come, so that one that was killed can go on: ``--resume``.

Beside the first output lies ``.NAME.facegen-journal``, a line of JSON: the digest of all that
results depend on, the chunks that are written, and the bytes of each unfinished output
(``.NAME.facegen-part``; a NAME that leaves no room for these is shortened). It is replaced about
once a second, after what it speaks of is on the disk. So whenever a run ends, by a signal or with
the power, its outputs up to the journal's place are as it says; what lies behind is cut off and
made again.

When a run has ended well, the journal has the size and the time of each output instead, and the
same run again has nothing to do. An output that anything has written to or replaced since has
another time, so that nothing else is taken for one that is finished.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from facegen import __version__
from facegen.errors import FacegenError
from facegen.files import state
from facegen.files.atomic import AtomicFile, forget_part, hidden_beside, part_of
from facegen.files.digest import file_digest
from facegen.files.json_text import json_text
from facegen.files.standard import open_already

Chunk = TypeVar("Chunk")

_SECONDS = 1.0  # between two entries, or more: they may take a tenth of the time


class Writer(Protocol):
    """An output that comes in order; `facegen.media` and `facegen.numbers` have them."""

    def synchronize(self) -> int:
        """Have what was written on the disk; gives its bytes."""


class NoJournal:
    """The journal of a run that is not to be resumed: it begins at the beginning and notes nothing.

    What an earlier run left of the same outputs, to be resumed, is removed when they are complete.
    """

    chunks = done = 0
    finished = False

    def __init__(self, outputs: Sequence[str]) -> None:
        self._outputs = outputs

    def resume(self, output: str) -> None:
        return None

    def rest(self, source: Iterable[Chunk]) -> Iterable[Chunk]:
        return source

    def wrote(self, outputs: Mapping[str, Writer]) -> None:
        pass

    def __enter__(self) -> NoJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            forget(self._outputs)


class Journal:
    """The journal of a run whose outputs come in chunks, all of them in step.

    When its ``with`` block ends well, the run is finished: the outputs' own blocks lie inside, so
    that they are complete then.

    Parameters
    ----------
    outputs
        The files.
    count, chunk
        Items in all, and in a chunk; the last may have fewer.
    files
        What is read: input, network. Their content counts.
    settings
        All else that results depend on, besides facegen's version: options, the kind of device.
    stays
        Whether a finished run leaves its journal for the next to find; False where something else
        knows what is finished.

    Attributes
    ----------
    chunks
        Those that are written already; 0 for a run that begins, as one does whose inputs are not
        those of the run before.
    finished
        The run before was the same and ended well, and its outputs are there as it left them.

    Raises
    ------
    FacegenError
        An input is no file.
    """

    def __init__(
        self,
        outputs: Sequence[str],
        count: int,
        chunk: int,
        files: Iterable[str | os.PathLike[str]],
        settings: Mapping[str, Any],
        stays: bool = True,
    ) -> None:
        self._path = _path(outputs)
        inputs = [input_digest(file) for file in files]
        everything = [__version__, sorted(settings.items()), count, chunk, inputs]
        self._key = hashlib.sha256(json_text(everything).encode()).hexdigest()
        self._count, self._chunk, self._stays = count, chunk, stays
        self.chunks, self._bytes = 0, dict.fromkeys(outputs, 0)
        self.finished = False
        # Whatever a journal holds that is damaged, or of another kind, counts as none.
        with suppress(OSError, state.Damaged):
            self._read(state.read(self._path))
        self._due = time.monotonic() + _SECONDS

    def _read(self, entry: dict[str, Any]) -> None:
        """Take over what the run before has noted, if it was the same."""
        if entry.get("key") != self._key:
            return
        if "finished" in entry:
            found = {output: _stamp(output) for output in self._bytes}
            self.finished = entry["finished"] == found
            return
        sizes = state.mapping(entry.get("bytes"))
        kept = {output: state.whole(sizes.get(output)) for output in self._bytes}
        chunks = state.whole(entry.get("chunks"))
        if chunks <= -(-self._count // self._chunk) and all(
            part_of(output).lstat().st_size >= size for output, size in kept.items()
        ):
            self.chunks, self._bytes = chunks, kept

    @property
    def done(self) -> int:
        """Items that are written already."""
        return self._count if self.finished else min(self.chunks * self._chunk, self._count)

    def resume(self, output: str) -> tuple[int, int]:
        """Items and bytes of an output to go on from; for its writer."""
        return self.done, self._bytes[output]

    def rest(self, source: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks of the source that are not written yet."""
        return islice(source, self.chunks, None)

    def wrote(self, outputs: Mapping[str, Writer]) -> None:
        """Another chunk is written to all outputs, path -> writer; noted if it is time."""
        self.chunks += 1
        begin = time.monotonic()
        if begin < self._due:
            return
        sizes = {output: writer.synchronize() for output, writer in outputs.items()}
        self._note(chunks=self.chunks, bytes=sizes)
        end = time.monotonic()
        self._due = end + max(_SECONDS, 9 * (end - begin))

    def _note(self, **fields: Any) -> None:
        with AtomicFile(self._path, replace=True) as file:
            file.write(json_text({"key": self._key, **fields}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            return
        if not self._stays:
            self._path.unlink(missing_ok=True)
            return
        for output in self._bytes:
            with open(output, "rb") as file:
                os.fsync(file.fileno())
        self._note(finished={output: _stamp(output) for output in self._bytes})


def forget(outputs: Sequence[str]) -> None:
    """Remove what a run has left that was to be resumed: the outputs are complete."""
    for output in outputs:
        forget_part(output)
    with suppress(OSError):
        _path(outputs).unlink()


def _stamp(path: str) -> list[int]:
    """Size and time of writing, by which a resumed run knows a file again, as JSON has them."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _path(outputs: Sequence[str]) -> Path:
    return hidden_beside(outputs[0], ".facegen-journal")


def input_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file; FacegenError for a pipe, which could not be read again."""
    standard = open_already(Path(path)) is not None  # where the system has no such name
    if (os.path.exists(path) or standard) and not os.path.isfile(path):
        raise FacegenError(f"{os.fspath(path)}: is no file, so a run cannot be resumed")
    return file_digest(path)
