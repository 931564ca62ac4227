"""What a folder of results was made of, so that a run can be taken up where it ended.

``OUTPUT/.facegen/*.jsonl`` has one line of JSON a source:

    {"source": "/photos/cat.jpg", "size": 51234, "mtime_ns": 1763..., "sha256": "9f...",
     "settings": "4c...", "outputs": {"cat.png": 60210}, "facts": {}, "written_ns": 1763...}

``sha256`` is that of the source's content, ``settings`` that of the command, the weights and the
options that results depend on, ``outputs`` the results with their sizes in bytes, ``facts`` what
else was found. Of the lines that name an output the one written last counts. The source of a face
is its latent vector, and "seed 17" its name.

A line is written when all its outputs stand complete under temporary names, just before they take
their own; what stood there before has been removed by then. So whenever a run is killed, an output
that is there and in the manifest is complete and was made as the line says. Sizes are compared too:
power that fails may leave a shorter file. Each process writes a file of its own, and reads all.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

from facegen.errors import FacegenError
from facegen.media.atomic import AtomicFile
from facegen.media.photo import read_bytes
from facegen.media.standard import STANDARD
from facegen.pictures.task import Made
from facegen.place import find_place

FOLDER = ".facegen"


@dataclass(frozen=True)
class Input:
    """A source as it was read."""

    source: str  # an absolute path, or what a face is of: "seed 17"
    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def read(cls, path: str) -> tuple[Input, bytes]:
        """A file ("-" is standard input), and its content."""
        # The time goes first: a file that changes meanwhile will be seen to have changed.
        mtime_ns = 0 if path == STANDARD else os.stat(path).st_mtime_ns
        data = read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(os.path.abspath(path), len(data), mtime_ns, sha256), data

    def unchanged(self, path: str) -> bool:
        """The file holds the same: by size and time, and by content where the time differs."""
        if path == STANDARD:
            return False
        try:
            status = os.stat(path)
            if status.st_size != self.size:
                return False
            if os.path.abspath(path) == self.source and status.st_mtime_ns == self.mtime_ns:
                return True
            return hashlib.sha256(read_bytes(path)).hexdigest() == self.sha256
        except OSError:  # whoever does the picture will say so
            return False


@dataclass(frozen=True)
class Record:
    """How some outputs were made."""

    input: Input
    settings: str
    outputs: dict[str, int]  # relative to the folder -> bytes
    facts: Mapping[str, Any]
    written_ns: int


def settings_digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of what results depend on; values as JSON has them."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


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

    def __init__(self, folder: str, share: tuple[int, int] = (0, 1)) -> None:
        self.folder, self._share = folder, share
        self._file: FileIO | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Manifest, (self.folder, self._share)

    @cached_property
    def _records(self) -> dict[str, Record]:
        """The last one of every output, when they were read."""
        records: dict[str, Record] = {}
        for path in Path(self.folder, FOLDER).glob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                record = _parse(line)
                if record is None:
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
        """How an output that is there was made; FacegenError where that is not known."""
        record = self.record(output)
        if record is None:
            raise FacegenError(
                f"{output}: exists, and no run is known to have made it (--overwrite replaces it)"
            )
        return record

    def complete(self, record: Record) -> bool:
        """All its outputs are there, of the recorded sizes."""
        for name, size in record.outputs.items():
            path = os.path.join(self.folder, name)
            if not os.path.isfile(path) or os.path.getsize(path) != size:
                return False
        return True

    def write(self, made_of: Input, settings: str, made: Made) -> None:
        """Write files under their names, all complete, and record them.

        What else was made of the picture before, under names that are not among these, is removed,
        with its folder where that is empty then.
        May be called from several threads at once, for different outputs.
        """
        files: list[AtomicFile] = []
        try:
            for path, data in made.files.items():
                os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
                files.append(AtomicFile(path))
                files[-1].file.write(data)
                files[-1].file.flush()
            sizes = {path: len(data) for path, data in made.files.items()}
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
        outdated = list(self._outdated(names))
        for path in [*outputs, *outdated]:
            Path(os.path.realpath(path)).unlink(missing_ok=True)
        for folder in {os.path.dirname(path) for path in outdated}:
            with suppress(OSError):  # others have files there
                os.rmdir(folder)
        self._append(Record(made_of, settings, names, facts, time.time_ns()))

    def _outdated(self, names: Iterable[str]) -> Iterator[str]:
        """Paths that were made together with these, but not by anything since."""
        for name in names:
            before = self._records.get(name)
            for other in before.outputs if before is not None else ():
                if other not in names and self._records.get(other) is before:
                    yield os.path.join(self.folder, other)

    def _append(self, record: Record) -> None:
        fields = asdict(record)
        line = {**fields.pop("input"), **fields}
        with self._lock:
            if self._file is None:
                (index, count), rank = self._share, find_place(os.environ).rank
                path = Path(self.folder, FOLDER, f"{index}-of-{count}-rank-{rank}.jsonl")
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(path, "ab", buffering=0)  # noqa: SIM115
                self._file.write(b"\n")  # a run that was killed may have left half a line
            self._file.write(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _parse(line: bytes) -> Record | None:
    """None for what is no record: half a line, or one of another version."""
    try:
        fields = json.loads(line)
        outputs = {str(name): int(size) for name, size in fields.pop("outputs").items()}
        settings, facts = str(fields.pop("settings")), dict(fields.pop("facts"))
        written_ns = int(fields.pop("written_ns"))
        return Record(Input(**fields), settings, outputs, facts, written_ns)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
