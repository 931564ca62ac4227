"""PyTorch checkpoints: the tensors of a state_dict, by their names. Read, never written.

A checkpoint is a pickle of records (`facegen.weights.torch_pickle`) and the numbers that they speak
of, each storage by itself: as the members of a zip, or bare one after another (up to PyTorch 1.5).
PyTorch is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from facegen.errors import FormatError
from facegen.weights.checks import Path, Shape, file_size
from facegen.weights.format import ZIP_MAGIC, Contents, Format
from facegen.weights.layout import canonical

# What reads pickles and zips is imported where a file is such a one: most are not.
if TYPE_CHECKING:
    from facegen.weights.state_dict import Found
    from facegen.weights.torch_pickle import Pickle
    from facegen.weights.torch_records import Tensor
    from facegen.weights.zips import Piece

# What a bare checkpoint starts with: protocol 2, then the pickled number 0x1950a86a20f9469cfc6c.
BARE_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_BARE_VERSION = 1001
_COUNT_BYTES = 8

_WHAT = "a valid PyTorch checkpoint"
_PICKLE = "/data.pkl"
_EXPORTED = ("/archive_format", "/serialized_exported_program.json")  # what torch.export writes


def is_checkpoint(path: Path) -> bool:
    """Whether a zip is one of PyTorch's rather than a .npz."""
    from facegen.weights.zips import open_zip

    try:
        with open_zip(path, _WHAT) as archive:
            return any(f"/{name}".endswith((_PICKLE, *_EXPORTED)) for name in archive.namelist())
    except FormatError:
        return False


class _File(NamedTuple):
    content: Pickle
    pieces: dict[str, Piece]  # storages by their keys
    order: Literal["<", ">"]  # of bytes


class Tensors(Mapping[str, np.ndarray]):
    """The tensors of a checkpoint in their own layouts; each is read when it is asked for.

    bfloat16 becomes float32, which holds all its values. Of a storage that tensors share, each is
    a view.
    """

    def __init__(self, path: Path, found: Found, file: _File) -> None:
        self._path = path
        self.where, self.part = found.where, found.part
        self._tensors = found.tensors
        self._file = file
        self._last: tuple[str, str, np.ndarray] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        if tensor.dtype.startswith("float8"):
            raise FormatError(
                f"{self.where}: tensor {name!r:.100}: expected float32, found {tensor.dtype}"
            )
        values = self._values(tensor)
        strides = [step * values.itemsize for step in tensor.stride]
        first = values[tensor.offset :] if 0 not in tensor.shape else values[:0]
        return np.lib.stride_tricks.as_strided(first, tensor.shape, strides)

    def _values(self, tensor: Tensor) -> np.ndarray:
        """All of the tensor's storage; the last one is kept, as neighbours may share it."""
        key, dtype = tensor.storage.key, tensor.dtype
        if self._last is None or self._last[:2] != (key, dtype):
            self._last = None  # before the next takes memory
            self._last = key, dtype, self._read(key, dtype)
        return self._last[2]

    def _read(self, key: str, dtype: str) -> np.ndarray:
        from facegen.weights.torch_records import ELEMENT_BYTES

        data = self._file.pieces[key].read(self._path)
        del data[len(data) - len(data) % ELEMENT_BYTES[dtype] :]
        if dtype == "bfloat16":
            bits = np.frombuffer(data, f"{self._file.order}u2").astype(np.uint32)
            bits <<= 16
            return bits.view(np.float32)
        return np.frombuffer(data, np.dtype(dtype).newbyteorder(self._file.order))


def read(path: Path) -> Tensors:
    """The tensors of a state_dict, by their names; reads what the file says of them alone.

    The dict may lie in others, and its names begin with what wraps its module
    (`facegen.weights.state_dict`). Counts that are for training are left out.

    Raises
    ------
    FormatError
        The file is damaged, or holds something else than tensors with names.
    OSError
        The file cannot be read.
    """
    from facegen.weights.state_dict import find

    file_size(path)
    with open(path, "rb") as stream:
        bare = stream.read(len(BARE_MAGIC)) == BARE_MAGIC
    file = _open_bare(path) if bare else _open_zip(path)
    for storage in file.content.storages.values():
        found = file.pieces.get(storage.key)
        if found is None or found.size != storage.size_bytes:
            held = "is missing" if found is None else f"has {found.size:,}"
            raise FormatError(
                f"{path}: not {_WHAT}: storage {storage.key!r:.100} of "
                f"{storage.size_bytes:,} bytes {held}"
            )
    return Tensors(path, find(path, file.content.value), file)


def _open_zip(path: Path) -> _File:
    from facegen.weights import torch_pickle
    from facegen.weights.zips import open_zip, stored_pieces

    with open_zip(path, _WHAT) as archive:
        if any(f"/{name}".endswith(_EXPORTED) for name in archive.namelist()):
            raise FormatError(
                f"{path}: holds a program of torch.export, expected a state_dict; with PyTorch: "
                "torch.save(torch.export.load(FILE).state_dict, ...)"
            )
        folders = [n.removesuffix(_PICKLE) for n in archive.namelist() if n.endswith(_PICKLE)]
        if len(folders) != 1:
            raise FormatError(
                f"{path}: not {_WHAT}: expected one {_PICKLE[1:]}, found {len(folders)}"
            )
        (folder,) = folders
        if f"{folder}/constants.pkl" in archive.namelist():
            raise FormatError(
                f"{path}: holds a TorchScript program, expected a state_dict; with PyTorch: "
                "torch.save(torch.jit.load(FILE).state_dict(), ...)"
            )
        pieces = stored_pieces(path, archive, _WHAT)
    pickled = pieces[folder + _PICKLE]
    if pickled.size > torch_pickle.MOST_BYTES:
        raise FormatError(
            f"{path}: a pickle of {pickled.size:,} bytes, at most "
            f"{torch_pickle.MOST_BYTES:,} expected"
        )
    content = torch_pickle.load(path, bytes(pickled.read(path)))
    storages = {
        key: pieces[name] for key in content.storages if (name := f"{folder}/data/{key}") in pieces
    }
    order = pieces.get(f"{folder}/byteorder")
    big = order is not None and order.size < 10 and order.read(path) == b"big"
    return _File(content, storages, ">" if big else "<")


def _open_bare(path: Path) -> _File:
    """Five pickles: the magic, a version, the machine, the content, and the storages' order."""
    from facegen.weights import torch_pickle
    from facegen.weights.zips import Piece

    size = file_size(path)
    with open(path, "rb") as stream:
        data = stream.read(torch_pickle.MOST_BYTES)
        version = torch_pickle.load(path, data, len(BARE_MAGIC))
        machine = torch_pickle.load(path, data, version.end)
        little = isinstance(machine.value, dict) and machine.value.get("little_endian") is True
        if version.value != _BARE_VERSION or not little:
            raise FormatError(
                f"{path}: not {_WHAT}: expected version {_BARE_VERSION} of little endian"
            )
        content = torch_pickle.load(path, data, machine.end)
        keys = torch_pickle.load(path, data, content.end)
        if not isinstance(keys.value, list):
            raise FormatError(f"{path}: not {_WHAT}: expected a list of storages")
        pieces: dict[str, Piece] = {}
        at = keys.end
        for key in keys.value:
            if at > size:
                break
            storage = content.storages.get(key) if isinstance(key, str) else None
            stream.seek(at)
            count = int.from_bytes(stream.read(_COUNT_BYTES), "little")
            if storage is None or storage.count != count or key in pieces:
                raise FormatError(
                    f"{path}: not {_WHAT}: byte {at:,}: expected the elements of another storage"
                )
            at += _COUNT_BYTES
            pieces[key] = Piece(at, storage.size_bytes)
            at += storage.size_bytes
    if at != size:
        raise FormatError(f"{path}: not {_WHAT}: expected {at:,} bytes, found {size:,}")
    return _File(content, pieces, "<")


def _open(path: Path) -> Contents:
    tensors = read(path)
    read_tensors = partial(canonical, tensors.where, tensors)
    return Contents(tensors.shapes, read_tensors, part=tensors.part)


FORMAT = Format(
    name="pytorch",
    title="PyTorch checkpoint",
    begins=lambda path, start, size: (
        start.startswith(BARE_MAGIC) or (start.startswith(ZIP_MAGIC) and is_checkpoint(path))
    ),
    open=_open,
)
