"""Downloading by pooch: into a temporary file, with a limit, checked, and only then named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from facegen import extras
from facegen.errors import DownloadFailure, FacegenError, FormatError
from facegen.hub.arrival import place_of_arrival
from facegen.hub.cache import cached, check, expected_digest, file_of, folder, look_up, note
from facegen.hub.published import Published

TIMEOUT_SECONDS = 30  # without a byte

Advance = Callable[[int], None]
Holds = Callable[[Path, Published], object]


def fetch(
    name: str,
    holds: Holds,
    mirror: str | None = None,
    offline: bool = False,
    advance: Advance = lambda count: None,
) -> Path:
    """The file of a published network: from the cache, or downloaded into it.

    `facegen.fetch` is this for all that the package can read.

    Parameters
    ----------
    name
        Key of `PUBLISHED`.
    holds
        Called with the file that came where no digest is known, before its own is noted: raises
        a FacegenError if it does not hold the network.
    mirror
        http(s) address of a folder that has the file too, under its own name.
    offline
        Take it from the cache or not at all.
    advance
        Called with the number of bytes that came.

    Raises
    ------
    FacegenError
        An unknown name; not cached, and `offline`; an address that is none; pooch is missing.
    FormatError
        Another digest than was published or noted the first time, a file too large, or, the first
        time, one that does not hold the network: it is not kept.
    DownloadFailure
        The server or the way to it failed.
    OSError
        The cache cannot be written.
    """
    published = look_up(name)
    path = file_of(published)
    if path.is_file() or offline:
        return cached(name)
    url = published.url if mirror is None else f"{mirror.rstrip('/')}/{published.file_name}"
    if not _is_address(url):
        raise FacegenError(
            f"{mirror}: expected a mirror's address, as https://example.org/networks"
        )
    folder().mkdir(parents=True, exist_ok=True)
    with place_of_arrival(folder()) as place:
        arrived = _download(published, url, place, advance)
        if expected_digest(published) is None:
            _check_content(published, url, arrived, holds)
        digest = check(published, arrived, url)
        # pooch's temporary files are for one user alone; a cache may be for many.
        shutil.copymode(note(published, url, digest), arrived)
        os.replace(arrived, path)
    return path


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is no number
        return False


def _check_content(published: Published, url: str, arrived: Path, holds: Holds) -> None:
    """Refuse what is no network, as a captive portal's page: its digest would be noted."""
    try:
        holds(arrived, published)
    except FacegenError as error:
        reason = str(error).removeprefix(f"{arrived}: ")
        if isinstance(error, FormatError):
            raise FormatError(
                f"{url}: what came is not {published.name}, and is not kept: {reason}"
            ) from error
        raise FacegenError(
            f"{url}: what came cannot be checked, and is not kept: {reason}"
        ) from error


def _download(published: Published, url: str, place: Path, advance: Advance) -> Path:
    import logging

    try:
        import pooch
        import requests
    except ImportError:
        raise FacegenError(
            f"fetching networks needs pooch, which is missing: {extras.install('hub')}"
        ) from None

    def download(url: str, output: str, pooch_: Any) -> None:
        with open(output, "wb") as file:
            limited = _Limited(file, published.max_bytes, url, advance)
            # Compressed on the way, a length that is cut short would go unnoticed.
            headers = {"Accept-Encoding": "identity"}
            pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, headers=headers)(url, limited, pooch_)

    pooch.get_logger().setLevel(logging.WARNING)
    try:
        name = published.file_name
        path = pooch.retrieve(url, None, fname=name, path=place, downloader=download)
    except FacegenError:
        raise
    except (requests.RequestException, ValueError) as error:  # the latter of odd answers
        raise DownloadFailure(f"{url}: {_reason(error)}") from error
    return Path(path)


class _Limited:
    """A file that takes so many bytes and no more."""

    def __init__(self, file: BinaryIO, limit: int, url: str, advance: Advance) -> None:
        self._file, self._limit, self._url, self._advance = file, limit, url, advance
        self._taken = 0

    def write(self, data: bytes) -> int:
        self._taken += len(data)
        if self._taken > self._limit:
            raise FormatError(f"{self._url}: more than {self._limit:,} bytes, not what is expected")
        self._advance(len(data))
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _reason(error: Exception) -> str:
    """The innermost words of requests' nested exceptions."""
    cause: BaseException = error
    while isinstance(cause.args[0] if cause.args else None, BaseException):
        cause = cause.args[0]
    reason = getattr(cause, "reason", None)  # urllib3's, of a connection that was not made
    return str(reason if isinstance(reason, BaseException) else cause) or type(error).__name__
