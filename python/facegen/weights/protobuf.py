"""Protobuf's wire format, as far as it takes to read a message without a library for it.

A message is fields one after another: a varint that is 8 times the field's number plus its wire
type, then the value. A varint has 7 bits a byte, the least significant first, and the top bit set
where another byte follows.

    wire type 0   a varint: integers
              1   8 bytes: double
              2   a varint of the length and so many bytes: strings, messages, packed arrays
              5   4 bytes: float
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError

# A file may have so many fields, with those of messages in it: empty ones take time and memory too.
MAX_FIELDS = 100_000
_MAX_TEXT_BYTES = 100  # of a name
_FIXED_BYTES = {1: 8, 5: 4}


class DamagedMessage(FormatError):
    """These bytes are no message, or a field of it has another type than expected."""


class Message:
    """A message of `data`, whose fields are found by iteration."""

    def __init__(self, data: memoryview, counter: count[int] | None = None) -> None:
        self._data = data
        self._counter = count(1) if counter is None else counter

    def __iter__(self) -> Iterator[Field]:
        data, at = self._data, 0
        while at < len(data):
            if next(self._counter) > MAX_FIELDS:
                raise DamagedMessage(f"more than {MAX_FIELDS:,} fields")
            start = at
            tag, at = _varint(data, at)
            number, wire_type = tag >> 3, tag & 7
            value: int | memoryview
            if number == 0 or wire_type not in (0, 1, 2, 5):
                raise DamagedMessage(f"no field begins with {tag}")
            if wire_type == 0:
                value, at = _varint(data, at)
            elif wire_type == 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            else:
                at = start + _run_bytes(data[start:], at - start, _FIXED_BYTES[wire_type])
                value = data[start:at]
            if at > len(data):
                raise DamagedMessage(f"field {number} ends behind its message")
            yield Field(number, wire_type, value, self._counter)


class Field(NamedTuple):
    number: int
    wire_type: int
    value: int | memoryview  # of wire types 1 and 5: all such fields in a row, with their tags
    counter: count[int]

    def integer(self) -> int:
        """A signed integer of up to 64 bits."""
        if not isinstance(self.value, int):
            raise DamagedMessage(f"field {self.number}: expected an integer")
        return _signed(self.value)

    def integers(self, most: int) -> list[int]:
        """One of a repeated integer's fields, which may be packed."""
        if not isinstance(self.value, memoryview):
            return [self.integer()]
        data, at = self._bytes(), 0
        found: list[int] = []
        while at < len(data):
            if len(found) == most:
                raise DamagedMessage(f"field {self.number}: more than {most} integers")
            value, at = _varint(data, at)
            found.append(_signed(value))
        return found

    def text(self) -> str:
        data = self._bytes()
        if len(data) > _MAX_TEXT_BYTES:
            raise DamagedMessage(f"field {self.number}: a name of {len(data):,} bytes")
        return bytes(data).decode("utf-8", "replace")

    def message(self) -> Message:
        return Message(self._bytes(), self.counter)

    def array(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Values of a repeated float or double; in the file's own memory if packed."""
        size = dtype.itemsize
        if _FIXED_BYTES.get(self.wire_type) == size and isinstance(self.value, memoryview):
            _, tag_bytes = _varint(self.value, 0)
            rows = np.frombuffer(self.value, np.uint8).reshape(-1, tag_bytes + size)
            return np.ascontiguousarray(rows[:, tag_bytes:]).view(dtype).reshape(-1)
        data = self._bytes()
        if len(data) % size:
            raise DamagedMessage(f"field {self.number}: {len(data):,} bytes of {dtype}")
        return np.frombuffer(data, dtype)

    def _bytes(self) -> memoryview:
        if self.wire_type != 2 or not isinstance(self.value, memoryview):
            raise DamagedMessage(f"field {self.number}: unexpected wire type {self.wire_type}")
        return self.value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned integer of 64 bits, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(data):
            raise DamagedMessage("ends inside an integer")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise DamagedMessage("an integer of more than 10 bytes")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _run_bytes(data: memoryview, tag_bytes: int, value_bytes: int) -> int:
    """Bytes of all fields from the beginning on that have the first one's tag and size."""
    stride = tag_bytes + value_bytes
    if len(data) < stride:
        return stride  # which is behind the message
    rows = np.frombuffer(data[: len(data) // stride * stride], np.uint8).reshape(-1, stride)
    found, block = 1, 1
    while True:  # in blocks that double, so that no byte is looked at twice
        same = (rows[found : found + block, :tag_bytes] == rows[0, :tag_bytes]).all(axis=1)
        if len(same) < block or not same.all():
            return stride * (found + (len(same) if same.all() else int(same.argmin())))
        found, block = found + block, 2 * block
