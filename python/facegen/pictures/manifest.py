"""What a folder of results was made of, so that a run can be taken up where it ended.

``OUTPUT/.facegen/*.jsonl`` has one line a source, a `facegen.pictures.record.Record`. Of the lines
that name an output the one written last counts.

A line is written when all its outputs stand complete under temporary names, just before they take
their own; what stood there before has been set aside by then, and goes when the line is written.
So whenever a run is killed, an output that is there and in the manifest is complete and was made as
the line says; and where the line cannot be written, what was there before comes back. Sizes are
compared too: power that fails may leave a shorter file. Each process writes a file of its own, and
reads all.

A line that is not as ours are counts as none. It vouches for files in the folder alone: nothing
that it names is touched where a link leads out of the folder, or is a link itself. And what it says
was made together with a result is removed only where its name says so too: "cat_overlay.png",
"cat_masks/dog.png" and "cat.jpg" go with "cat.png", a forged line's "notes.txt" and "cat_diary.txt"
do not; and no picture that the run is to read goes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from facegen.cached import cached_property
from facegen.errors import FacegenError
from facegen.files import state
from facegen.files.atomic import AtomicFile, put, temporary_beside
from facegen.launchers import find_place
from facegen.pictures.record import FOLDER, Input, Record, checked
from facegen.pictures.task import Made


def _is_made_with_pictures(name: str) -> bool:
    """Whether a file may have been made together with a picture, by its extension."""
    from facegen.photos.encode import WRITABLE  # which loads Pillow: asked for pictures alone

    return os.path.splitext(name)[1].lower() in (*WRITABLE, ".json")


class Manifest:
    """The records of a folder of results; `write` saves outputs and adds to them.

    Parameters
    ----------
    folder
        Of the results; it and its manifest are made when the first output is written.
    share
        (i, n) where this run does one of n shares of the pictures. Each share and each rank has a
        file of its own.

    A pickled manifest opens its file anew where it is unpickled.
    """

    def __init__(
        self, folder: str, share: tuple[int, int] = (0, 1), sources: frozenset[str] = frozenset()
    ) -> None:
        self.folder, self._share, self._sources = folder, share, sources
        self._file: state.LineFile | None = None
        self._inside: dict[str, bool] = {}  # folders of results, whether they are in this one
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Manifest, (self.folder, self._share, self._sources)

    def keep(self, sources: Iterable[str]) -> None:
        """Pictures that are to be read, which stay whatever a line says of them."""
        self._sources |= {os.path.realpath(source) for source in sources}

    @cached_property
    def _records(self) -> dict[str, Record]:
        """The last one of every output, when they were read."""
        records: dict[str, Record] = {}
        for path in self._place().glob("*.jsonl"):
            for entry in state.read_lines(path):
                try:
                    record = checked(entry)
                except state.Damaged:
                    continue
                for name in record.outputs:
                    if name not in records or records[name].written_ns <= record.written_ns:
                        records[name] = record
        return records

    def record(self, output: str) -> Record | None:
        """How the output was made, where it is known."""
        name = os.path.relpath(output, self.folder)
        if name not in self._records:
            # Another rank may have made it since, and died.
            self.__dict__.pop("_records", None)
        return self._records.get(name)

    def known(self, output: str) -> Record:
        """How an output that is there was made; FacegenError where that is not known.

        A link, or what a link leads to outside of the folder, was made by no run.
        """
        self.check_place(output)
        record = None if os.path.islink(output) else self.record(output)
        if record is None:
            raise FacegenError(
                f"{output}: exists, and no run is known to have made it (--overwrite replaces it)"
            )
        return record

    def check_place(self, output: str) -> None:
        """FacegenError for what lies elsewhere, by its name or by a link to its folder.

        So it is where the manifest's own folder is a link.
        """
        if not self._is_inside(output):
            raise FacegenError(
                f"{output}: a link leads out of {self.folder}, and results stay in their folder"
            )

    def complete(self, record: Record) -> bool:
        """All its outputs are there, of the recorded sizes."""
        return all(self._there(name, size) for name, size in record.outputs.items())

    def _there(self, name: str, size: int) -> bool:
        """A file of this size, no link, has the name."""
        path = os.path.join(self.folder, name)
        try:
            status = os.lstat(path)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size and self._is_inside(path)

    def _is_inside(self, path: str) -> bool:
        """No link leads out of the folder; found out once for each folder below it."""
        below = os.path.dirname(path)
        if below not in self._inside:
            self._place()
            self._inside[below] = state.is_below(path, self.folder)
        return self._inside[below]

    def write(self, made_of: Input, settings: str, made: Made) -> None:
        """Write files under their names, all complete, and record them.

        What else was made of the picture before, under names that begin as these but are not among
        them, is removed, with its folder where that is empty then. A link that has the name of an
        output is replaced, not followed.
        May be called from several threads at once, for different outputs.
        """
        files: list[AtomicFile] = []
        sizes: dict[str, int] = {}
        try:
            for path, data in made.files.items():
                self.check_place(path)
                os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
                files.append(AtomicFile(path, replace=True))
                sizes[path] = put(data, files[-1].file)
                files[-1].file.flush()
            self.note(made_of, settings, sizes, made.facts)
            for file in files:
                file.commit()
        except BaseException:
            for file in files:
                file.discard()
            raise

    def note(
        self,
        made_of: Input,
        settings: str,
        outputs: Mapping[str, int],
        facts: Mapping[str, Any],
    ) -> None:
        """Record outputs (path -> bytes) that stand complete under temporary names.

        They are to take their own names next; what has these now is removed.
        """
        names = {os.path.relpath(path, self.folder): size for path, size in outputs.items()}
        records = self._records
        outdated = list(self._outdated(names, records))
        before = [records[name].written_ns + 1 for name in names if name in records]
        written_ns = min(max([time.time_ns(), *before]), state.LARGEST)  # clocks are set back
        aside: list[tuple[str, Path]] = []
        try:
            for path in [*outputs, *outdated]:
                other = temporary_beside(path)
                with suppress(FileNotFoundError):
                    os.rename(path, other)
                    aside.append((path, other))
            self._append(Record(made_of, settings, names, facts, written_ns))
        except BaseException:
            for path, other in aside:
                with suppress(OSError):
                    os.rename(other, path)
            raise
        for _, other in aside:
            other.unlink(missing_ok=True)
        for folder in {os.path.dirname(path) for path in outdated}:
            with suppress(OSError):  # others have files there
                os.rmdir(folder)

    def _outdated(self, names: Iterable[str], records: Mapping[str, Record]) -> Iterator[str]:
        """Paths that were made together with these, but not by anything since.

        A line alone does not vouch for that: they have names as results of the same picture have.
        """
        names = set(names)
        stems = tuple(os.path.splitext(name)[0] + mark for name in names for mark in "._-")
        for name in names:
            before = records.get(name)
            for other, size in before.outputs.items() if before is not None else ():
                path = os.path.join(self.folder, other)
                if (
                    other not in names
                    and other.startswith(stems)
                    and _is_made_with_pictures(other)
                    and records.get(other) is before
                    and self._there(other, size)
                    and os.path.realpath(path) not in self._sources
                ):
                    yield path

    def _append(self, record: Record) -> None:
        entry = asdict(record)
        line = {**entry.pop("input"), **entry}
        with self._lock:
            if self._file is None:
                (index, count), rank = self._share, find_place(os.environ).rank
                path = self._place() / f"{index}-of-{count}-rank-{rank}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = state.LineFile(path)
            self._file.append(line)

    def _place(self) -> Path:
        """The manifest's folder, to which no link may lead."""
        place = Path(self.folder, FOLDER)
        if place.is_symlink():
            raise FacegenError(f"{place}: expected a folder of ours, found a link")
        return place

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
