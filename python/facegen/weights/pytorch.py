"""PyTorch checkpoints: the tensors of a state_dict, by their names. Read, never written.

A checkpoint is a pickle, in a zip or (up to PyTorch 1.5) bare. It is read by PyTorch itself with
``weights_only=True``, which makes tensors and plain containers of it and runs nothing.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from facegen import extras
from facegen.errors import FacegenError, FormatError, first_line
from facegen.weights.checks import Path, file_size
from facegen.weights.format import Contents, Format
from facegen.weights.layout import canonical
from facegen.weights.zips import ZIP_MAGIC, open_zip

# What a bare checkpoint starts with: protocol 2, then the pickled number 0x1950a86a20f9469cfc6c.
BARE_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

_WHAT = "a valid PyTorch checkpoint"


def is_checkpoint(path: Path) -> bool:
    """Whether a zip is one of PyTorch's rather than a .npz."""
    try:
        with open_zip(path, _WHAT) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except FormatError:
        return False


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state_dict, by their names and in their own layouts.

    The dict may lie in another one as "state_dict". BatchNorm's ``num_batches_tracked`` are left
    out: they are for training.

    Raises
    ------
    FormatError
        The file is damaged, or holds something else than tensors with names.
    FacegenError
        PyTorch is not installed.
    OSError
        The file cannot be read.
    """
    file_size(path)
    _check_stored(path)
    content = _load(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise FormatError(f"{path}: expected a state_dict, found {type(content).__name__}")
    names = [name for name in content if not str(name).endswith(".num_batches_tracked")]
    return {str(name): _array(path, str(name), content[name]) for name in names}


def _check_stored(path: Path) -> None:
    """PyTorch stores its members as they are; a small file of large ones is not its work."""
    if not zipfile.is_zipfile(path):
        return
    with open_zip(path, _WHAT) as archive:
        packed = [m for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED]
    if packed:
        name = packed[0].filename
        raise FormatError(f"{path}: member {name!r:.100} is compressed, expected stored")


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise FacegenError(
            f"{path}: is a PyTorch checkpoint, and PyTorch is missing: {extras.install('torch')}; "
            "or facegen convert, on a machine that has it, makes a .safetensors of it, which is "
            "read without"
        ) from None
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged ones raise whatever their bytes mean, OSError too
            reason = first_line(error)
            if refused := re.search(r"[Uu]nsupported .*GLOBAL ([\w.]{1,100})", str(error)):
                reason = f"holds {refused[1]}, expected tensors alone (a state_dict)"
            raise FormatError(f"{path}: not {_WHAT}: {reason}") from error


def _array(path: Path, name: str, value: Any) -> np.ndarray:
    """The same memory as an array."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise FormatError(f"{path}: {name!r:.100}: expected a tensor, found {type(value).__name__}")
    try:
        return value.detach().numpy()
    except (TypeError, RuntimeError) as error:  # bfloat16, sparse, meta and such
        found = f"{value.dtype} ({value.layout}, on {value.device})".replace("torch.", "")
        place = f"{path}: tensor {name!r:.100}"
        raise FormatError(f"{place}: expected float32, found {found}") from error


def _open(path: Path) -> Contents:
    tensors = read(path)
    shapes = {name: values.shape for name, values in tensors.items()}
    return Contents(shapes, partial(canonical, path, tensors))


FORMAT = Format(
    name="pytorch",
    title="PyTorch checkpoint",
    begins=lambda path, start, size: (
        start.startswith(BARE_MAGIC) or (start.startswith(ZIP_MAGIC) and is_checkpoint(path))
    ),
    open=_open,
)
