"""Output files that appear under their name only when they are complete."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from facegen import system
from facegen.errors import FacegenError
from facegen.files.standard import is_stream, open_already

_TEMPORARY = ".facegen-"  # with which names of temporary files begin
_STALE_SECONDS = 3600.0  # since what was left was written to
_NEW = 0o666  # permissions of a file that is new, less the umask


class AtomicFile:
    """A binary output file: complete under its name, or not there at all.

    Bytes go to a temporary file in the same folder, which takes the name when the ``with`` block
    ends and is removed where it raises. A file that is replaced keeps its permissions (less the
    umask). Devices, pipes and open files (``/dev/full``, ``/dev/stdout``) are written directly.
    Every OSError names the path asked for.

    Parameters
    ----------
    path
        The file.
    keep
        None, or the bytes to go on from, of what a run that was killed has left: the temporary file
        then has a name that can be found again (`part_of`), and stays where the block raises.
    replace
        Let the file take the place of whatever has the name, of a symbolic link or a pipe too. If
        not, a link is followed and a pipe written, as people expect of a name that they give.

    Raises
    ------
    FacegenError
        `keep` is given for what is no regular file, or while another process writes the same file.

    >>> with AtomicFile("faces.bin") as file:
    ...     file.write(b"...")
    """

    def __init__(
        self, path: str | os.PathLike[str], keep: int | None = None, replace: bool = False
    ) -> None:
        self.path = Path(path)
        self._temporary: Path | None = None
        self._removal: weakref.finalize[..., Any] | None = None  # not of what is kept
        with naming(self.path):
            descriptor = None if replace else _open_special(self.path)
            self.direct = descriptor is not None
            self._target = Path(os.path.realpath(self.path))
            if replace and self.path.is_symlink():
                self._target = Path(os.path.realpath(self.path.parent), self.path.name)
            if keep is not None:
                if descriptor is not None:
                    os.close(descriptor)
                    raise FacegenError(f"{path}: is no file, so a run cannot be resumed")
                self._temporary = part_of(path)
                descriptor = _open_part(self._temporary, _mode_of_existing(self._target), keep)
            elif descriptor is None:
                mode = _mode_of_existing(self._target, replace)
                _clear(self._target.parent)
                self._temporary = temporary_beside(self._target)
                # Also where an interrupt comes before the caller's with block has begun.
                self._removal = weakref.finalize(self, _remove, self._temporary)
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | system.PLAIN
                descriptor = os.open(self._temporary, flags, mode)
                with suppress(OSError):  # not every file system has locks; see _clear
                    system.lock(descriptor)
        raw = _OutputFile(self.path, descriptor)
        self.file = cast(BinaryIO, io.BufferedWriter(raw, buffer_size=1 << 20))

    def commit(self) -> None:
        """Close the file and give it its name."""
        try:
            self.file.close()
            if self._temporary is not None:
                with naming(self.path):
                    os.replace(self._temporary, self._target)
                if self._removal is not None:
                    self._removal.detach()
        except BaseException:
            self.discard()
            raise

    def synchronize(self) -> int:
        """Have all that was written on the disk; gives the bytes up to the present place."""
        with naming(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
        return self.file.tell()

    def discard(self) -> None:
        """Close the file and remove it, unless it is kept."""
        with suppress(OSError):  # what could not be written is not wanted any more
            self.file.close()
        if self._removal is not None:
            self._removal()

    def __enter__(self) -> BinaryIO:
        return self.file

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


class _OutputFile(io.FileIO):
    """A file whose errors ("No space left on device") name it as the caller did."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        super().__init__(descriptor, "wb")

    def write(self, data: Any) -> int:
        with naming(self._path):
            return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        with naming(self._path):
            return super().truncate(size)

    def close(self) -> None:
        with naming(self._path):
            super().close()


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let every OSError name the path."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@cache
def _clear(folder: Path) -> None:
    """Remove the temporary files of runs that were killed, once a process and folder."""
    clear_left(folder, f"{_TEMPORARY}*.part")


def clear_left(folder: Path, pattern: str, folders: bool = False) -> None:
    """Remove files, or folders, of such names that processes made for a while and were killed.

    Those are what nobody has locked or written to for an hour. A lock may be seen on its own
    machine alone (NFS, Lustre), hence the hour. What cannot be removed stays, and so do links.
    """
    with suppress(OSError):
        for path in folder.glob(pattern):
            with suppress(OSError):
                written = [path, *path.iterdir()] if folders else [path]
                if time.time() - max(p.lstat().st_mtime for p in written) < _STALE_SECONDS:
                    continue  # not locked for a moment either: who has just made it is about to
                with _taken(path, folders):
                    shutil.rmtree(path) if folders else path.unlink()


@contextmanager
def _taken(path: Path, folder: bool) -> Iterator[None]:
    """A file or a folder while this process has locked it; OSError where it is no such thing."""
    if folder:
        with system.locked_folder(path):
            yield
    else:
        with open_regular(path) as file:
            system.lock(file)
            yield


def temporary_beside(path: str | os.PathLike[str]) -> Path:
    """A new name in the folder of a path, that a run of an hour later removes if it is left."""
    return Path(path).with_name(f"{_TEMPORARY}{os.urandom(8).hex()}.part")


def hidden_beside(path: str | os.PathLike[str], suffix: str) -> Path:
    """The file ``.NAMEsuffix`` in the folder of a path, whose links are followed.

    Where that name is too long for the file system, NAME is shortened, and a digest of all of it
    makes up for what is missing.
    """
    target = Path(os.path.realpath(path))
    hidden = f".{target.name}{suffix}"
    longest = system.longest_name(target.parent)
    if len(os.fsencode(hidden)) > longest:
        digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
        start = target.name
        while len(os.fsencode(hidden := f".{start}-{digest}{suffix}")) > longest:
            start = start[:-1]
    return target.with_name(hidden)


def check_folder(folder: str) -> None:
    """Refuse one that takes no files, such as one of a file system that is read-only."""
    if not os.access(folder, os.W_OK):
        raise FacegenError(f"{folder}: files cannot be written there")


def open_regular(path: str | os.PathLike[str], follow: bool = False) -> BinaryIO:
    """Open a file for reading that is one: no pipe, which would hang, no device, and no link.

    Raises
    ------
    OSError
        It is something else (EINVAL, for a link ELOOP), or cannot be opened.
    """
    flags = os.O_RDONLY | system.PLAIN | system.NO_WAIT | (0 if follow else system.NO_FOLLOW)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no file", os.fspath(path))
    return os.fdopen(descriptor, "rb")


def put(content: bytes | IO[bytes], file: IO[bytes]) -> int:
    """Write bytes, or all of an open file; gives their number."""
    if isinstance(content, bytes):
        file.write(content)
        return len(content)
    content.seek(0)
    shutil.copyfileobj(content, file)
    return content.tell()


def part_of(path: str | os.PathLike[str]) -> Path:
    """Where the unfinished file of a run that can be resumed lies."""
    return hidden_beside(path, ".facegen-part")


def forget_part(path: str | os.PathLike[str]) -> None:
    """Remove the unfinished file of a run that can be resumed, unless it is still running."""
    part = part_of(path)
    with suppress(OSError), open_regular(part) as file:
        system.lock(file)
        part.unlink()


def _remove(path: Path) -> None:
    with suppress(OSError):  # it may not even have come to be
        path.unlink()


def _open_part(part: Path, mode: int, keep: int) -> int:
    """Open what an earlier run left, cut to what is to be kept of it; one process at a time.

    What is there under this name and is no file, such as a link, is no run's, and is not touched.
    """
    if os.path.lexists(part) and not stat.S_ISREG(os.lstat(part).st_mode):
        raise FacegenError(f"{part}: expected what an earlier run left, found no file; remove it")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | system.PLAIN | system.NO_FOLLOW, mode)
    try:
        system.lock(descriptor)
        os.ftruncate(descriptor, keep)
        os.lseek(descriptor, keep, os.SEEK_SET)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise FacegenError(f"{part}: another run is writing this file") from None
        raise
    return descriptor


def _open_special(path: Path) -> int | None:
    """Open a device or a pipe; None for what is or will be a regular file."""
    open_descriptor = open_already(path)
    if open_descriptor is not None:
        return os.dup(open_descriptor)
    return os.open(path, os.O_WRONLY | system.PLAIN) if is_stream(path) else None


def _mode_of_existing(target: Path, replace: bool = False) -> int:
    """Permissions for the new file; refuses what open() would have refused, as a loop of links.

    With `replace`, a link is no matter.
    """
    try:
        mode = target.lstat().st_mode if replace else target.stat().st_mode
    except FileNotFoundError:
        return _NEW
    if stat.S_ISLNK(mode):
        return _NEW
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return stat.S_IMODE(mode)
