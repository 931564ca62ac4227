"""Runs that are killed, or whose disk is full, at any moment: the next ones complete them.

A round has a command, runs it some times, and lets it run to its end. The runs before are killed
(SIGKILL) as they come to an operation on files or after a random time, or have little room on their
disk, or both; between them results are removed. At the end these must be those of a run that nobody
disturbed, to the byte; nothing else may be left but temporary files, which go with a run of an hour
later; and no run may take results for somebody else's.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facegen.cli import generate as _generate  # noqa: F401 (so that no child need import it)
from facegen.cli.main import main
from facegen.engine import Runner
from facegen.files import atomic, journal
from facegen.networks import dcgan
from facegen.photos.photo import readable_extensions
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from files import negative, one, png

PICTURES = 6
FACES = 5
DISK_BYTES = 16 << 20
MS_REC_PRIVATE, CLONE_NEWNS = 0x44000, 0x20000
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}

SOURCES = {"in.txt", *(f"p{i}.png" for i in range(PICTURES))}

Command = Callable[[bool], int]  # whether it is the last of its round -> the exit code


def colour(final: bool, strength: int = 1) -> int:
    """A folder of pictures; the last run's settings are those that count."""
    items = [one(f"p{i}.png", f"out/{'sub/' * (i % 2)}p{i}.png") for i in range(PICTURES)]
    results = FolderResults("out", False)
    try:
        run(items, negative(strength=1 if final else strength), results, workers=2)
    finally:
        results.close()
    return 0


def generate(*words: str) -> Command:
    every = ["generate", "-s", f"7-{6 + FACES}", "--device", "cpu", "--threads", "1", "-q"]
    return lambda final: main([*every, *words, "--resume"])


def bare(final: bool) -> int:
    every = ["in.txt", "out.txt", "out.bmp", "--device", "cpu", "--threads", "1", "-q"]
    return main([*every, "--resume"])


COMMANDS: dict[str, tuple[Command, str]] = {  # and a file of the results
    "pictures": (colour, "out/p0.png"),
    "other pictures": (lambda final: colour(final, strength=2), "out/p0.png"),
    "faces": (generate("-o", "out/"), "out/seed0007.png"),
    "values": (generate("-o", "faces.npy", "--save-latents", "latents.txt"), "faces.npy"),
    "a picture": (generate("-o", "faces.png"), "faces.png"),
    "the course's program": (bare, "out.txt"),
}


def one_round(rng: np.random.Generator) -> None:
    name = str(rng.choice(list(COMMANDS)))
    command, result = COMMANDS[name]
    usual = undisturbed(name)
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            disk = mount(folder)
            prepare()
            for _ in range(rng.integers(1, 6)):
                disturb(command, usual, rng, disk)
                for path in usual.results:
                    if rng.random() < 0.2:
                        Path(path).unlink(missing_ok=True)
            finish(command)
            compare(usual.files)
            for path in temporary():
                os.utime(path, (0, 0))
            Path(result).unlink()  # so that something is written
            finish(command)
            compare(usual.files)
            left = {path.parent for path in temporary()}
            assert left <= {Path("out/sub")}, left  # nothing was written there
        finally:
            os.chdir(before)
            if disk:
                libc().umount2(folder.encode(), 2)


def prepare() -> None:
    for i in range(PICTURES):
        Path(f"p{i}.png").write_bytes(png(30 + i, 40, seed=i))
    readable_extensions()  # all that this imports need not be imported in every child
    rows = [" ".join(f"{v:.9g}" for v in row) for row in dcgan.latents(range(FACES))]
    Path("in.txt").write_text("\n".join([str(FACES), *rows, ""]))


@dataclass(frozen=True)
class Usual:
    """A run that nobody disturbs: the files that are there then, and what the run took."""

    files: dict[str, bytes]
    seconds: float
    events: int

    @property
    def results(self) -> list[str]:
        return [name for name in self.files if "/." not in f"/{name}" and name not in SOURCES]

    @property
    def bytes(self) -> int:
        """With whole pages of memory, as a small disk counts them, and those of its folders."""
        return sum(len(self.files[name]) + (1 << 13) for name in self.results)


@cache
def undisturbed(name: str) -> Usual:
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            prepare()
            begin = time.monotonic()
            finish(COMMANDS[name][0])
            return Usual(tree(), time.monotonic() - begin, int(said().split()[-1]))
        finally:
            os.chdir(before)


def tree() -> dict[str, bytes]:
    """All files that are to be as they are: of a hidden one, its being there."""
    aside = {Path("ballast"), *temporary()}
    paths = [path for path in Path().rglob("*") if path.is_file() and path not in aside]
    return {str(path): b"" if "/." in f"/{path}" else path.read_bytes() for path in paths}


def temporary() -> list[Path]:
    return list(Path().rglob(".facegen-*.part"))


def compare(expected: dict[str, bytes]) -> None:
    found = tree()
    assert found.keys() == expected.keys(), f"{sorted(found)} instead of {sorted(expected)}"
    different = [name for name, content in expected.items() if found[name] != content]
    assert not different, f"{different} are not as they would have been"


def finish(command: Command) -> None:
    """One run, which nobody disturbs: it must do."""
    code = wait(start(command, lambda: None, final=True))
    assert code == 0, f"exit code {code}: {said()}"


def disturb(command: Command, usual: Usual, rng: np.random.Generator, disk: bool) -> None:
    """One run that may be killed, and whose disk may be full."""
    how = rng.choice(["at an operation", "at a time", "not"], p=[0.6, 0.2, 0.2])
    event = int(rng.integers(1, usual.events + 1)) if how == "at an operation" else 0
    seconds = usual.seconds * rng.random() if how == "at a time" else 100.0
    room = int(usual.bytes * rng.random()) if how == "not" or rng.random() < 0.3 else None

    def before() -> None:
        if room is not None and not disk:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    ballast = Path("ballast")
    if room is not None and disk:
        status = os.statvfs(".")
        with open(ballast, "wb") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_bsize - room))
    process = start(command, before, event)
    end = time.monotonic() + seconds
    code = None
    while code is None and time.monotonic() < end:
        code = wait(process, os.WNOHANG)
        time.sleep(0.002)
    if code is None:
        os.kill(process, signal.SIGKILL)
        wait(process)
    ballast.unlink(missing_ok=True)
    full = code == 1 and room is not None and ("space left" in said() or "too large" in said())
    assert code in (None, 0, -signal.SIGKILL) or full, f"exit code {code}: {said()}"


class Events:
    """Counts operations on files of the round, and kills this process just before one of them."""

    def __init__(self, last: int) -> None:
        self.count, self._last, self._here = 0, last, os.getcwd()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in FILE_EVENTS and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path.startswith(self._here):
                self.count += 1
                if self.count == self._last:
                    os.kill(os.getpid(), signal.SIGKILL)


def start(
    command: Command, before: Callable[[], None], event: int = 0, final: bool = False
) -> int:
    """The command in a child, which has all imported already, and is killed at an event."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        errors = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(errors, 2)
        atomic._clear.cache_clear()
        Runner.chunk = 1  # type: ignore[assignment, method-assign]
        journal._SECONDS = 0.0
        before()
        events = Events(event)
        code = command(final)
        os.write(2, f" {events.count}".encode())
    except OSError as error:
        os.write(2, str(error).encode())
        code = 1
    except BaseException as error:
        os.write(2, repr(error).encode())
    finally:
        os._exit(code)


def wait(process: int, options: int = 0) -> int | None:
    """The exit code, negative for a signal; None while it runs."""
    ended, status = os.waitpid(process, options)
    return os.waitstatus_to_exitcode(status) if ended else None


SAID = Path(tempfile.gettempdir(), f"facegen-kills-{os.getpid()}.txt")


def said() -> str:
    return SAID.read_text(errors="replace") if SAID.exists() else ""


@cache
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def own_mounts() -> bool:
    """Mounts of this process alone, that end with it; False for users who may not have them."""
    return (
        libc().unshare(CLONE_NEWNS) == 0
        and libc().mount(None, b"/", None, MS_REC_PRIVATE, None) == 0
    )


def mount(folder: str) -> bool:
    """A small disk of its own in the folder; else a limit of the size of files does for one."""
    options = f"size={DISK_BYTES}".encode()
    if not own_mounts() or libc().mount(b"none", folder.encode(), b"tmpfs", 0, options):
        return False
    os.chdir(folder)
    return True
