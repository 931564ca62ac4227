"""A disk that is full: what is finished is known, and the run goes on once there is room."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from runs import go, make, statuses

from facegen.files.state import LineFile, read_lines
from facegen.photos.photo import decode
from files import negative

MANIFEST = Path("out/.facegen/0-of-1-rank-0.jsonl")


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Files take so many bytes, and the write that crosses that is cut short, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def check(count: int) -> None:
    for i in range(count):
        picture, result = (decode(Path(p, f"p{i}.png").read_bytes()).pixels for p in (".", "out"))
        np.testing.assert_array_equal(result, 255 - picture)
    assert sorted(os.listdir("out")) == [".facegen", *(f"p{i}.png" for i in range(count))]


@pytest.mark.parametrize("room", [1, 100, 330, 500, 700, 999])
def test_a_manifest_that_has_no_room(room: int) -> None:
    items = make(6)
    go(items[:2])
    with full_at(MANIFEST.stat().st_size + room), pytest.raises(OSError) as caught:
        go(items)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(MANIFEST)
    report = go(items)
    assert report.count("failed") == 0 and statuses(report)[:2] == "ss"
    check(6)
    assert statuses(go(items)) == "ssssss"


def test_what_was_there_comes_back() -> None:
    """Where it would have been replaced, or removed, but the manifest has no room for that."""
    items = make(2)
    go(items)
    before = {name: Path("out", name).read_bytes() for name in ("p0.png", "p1.png")}
    with full_at(MANIFEST.stat().st_size + 50), pytest.raises(OSError):
        go(items, negative(strength=2))
    assert {name: Path("out", name).read_bytes() for name in before} == before
    assert sorted(os.listdir("out")) == [".facegen", *before]
    assert statuses(go(items)) == "ss"


def test_a_line_is_whole_or_none() -> None:
    file = LineFile("lines.jsonl")
    file.append({"a": 1})
    for room in range(12):
        with full_at(os.path.getsize("lines.jsonl") + room), pytest.raises(OSError, match="lines"):
            file.append({"lost": "x" * 20})
        file.append({"room": room})
    file.close()
    assert [*read_lines("lines.jsonl")] == [{"a": 1}, *({"room": i} for i in range(12))]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounted.returncode:
        pytest.skip(f"this user may not mount: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full(disk: Path) -> None:
    """Whatever has no room, results or the manifest, a run with more room completes it."""
    items = make(8)
    Path("out").symlink_to(disk)
    ballast = disk / "ballast"
    failures = 0
    for pages in (*range(64, 40, -1), 0):
        with suppress(OSError):  # takes all that is left
            ballast.write_bytes(bytes(pages << 12))
        try:
            go(items)
        except OSError as error:
            assert error.errno == errno.ENOSPC and error.filename is not None
            failures += 1
    assert failures > 0
    ballast.unlink()
    check(8)


def test_one_line_about_it(disk: Path) -> None:
    """On the command line it is named, and is a failure of the machine."""
    make(3)
    (disk / "ballast").write_bytes(bytes(60 << 12))
    code = "import sys; from facegen.cli.main import main; sys.exit(main())"
    words = ["generate", "-s", "0-99", "-o", f"{disk}/", "--device", "cpu", "-q"]
    run = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1
    assert "No space left on device" in run.stderr and str(disk) in run.stderr
    (disk / "ballast").unlink()
    words[2] = "0-9"
    again = [sys.executable, "-c", code, *words, "--resume"]
    assert subprocess.run(again, capture_output=True, text=True).stderr == ""
    assert len(list(disk.glob("*.png"))) >= 10 and not list(disk.glob(".facegen-*"))
