"""Standard input and output are duplicated, by the same way on every system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import numpy as np
import pytest

from facegen.errors import FacegenError, FormatError
from facegen.files.journal import input_digest
from facegen.files.standard import input_file, open_already, open_input, output_file
from facegen.media.raw import RawReader


@pytest.mark.parametrize("kind", [PurePosixPath, PureWindowsPath])
def test_names_are_known_on_every_system(kind: type[PurePath]) -> None:
    assert open_already(kind(input_file("-"))) == 0
    assert open_already(kind(output_file("-"))) == 1
    assert open_already(kind("/dev/stderr")) == 2
    assert open_already(kind("/dev/fd/63")) == 63
    odd = ("/dev/fd/", "/dev/fd/٣", "/dev/fd/9999999999", "/dev/fd/1/a")
    for name in ("-", "/dev/full", "stdout", "a/dev/stdout", *odd):
        assert open_already(kind(name)) is None


def test_input_goes_on_where_it_is(tmp_path: Path) -> None:
    """Not from the file's beginning; and what is read here is read for whoever comes after."""
    file = tmp_path / "in"
    file.write_bytes(b"first\r\n\x1asecond\n")
    with open(file, "rb", buffering=0) as stream:
        assert stream.read(7) == b"first\r\n"
        with open_input(f"/dev/fd/{stream.fileno()}") as opened:
            assert opened.read(4) == b"\x1asec"
        assert stream.read() == b"ond\n"  # and it is open still
    with open_input(file) as opened:
        assert opened.read(5) == b"first"


def test_pictures_are_counted_from_where_the_input_is(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(bytes(range(9)))
    with open(file, "rb", buffering=0) as stream:
        stream.seek(3)
        with RawReader(f"/dev/fd/{stream.fileno()}", (2,), np.uint8, "pairs") as reader:
            assert reader.count == 3
            assert np.concatenate(list(reader.chunks(2))).ravel().tolist() == list(range(3, 9))
        stream.seek(4)
        with pytest.raises(FormatError, match=r"2 bytes \(pairs\), found 5 bytes"):
            RawReader(f"/dev/fd/{stream.fileno()}", (2,), np.uint8, "pairs")


def test_socket_as_input() -> None:
    """It cannot be opened by a name."""
    import socket

    ours, theirs = socket.socketpair()
    code = (
        "from facegen.files.standard import open_input\n"
        "with open_input('/dev/stdin') as file: print(file.read(6))\n"
    )
    with ours, theirs:
        ours.sendall(b"a\r\n\x1ab\n")
        result = subprocess.run(
            [sys.executable, "-c", code],
            stdin=theirs,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert (result.stdout, result.stderr) == ("b'a\\r\\n\\x1ab\\n'\n", "")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    name = f"/dev/fd/{descriptor}"
    with pytest.raises(IsADirectoryError) as caught:
        open_input(name)
    assert caught.value.filename == name
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor") as closed:
        open_input(name)
    assert closed.value.filename == name


def test_run_that_reads_what_has_no_name_cannot_be_resumed() -> None:
    """As on Windows, where /dev/stdin is no file's name."""
    with open(os.devnull, "rb") as stream:
        name = f"/dev/fd/{stream.fileno()}"
    with pytest.raises(FacegenError, match=f"^{name}: is no file, so a run cannot be resumed$"):
        input_digest(name)
