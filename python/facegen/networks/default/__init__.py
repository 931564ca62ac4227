"""The network that comes with the package: faces, trained on rendered ones (see MODEL_CARD.md).

Its weights are stored as float16, every one of which is a float32 too: all machines decode the same
values.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from facegen.errors import FacegenError, FormatError

NAME = "default"  # where a network is named, this is it


def path() -> Path:
    """The file of weights, after a look at its checksum.

    Raises
    ------
    FacegenError
        The package was installed without it.
    FormatError
        The file is not the one that the card describes.
    """
    file = _folder() / "faces.safetensors"
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise FacegenError(
            "this installation has no default network; name one, "
            "or write one for trials with facegen init dcgan network.bin"
        ) from None
    expected = card()["sha256"]
    if found != expected:
        raise FormatError(f"{file}: expected SHA-256 {expected}, found {found}: install again")
    return file


def card() -> dict[str, Any]:
    """What is known of it: "sha256" of the file, how it was trained and measured."""
    return json.loads((_folder() / "card.json").read_text(encoding="utf-8"))


def _folder() -> Path:
    return Path(str(files(__name__)))
