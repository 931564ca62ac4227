"""The networks that come with the package, and what is known of each.

NAME.safetensors has the weights, or the file that the card names; NAME.json is the card, how they
were made (for programs), NAME.md the same for people, NAME.traits.json directions of traits
(`facegen.networks.traits`). Weights are stored as float16, every one of which is a float32 too, or
as signs: all machines decode the same values.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from facegen.errors import FacegenError, FormatError

KEYWORD = "default"  # where a network is named, this means the package's own
# Network -> NAME of its weights.
FILES = {
    "colorizer": "colours",
    "dcgan": "faces",
    "dcgan128": "faces128",
    "lenet": "digits",
    "lenet-binary": "binary",
    "pix2pix": "portraits",
    "segmentation": "parts",
}


def path(name: str) -> Path:
    """The file of weights of that name ("faces"), after a look at its checksum.

    Raises
    ------
    FacegenError
        The package was installed without it.
    FormatError
        The file is not the one that the card describes.
    """
    try:
        facts = card(name)
        file = _folder() / facts.get("file", f"{name}.safetensors")
        expected = facts["sha256"]
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise FacegenError(
            f"this installation has no default network {name!r}; name another ({error.filename} "
            "is missing)"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise FormatError(
            f"{_folder() / f'{name}.json'}: expected the card of a network, with its SHA-256: "
            "install again"
        ) from None
    if found != expected:
        raise FormatError(f"{file}: expected SHA-256 {expected}, found {found}: install again")
    return file


def card(name: str) -> dict[str, Any]:
    """What is known of it: "sha256" of the file, how it was trained and measured."""
    return json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))


def _folder() -> Path:
    return Path(str(files(__name__)))
