from __future__ import annotations

from pathlib import Path

import pytest

from facegen import FormatError
from facegen.media import labels


def test_names_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffn01 tench, Tinca tinca\r\n höckerschwan \r\nlast\r\n\r\n".encode())
    assert labels.read(path, 3) == ["n01 tench, Tinca tinca", "höckerschwan", "last"]


def test_what_ends_a_line(tmp_path: Path) -> None:
    """As in a text file, and nothing else that Unicode counts as an end."""
    path = tmp_path / "names.txt"
    path.write_bytes("one\u2028line\rtwo\x0cpages\r\nx\x85y\n".encode())
    assert labels.read(path, 3) == ["one\u2028line", "two\x0cpages", "x\x85y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n", "expected 3 lines, one a class, found 2"),
        (b"", "expected 3 lines, one a class, found 0"),
        (b"a\n\nc\n", "line 2 is empty"),
        (b"a\nb\xff\nc\n", "no UTF-8 text at byte 3"),
        (b"a" * (1 << 20) + b"b", "1,048,577 bytes, expected at most 1,048,576"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        labels.read(path, 3)
    with pytest.raises(FormatError, match="expected a text file of names, found a directory"):
        labels.read(tmp_path, 3)
