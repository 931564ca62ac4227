"""tools/gather-photos.py: its list, and Qt's archives that photos lie in."""

from __future__ import annotations

import runpy
import struct
import zlib
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason="needs a checkout")


def archive(files: dict[str, bytes]) -> bytes:
    """A folder of files, every second one compressed, as rcc writes version 1."""
    names, contents, nodes = b"", b"", []
    for i, (name, content) in enumerate({"folder": b"", **files}.items()):
        if name == "folder":
            nodes += [(0, 2, 1, 1), (len(names), 2, len(files), 2)]
        else:
            stored = struct.pack(">I", len(content)) + zlib.compress(content) if i % 2 else content
            nodes.append((len(names), i % 2, 0, len(contents)))
            contents += struct.pack(">I", len(stored)) + stored
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    tree = b"".join(struct.pack(">IHII", *node) for node in nodes)
    ends = (20, 20 + len(tree), 20 + len(tree) + len(contents))
    return struct.pack(">4s4I", b"qres", 1, *ends) + tree + contents + names


def test_files_of_an_archive() -> None:
    files = runpy.run_path(str(TOOLS / "gather-photos.py"))["files"]
    expected = {"a.webp": b"first", "bé.webp": b"second" * 9, "c": b""}
    found = dict(files(archive(expected)))
    assert found == {f"folder/{name}": content for name, content in expected.items()}
    with pytest.raises(SystemExit, match="expected an archive of Qt"):
        files(b"something else " * 3)


def test_every_photo_has_a_free_licence_and_an_author() -> None:
    free = ("CC0", "CC-BY-", "GPL-", "LGPL-", "BSD-", "public-domain")
    lines = (TOOLS / "photos.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len(rows) > 200 and len({tuple(row[:2]) for row in rows}) == len(rows)
    for _, path, licence, author in rows:
        assert path.startswith("usr/share/") or "/dist-packages/" in path
        assert licence.startswith(free) and "NC" not in licence and author
