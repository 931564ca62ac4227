"""The one family of exceptions that facegen raises for bad input and failures at work."""

from __future__ import annotations

import errno

# Failures of the machine rather than of what was asked for.
MACHINE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EFBIG,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EPIPE,
}


class FacegenError(Exception):
    """Base of every error that facegen raises on purpose; the message is one clear line.

    Attributes
    ----------
    several_lines
        Whether there are more, of another program, below it.
    """

    several_lines = False


class FormatError(FacegenError, ValueError):
    """A file or an array is not what was expected: says what was expected, found, and where."""


class DeviceError(FacegenError, RuntimeError):
    """A device, an instruction set or a precision was asked for that this machine cannot give."""


class DeviceFailure(DeviceError):
    """A device that was there failed at work: it has no memory left, or a call to it failed."""


class OutOfMemory(FacegenError, MemoryError):
    """What was asked for takes more memory than the machine or the container has."""


class DownloadFailure(FacegenError):
    """A server, or the way to it, failed."""


class QueueFull(FacegenError):
    """A `facegen.Batcher` has as many requests waiting as it may have."""


class BatcherClosed(FacegenError, RuntimeError):
    """A `facegen.Batcher` takes no more requests, or was closed before this one's turn."""


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line; its type where it says nothing."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line if len(line) <= 300 else line[:300] + "..."  # some cite the file's own bytes
