"""A journal that is damaged, or made to do harm, counts as none: the run begins anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen.files.atomic import hidden_beside
from facegen.files.journal import Journal
from facegen.media.raw import RawWriter

COUNT, CHUNK = 10, 3


def open_journal(output: Path) -> Journal:
    return Journal([str(output)], COUNT, CHUNK, [], {"of": "a test"})


def begin(output: Path) -> dict[str, Any]:
    """Leave a run of which two chunks are written; gives what its journal holds."""
    with pytest.raises(KeyError), RawWriter(output, resume=(0, 0)) as file:
        file._output.file.write(b"abcdef")
        journal = open_journal(output)
        journal._due = 0.0
        journal.wrote({})
        journal._note(chunks=2, bytes={str(output): file.synchronize()})
        raise KeyError
    assert open_journal(output).resume(str(output)) == (6, 6)
    entry: dict[str, Any] = json.loads(path_of(output).read_bytes())
    return entry


def path_of(output: Path) -> Path:
    return hidden_beside(output, ".facegen-journal")


def is_none(output: Path) -> bool:
    journal = open_journal(output)
    return not journal.finished and journal.resume(str(output)) == (0, 0)


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "deep": lambda entry: b"[" * 200_000,
    "deep within": lambda entry: json.dumps(entry)[:-1].encode() + b',"x":' + b"[" * 100_000,
    "a number without an end": lambda entry: b'{"chunks": ' + b"9" * 5000 + b"}",
    "infinity": lambda entry: json.dumps(entry).replace(": 2", ": 1e999").encode(),
    "NaN": lambda entry: entry | {"chunks": float("nan")},
    "more chunks than there are": lambda entry: entry | {"chunks": 5},
    "far more chunks": lambda entry: entry | {"chunks": 10**30},
    "less than none": lambda entry: entry | {"chunks": -1},
    "half a chunk": lambda entry: entry | {"chunks": 0.5},
    "true": lambda entry: entry | {"chunks": True},
    "more bytes than there are": lambda entry: entry | {"bytes": dict.fromkeys(entry["bytes"], 7)},
    "bytes below none": lambda entry: entry | {"bytes": dict.fromkeys(entry["bytes"], -1)},
    "bytes of no output": lambda entry: entry | {"bytes": {"/etc/passwd": 1}},
    "no bytes": lambda entry: entry | {"bytes": None},
    "finished, but nothing is there": lambda entry: entry | {"finished": {}},
    "large": lambda entry: json.dumps(entry | {"x": "x" * (1 << 20)}).encode(),
    "nothing": lambda entry: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_counts_as_none(damage: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    changed = DAMAGE[damage](begin(output))
    path_of(output).write_bytes(
        changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    )
    assert is_none(output)


@pytest.mark.parametrize("kind", ["pipe", "link", "device", "folder"])
def test_what_is_no_file_counts_as_none(kind: str, tmp_path: Path) -> None:
    output, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    begin(output)
    path = path_of(output)
    path.rename(elsewhere)
    before = elsewhere.read_bytes()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else elsewhere)
    assert is_none(output)
    if kind != "folder":
        open_journal(output)._note(chunks=0, bytes={})
        assert path.is_file() and not path.is_symlink() and elsewhere.read_bytes() == before


@given(
    fields=st.dictionaries(
        st.sampled_from(["key", "chunks", "bytes", "finished", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
            max_leaves=5,
        ),
    ),
    cut=st.none() | st.integers(0, 200),
)
def test_any_journal_is_right_or_none(
    fields: dict[str, Any], cut: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("journal") / "out"
    entry = begin(output) | fields
    path_of(output).write_bytes(json.dumps(entry).encode()[:cut])
    journal = open_journal(output)
    done, size = journal.resume(str(output))
    assert not journal.finished and 0 <= done <= COUNT and 0 <= size <= 6
