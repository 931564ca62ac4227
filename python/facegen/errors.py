"""The one family of exceptions that facegen raises for bad input and failures at work."""

from __future__ import annotations


class FacegenError(Exception):
    """Base of every error that facegen raises on purpose; the message is one clear line."""


class FormatError(FacegenError, ValueError):
    """A file or an array is not what was expected: says what was expected, found, and where."""


class DeviceError(FacegenError, RuntimeError):
    """A device, an instruction set or a precision was asked for that this machine cannot give."""


class DeviceFailure(DeviceError):
    """A device that was there failed at work: it has no memory left, or a call to it failed."""
