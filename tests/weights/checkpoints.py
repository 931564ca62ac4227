"""PyTorch's files by hand: pickles opcode by opcode, and the zip around them."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping

START, END = b"\x80\x02", b"."
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str = "0", count: int = 6, kind: str = "ctorch\nFloatStorage\n") -> bytes:
    return b"(" + text("storage") + kind.encode() + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(
    held: bytes | None = None,
    offset: bytes = number(0),
    shape: bytes = numbers(2, 3),
    stride: bytes = numbers(3, 1),
) -> bytes:
    held = storage() if held is None else held
    return TENSOR + b"(" + held + offset + shape + stride + b"\x89}tR"


def state(**values: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in values.items())
    return START + b"}(" + items + b"u" + END


def packed(content: bytes, members: Mapping[str, bytes] | None = None) -> bytes:
    """A zip as torch.save makes it; storage 0 has 6 float32 if no `members` are given."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x/data.pkl", content)
        for name, data in ({"data/0": bytes(24)} if members is None else members).items():
            archive.writestr(f"x/{name}", data)
    return stream.getvalue()


def bare(content: bytes, keys: list[str], storages: bytes) -> bytes:
    """The bare pickles of PyTorch up to 1.5."""
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine)]
    return b"".join(parts) + content + pickle.dumps(keys, 2) + storages
