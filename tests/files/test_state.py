"""Files of entries that grow: their bytes. What a full disk makes of them is in tests/pictures."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from facegen import FacegenError
from facegen.files.state import LineFile, read_lines
from facegen.train import log


def append(path: Path, *numbers: int) -> None:
    file = LineFile(path)
    for number in numbers:
        file.append({"a": number})
    file.close()


def test_a_file_has_no_empty_line(tmp_path: Path) -> None:
    """Neither a new one at its beginning, nor where one that is there goes on."""
    path = tmp_path / "lines.jsonl"
    append(path, 1)
    append(path)
    append(path, 2, 3)
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2}\n{"a": 3}\n'


@pytest.mark.parametrize("end", [b"\n", b'{"a": 2', b'{"a": 2}'])
def test_what_follows_half_a_line_is_whole(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    append(path, 1)
    path.write_bytes(path.read_bytes() + end)
    append(path, 3)
    kept = [{"a": 2}] if end.endswith(b"}") else []
    assert [*read_lines(path)] == [{"a": 1}, *kept, {"a": 3}]


def test_a_line_of_which_nothing_was_written_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    file = LineFile(tmp_path / "log.jsonl")
    file.append({"a": 1})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
        patch.setattr(os, "write", full)
        file.append({"a": 2})
    file.append({"a": 3})
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"a": 1}\n{"a": 3}\n'


def test_a_log_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "log.jsonl"
    other.write_bytes(b"precious\n")
    path.symlink_to(other)
    with pytest.raises(FacegenError, match="expected a file of an earlier run, found a link"):
        log.begin(path, 0)
    assert other.read_bytes() == b"precious\n"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FacegenError, match="expected a file of an earlier run, found no file"):
        log.begin(path, 0)
