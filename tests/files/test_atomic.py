from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facegen import FacegenError
from facegen.files.atomic import AtomicFile, _clear, forget_part, hidden_beside, part_of


def test_appears_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    with AtomicFile(path) as file:
        file.write(b"abc")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_error_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), AtomicFile(path) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_file_that_nobody_closes_is_no_file(tmp_path: Path) -> None:
    """As where a signal comes between its opening and the with block."""
    file = AtomicFile(tmp_path / "out.bin")
    assert len(os.listdir(tmp_path)) == 1
    del file
    assert os.listdir(tmp_path) == []


def test_replaces_keeping_permissions_and_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with AtomicFile(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_new_file_obeys_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with AtomicFile(tmp_path / "out.bin"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "out.bin").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "error"), [("missing/out.bin", FileNotFoundError), (".", IsADirectoryError)]
)
def test_unusable_path_is_named(tmp_path: Path, name: str, error: type[OSError]) -> None:
    path = tmp_path / name
    with pytest.raises(error) as caught:
        AtomicFile(path)
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        AtomicFile(tmp_path / "file" / "out.bin")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="out.bin"):
        AtomicFile(path)


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_full_disk_is_named(size: int) -> None:
    with pytest.raises(OSError, match="/dev/full") as caught, AtomicFile("/dev/full") as file:
        file.write(bytes(size))
    assert caught.value.errno == errno.ENOSPC


def test_null_device_stays() -> None:
    with AtomicFile("/dev/null") as file:
        file.write(b"abc")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("special", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_continues(tmp_path: Path, special: str) -> None:
    code = (
        "from facegen.files.atomic import AtomicFile\n"
        "print('first', flush=True)\n"
        f"with AtomicFile('{special}') as file: file.write(b'second')\n"
    )
    with open(tmp_path / "log", "wb") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert (tmp_path / "log").read_bytes() == b"first\nsecond"
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"first\nsecond"


def test_what_killed_runs_left_goes_with_a_later_run(tmp_path: Path) -> None:
    """Unless it is young, or still being written."""
    code = (
        "import os, sys\n"
        "from facegen.files.atomic import AtomicFile\n"
        "file = AtomicFile('out.bin')\n"
        "for entry in os.scandir(): os.utime(entry, (0, 0))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    (tmp_path / ".facegen-1234.part").write_bytes(b"young")
    (tmp_path / "old.part").write_bytes(b"of somebody else")
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        living = max(tmp_path.glob(".facegen-*.part"), key=lambda path: len(path.name))
        (tmp_path / ".facegen-1234.part").touch()
        with AtomicFile(tmp_path / "a.bin"):
            pass
        assert living.exists() and (tmp_path / ".facegen-1234.part").exists()
        process.kill()
    with AtomicFile(tmp_path / "b.bin"):
        pass
    assert living.exists()  # a folder is looked through once a process
    _clear.cache_clear()
    with AtomicFile(tmp_path / "c.bin"):
        pass
    assert not living.exists()
    names = [".facegen-1234.part", "a.bin", "b.bin", "c.bin", "old.part"]
    assert sorted(os.listdir(tmp_path)) == names


NAMES = {
    "ascii": lambda size: "n" * size,
    "of 2 bytes": lambda size: "é" * (size // 2) + "n" * (size % 2),
    "of 4 bytes": lambda size: "n" * (size % 4) + "\N{GRINNING FACE}" * (size // 4),
    "no text": lambda size: os.fsdecode(b"\xff" * size),
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("size", [238, 239, 241, 250, 255])
def test_names_as_long_as_they_may_be(tmp_path: Path, kind: str, size: int) -> None:
    names = [NAMES[kind](size), NAMES[kind](size - 1) + "x", "x" + NAMES[kind](size - 1)]
    paths = [tmp_path / name for name in names]
    assert all(len(os.fsencode(path.name)) == size for path in paths)
    hidden = {hidden_beside(path, end) for path in paths for end in (".facegen-journal", ".x")}
    assert len(hidden) == 6
    for path in hidden:
        path.touch()
        assert path.parent == tmp_path and path.name.startswith(".")
        path.unlink()
    for path in paths:
        with pytest.raises(KeyError), AtomicFile(path, keep=0) as file:
            file.write(b"abc")
            raise KeyError
        assert part_of(path).read_bytes() == b"abc"
        with AtomicFile(path, keep=1) as file:
            file.write(b"x")
        assert path.read_bytes() == b"ax" and os.listdir(tmp_path) == [path.name]
        path.unlink()


def test_short_names_are_kept_whole(tmp_path: Path) -> None:
    assert part_of(tmp_path / "out.txt").name == ".out.txt.facegen-part"
    longest = "é" * 120
    assert part_of(tmp_path / longest).name == f".{longest}.facegen-part"


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_it_takes_the_place_of_what_has_the_name(tmp_path: Path, kind: str) -> None:
    """Where it is told to, whatever that is; else a link is followed."""
    path, elsewhere = tmp_path / "out.bin", tmp_path / "elsewhere"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.write_bytes(b"precious")
    with AtomicFile(path, replace=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and path.is_file() and not path.is_symlink()
    assert not elsewhere.exists() or elsewhere.read_bytes() == b"precious"
    assert elsewhere.exists() == (kind == "link")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_has_the_name_of_an_unfinished_file(tmp_path: Path, kind: str) -> None:
    """Nothing is cut or removed that no run has left; and nothing hangs."""
    path, elsewhere = tmp_path / "out.bin", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    part = part_of(path)
    {"link": lambda: part.symlink_to(elsewhere), "pipe": lambda: os.mkfifo(part),
        "folder": part.mkdir}[kind]()  # fmt: skip
    with pytest.raises(FacegenError, match="out.bin.facegen-part: .*no file"):
        AtomicFile(path, keep=0)
    forget_part(path)
    assert elsewhere.read_bytes() == b"precious" and os.path.lexists(part)
    olds = [tmp_path / f".facegen-{number}.part" for number in (1, 2, 3)]
    olds[0].symlink_to(elsewhere)
    os.mkfifo(olds[1])
    olds[2].mkdir()
    for old in (*olds[1:], elsewhere):
        os.utime(old, (0, 0))
    _clear.cache_clear()
    with AtomicFile(path):
        pass
    assert elsewhere.exists()
    assert all(os.path.lexists(old) for old in olds)
