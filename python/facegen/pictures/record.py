"""How results were made: a line of the manifest, and the source that it names.

``OUTPUT/.facegen/*.jsonl`` has one line of JSON a source:

    {"source": "/photos/cat.jpg", "size": 51234, "mtime_ns": 1763..., "sha256": "9f...",
     "settings": "4c...", "outputs": {"cat.png": 60210}, "facts": {}, "written_ns": 1763...}

``sha256`` is that of the source's content, ``settings`` that of the command, the weights and the
options that results depend on, ``outputs`` the results with their sizes in bytes, ``facts`` what
else was found. The source of a face is its latent vector, and "seed 17" its name.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from facegen.files import state
from facegen.files.json_text import json_text
from facegen.files.standard import STANDARD

FOLDER = ".facegen"  # of the manifest, within that of the results
_NO_FILE = re.compile(r"seeds? [0-9]")  # what a face is of


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
        from facegen.photos.photo import read_bytes  # which loads Pillow: faces are of no photo

        # The time goes first: a file that changes meanwhile will be seen to have changed.
        mtime_ns = 0 if path == STANDARD else os.stat(path).st_mtime_ns
        data = read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(os.path.abspath(path), len(data), mtime_ns, sha256), data

    def unchanged(self, path: str) -> bool:
        """The file holds the same: by size and time, and by content where the time differs."""
        from facegen.photos.photo import read_bytes

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


_FIELDS = {field.name for kind in (Input, Record) for field in fields(kind)} - {"input"}


def settings_digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of what results depend on; values as JSON has them."""
    return hashlib.sha256(json_text(settings, sort_keys=True).encode()).hexdigest()


def checked(entry: dict[str, Any]) -> Record:
    """A record, each field of which is as ours are; else `state.Damaged`."""
    if entry.keys() != _FIELDS:
        raise state.Damaged("other fields than ours")
    source, mtime_ns = entry["source"], entry["mtime_ns"]
    if type(source) is not str or not (os.path.isabs(source) or _NO_FILE.match(source)):
        raise state.Damaged("a source that is none")
    if type(mtime_ns) is not int:  # before 1970 it is negative
        raise state.Damaged("a time that is none")
    made_of = Input(source, state.whole(entry["size"]), mtime_ns, state.digest(entry["sha256"]))
    outputs = {
        _output(name): state.whole(size) for name, size in state.mapping(entry["outputs"]).items()
    }
    settings, facts = state.digest(entry["settings"]), state.mapping(entry["facts"])
    return Record(made_of, settings, outputs, facts, state.whole(entry["written_ns"]))


def _output(name: str) -> str:
    if state.file_name(name).split(os.sep)[0] == FOLDER:
        raise state.Damaged("a result in the manifest's own folder")
    return name
