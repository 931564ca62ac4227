"""Fetched networks on this machine: the files, and what is known of each.

FILE has the network, FILE.json where it came from and its SHA-256. The latter stays when the file
is removed: what is fetched again must be the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from facegen.errors import FacegenError, FormatError
from facegen.files import state
from facegen.files.atomic import AtomicFile
from facegen.files.digest import file_digest
from facegen.files.json_text import json_text
from facegen.hub.published import PUBLISHED, Published


def folder() -> Path:
    """``$FACEGEN_CACHE``, or ``facegen`` in ``$XDG_CACHE_HOME``, which is ~/.cache if not set.

    Raises
    ------
    FacegenError
        There is no home folder, as in a container whose user has no name.
    """
    own = os.environ.get("FACEGEN_CACHE")
    try:
        if own:
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "facegen"
    except RuntimeError:
        raise FacegenError(
            "the cache has no place: HOME is not set, and this user has "
            "no home folder; set FACEGEN_CACHE to a folder"
        ) from None


def file_of(published: Published) -> Path:
    """Where the file of a published network is, or will be."""
    return folder() / published.file_name


def is_cached(published: Published) -> bool:
    """Whether a published network's file is there; False also where the cache has no place."""
    try:
        return file_of(published).is_file()
    except FacegenError:
        return False


def cached(name: str) -> Path:
    """The file of a network that was fetched before, its digest checked.

    Raises
    ------
    FacegenError
        It is unknown, or was not fetched.
    FormatError
        The file is not the one that was fetched.
    """
    published = look_up(name)
    path = file_of(published)
    if not path.is_file():
        digest = expected_digest(published)
        more = "..." if digest and len(digest) < 64 else ""  # its beginning alone is published
        known = f"SHA-256 {digest}{more}" if digest else "its SHA-256 is not published"
        raise FacegenError(
            f"{name}: is not in {folder()}; get it with facegen fetch {name}, or download "
            f"{published.url} ({known}) and name the file"
        )
    try:
        check(published, path)
    except FormatError as error:
        raise FormatError(f"{error}; remove it to fetch it again") from None
    return path


def look_up(name: str) -> Published:
    """A published network by its name or its short name, or a FacegenError."""
    published = find(name)
    if published is None:
        raise FacegenError(f"{name}: no published network has this name ({', '.join(PUBLISHED)})")
    return published


def find(name: str) -> Published | None:
    """A published network by its name or its short name, or None."""
    for published in PUBLISHED.values():
        if name in (published.name, published.short_name):
            return published
    return None


def expected_digest(published: Published) -> str | None:
    """The digest that a network's file must have, or its beginning; None before the first fetch."""
    return record(published).get("sha256") or published.sha256


def check(published: Published, path: Path, where: str | None = None) -> str:
    """SHA-256 of a file, or a FormatError where it is not the one expected."""
    found, expected = file_digest(path), expected_digest(published)
    if expected is not None and not found.startswith(expected):
        raise FormatError(f"{where or path}: expected SHA-256 {expected}, found {found}")
    return found


def record(published: Published) -> dict[str, Any]:
    """What was noted when a network was fetched; empty if it never was."""
    try:
        fields = state.read(_record_file(published), follow=True)
        state.digest(fields.get("sha256"))
    except FileNotFoundError:
        return {}
    except state.Damaged as error:
        raise FormatError(f"{_record_file(published)}: {error}; remove it") from None
    return fields


def note(published: Published, url: str, sha256: str) -> Path:
    """Note the digest for the times to come; gives the file that holds it."""
    path = _record_file(published)
    with AtomicFile(path) as file:
        file.write(json_text({"url": url, "sha256": sha256}, indent=2).encode() + b"\n")
    return path


def _record_file(published: Published) -> Path:
    return folder() / f"{published.file_name}.json"
