"""--resume: a run that ends before its end goes on where it was, to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, latent_text
from opposite import Opposite, stand_in

from facegen.engine import Runner
from facegen.files import journal
from facegen.networks.dcgan import Generator

FACES = 40  # 7 faces a row
JOURNAL = ".out.txt.facegen-journal"


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 3 faces, and an entry in the journal after each."""
    monkeypatch.setattr(Runner, "chunk", 3)
    monkeypatch.setattr(journal, "_SECONDS", 0.0)


@pytest.fixture
def expected(run: Run, network_bin: Path) -> tuple[bytes, bytes]:
    Path("in.txt").write_text(latent_text(range(FACES)))
    assert run(network_bin, "in.txt", "e.txt", "e.bmp", "--device", "cpu").code == 0
    return Path("e.txt").read_bytes(), Path("e.bmp").read_bytes()


def check_complete(expected: tuple[bytes, bytes]) -> None:
    assert (Path("out.txt").read_bytes(), Path("out.bmp").read_bytes()) == expected
    assert sorted(os.listdir()) == [JOURNAL, "e.bmp", "e.txt", "in.txt", "out.bmp", "out.txt"]


def fail_at(monkeypatch: pytest.MonkeyPatch, call: int) -> list[int]:
    """Let the generator fail at a call; gives the faces of every call."""
    sizes: list[int] = []
    compute = Generator.__call__

    def failing(self: Generator, latents: Any) -> np.ndarray:
        if len(sizes) == call:
            raise KeyboardInterrupt
        sizes.append(len(latents))
        return compute(self, latents)

    monkeypatch.setattr(Generator, "__call__", failing)
    return sizes


def resumed(out: str) -> int:
    return int(out.split("Resumed : ")[1].removeprefix("all ").split()[0])


def stamps(*names: str) -> list[tuple[int, int]]:
    """A file that nobody touched keeps them."""
    return [(status.st_ino, status.st_mtime_ns) for status in map(os.stat, names)]


@pytest.mark.parametrize("call", [0, 1, 5, 13])
def test_it_goes_on(
    run: Run,
    network_bin: Path,
    expected: tuple[bytes, bytes],
    call: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume"]
    with monkeypatch.context() as patch:
        fail_at(patch, call)
        assert run(*command).code == 130
    assert not Path("out.txt").exists() and not Path("out.bmp").exists()
    sizes = fail_at(monkeypatch, -1)
    result = run(*command)
    assert result.code == 0 and resumed(result.out) + sum(sizes) == FACES
    assert resumed(result.out) <= 3 * call  # what was computed last was perhaps not written yet
    check_complete(expected)


def test_of_another_input_it_begins_anew(
    run: Run, network_bin: Path, expected: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("in.txt").read_text()
    command = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume"]
    Path("in.txt").write_text(latent_text(range(100, 100 + FACES)))
    with monkeypatch.context() as patch:
        fail_at(patch, 9)
        assert run(*command).code == 130
    Path("in.txt").write_text(text)
    result = run(*command)
    assert result.code == 0 and resumed(result.out) == 0
    check_complete(expected)


def test_with_other_chunks_it_begins_anew(
    run: Run, network_bin: Path, expected: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume"]
    with monkeypatch.context() as patch:
        fail_at(patch, 9)
        assert run(*command).code == 130
    monkeypatch.setattr(Runner, "chunk", 4)
    result = run(*command)
    assert result.code == 0 and resumed(result.out) == 0
    check_complete(expected)


@pytest.mark.parametrize("damage", ["journal", "part"])
def test_what_is_damaged_is_made_anew(
    run: Run,
    network_bin: Path,
    expected: tuple[bytes, bytes],
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume"]
    with monkeypatch.context() as patch:
        fail_at(patch, 9)
        run(*command)
    path = Path(JOURNAL.replace("journal", damage))
    path.write_bytes(path.read_bytes()[: 100 if damage == "part" else 10])
    result = run(*command)
    assert result.code == 0 and resumed(result.out) == 0
    check_complete(expected)


def test_what_is_finished_stays(
    run: Run, network_bin: Path, expected: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume"]
    assert run(*command).code == 0
    before = stamps("out.txt", "out.bmp", JOURNAL)
    sizes = fail_at(monkeypatch, -1)
    result = run(*command)
    assert (result.code, result.err) == (0, "") and "Resumed : all 40 faces are there" in result.out
    assert not sizes and stamps("out.txt", "out.bmp", JOURNAL) == before
    assert run(*command, "--quiet") == (0, "", "")
    assert run(*command[:-1]).code == 0 and sum(sizes) == FACES  # without --resume
    assert not Path(JOURNAL).exists()


def write_again() -> None:
    time.sleep(0.02)  # more than a tick of the file system's clock
    Path("out.txt").write_bytes(Path("e.txt").read_bytes())


CHANGES = {
    "an output is gone": lambda: Path("out.bmp").unlink(),
    "an output is cut": lambda: os.truncate("out.txt", 1000),
    "an output was written to": write_again,
    "another file took its place": lambda: Path("e.bmp").replace("out.bmp"),
    "an input changed": lambda: Path("in.txt").write_text(latent_text(range(100, 100 + FACES))),
    "the journal is damaged": lambda: Path(JOURNAL).write_text("[]"),
    "the journal is another's": lambda: Path(JOURNAL).write_text('{"key": "", "finished": {}}'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_it_was_is_made_anew(
    run: Run,
    network_bin: Path,
    expected: tuple[bytes, bytes],
    change: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume"]
    assert run(*command).code == 0
    CHANGES[change]()
    sizes = fail_at(monkeypatch, -1)
    assert resumed(run(*command).out) == 0 and sum(sizes) == FACES
    assert resumed(run(*command).out) == FACES and sum(sizes) == FACES
    if change != "an input changed":
        assert (Path("out.txt").read_bytes(), Path("out.bmp").read_bytes()) == expected


@pytest.mark.parametrize("other", [["other.bmp"], ["out.bmp", "--precision", "strict"]])
def test_another_command_line_begins_anew(
    run: Run, network_bin: Path, expected: tuple[bytes, bytes], other: list[str]
) -> None:
    command = [network_bin, "in.txt", "out.txt"]
    options = ["--device", "cpu", "--resume"]
    assert run(*command, "out.bmp", *options).code == 0
    assert resumed(run(*command, *other, *options).out) == 0
    assert resumed(run(*command, *other, *options).out) == FACES


@pytest.mark.parametrize("pipe", ["INPUT", "OUTPUT"])
def test_pipes_are_refused(run: Run, network_bin: Path, pipe: str) -> None:
    Path("in.txt").write_text(latent_text(range(2)))
    names = ["in.txt", "/dev/null", "out.bmp"] if pipe == "OUTPUT" else ["in.txt", "o", "out.bmp"]
    if pipe == "INPUT":
        names[0] = "/dev/null"
    result = run(network_bin, *names, "--resume")
    assert result.code == 2 and len(result.err.splitlines()) == 1


PROGRAM = """
import sys
from facegen.cli import main
from facegen.engine import Runner
from facegen.files import journal
Runner.chunk, journal._SECONDS = 3, 0.0
sys.exit(main.main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed(
    network_bin: Path, run: Run, expected: tuple[bytes, bytes], number: int, tmp_path: Path
) -> None:
    words = [network_bin, "in.txt", "out.txt", "out.bmp", "--device", "cpu", "--resume", "--quiet"]
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        entry = tmp_path / JOURNAL
        before = entry.read_bytes() if entry.exists() else b""
        while process.poll() is None and kills < 3:
            if entry.exists() and entry.read_bytes() != before:  # it has come further
                process.send_signal(number)
                kills += 1
                break
            time.sleep(0.002)
        if process.wait(60) == 0:
            break
    assert kills > 0
    check_complete(expected)


PROGRAMS = {
    "pix2pix": ["pix2pix", "network.bin", "in.rgb", "out.rgb"],
    "colorizer": ["colorizer", "main", "in.bin", "network.bin", "out.bin"],
}


@pytest.mark.parametrize("network", PROGRAMS)
def test_programs_of_pictures_go_on(
    run: Run, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    Path("network.bin").write_bytes(b"weights")
    values = np.random.default_rng(1).random((3, 256, 256), np.float32)
    Path("in.bin").write_bytes((100 * values).tobytes())
    Path("in.rgb").write_bytes((255 * values).astype(np.uint8).repeat(3).tobytes())
    command = [*PROGRAMS[network], "--device", "cpu"]
    assert run(*command).code == 0
    output = Path(command[-3])
    expected = output.read_bytes()
    output.unlink()
    compute = Opposite.__call__
    calls: list[int] = []

    def failing(self: Opposite, batch: np.ndarray, **options: bool) -> Any:
        calls.append(len(batch))
        if len(calls) == 3:
            time.sleep(1.0)  # the first is written meanwhile, also on a busy machine
            raise KeyboardInterrupt
        return compute(self, batch, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Opposite, "__call__", failing)
        assert run(*command, "--resume").code == 130
    assert not output.exists()
    result = run(*command, "--resume")
    assert result.code == 0 and resumed(result.out) > 0
    assert output.read_bytes() == expected
    before = stamps(output.name)
    assert resumed(run(*command, "--resume").out) == 3 and stamps(output.name) == before
    left = [f".{output.name}.facegen-journal", "in.bin", "in.rgb", "network.bin", output.name]
    assert sorted(os.listdir()) == sorted(left)
