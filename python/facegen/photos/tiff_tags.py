"""The first directory of TIFF data, which is also what EXIF is: its entries, read and changed.

Pillow refuses a whole picture for an odd entry that says nothing about its pixels, and writes an
EXIF block anew, as far as it understands it, where one number in it is to change. Here entries are
found by their place, and changed there.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, SAMPLES_PER_PIXEL = 258, 262, 274, 277
XMP, IPTC, EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY = 700, 33723, 34665, 34853, 40965

# Types of values: their bytes, of each the bytes that are swapped together; and whole numbers.
_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_BYTES = {**_UNITS, 5: 8, 10: 8, 16: 8, 18: 8}  # 5 and 10 are fractions, 16 and on of BigTIFF
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
BYTES, SHORT, LONG, RATIONAL, UNDEFINED = 1, 3, 4, 5, 7
_DIRECTORIES = {EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY}
_MAX_ENTRIES = 65_535  # that a TIFF can have; a BigTIFF could announce more
_UNKNOWN = 65000  # a private tag, which nobody reads


@dataclass(frozen=True)
class Entry:
    """Where an entry stands, its type and count, and where its values begin."""

    at: int
    type: int
    count: int
    values_at: int

    @property
    def length(self) -> int:
        """Bytes of the entry's values."""
        return self.count * _BYTES.get(self.type, 0)


@dataclass(frozen=True)
class Directory:
    """The entries by their tags, the byte order as of `struct`, and where the next one is named."""

    order: str
    big: bool  # BigTIFF, with offsets of 8 bytes
    start: int
    entries: dict[int, Entry]
    next_at: int

    def number(self, data: bytes | bytearray, tag: int) -> int | None:
        """The first value of an entry of whole numbers, None where there is none."""
        entry = self.entries.get(tag)
        if entry is None or not entry.count or entry.type not in _NUMBERS:
            return None
        return int(struct.unpack_from(self.order + _NUMBERS[entry.type], data, entry.values_at)[0])

    def content(self, data: bytes, tag: int) -> bytes | None:
        """An entry's values as the file has them."""
        entry = self.entries.get(tag)
        return None if entry is None else data[entry.values_at : entry.values_at + entry.length]

    def remove(self, data: bytearray, tag: int) -> None:
        """Take an entry out; those behind it move up, and the directory must be read anew."""
        at, size, pointer = self.entries[tag].at, *((20, 8) if self.big else (12, 4))
        end = self.next_at + pointer
        data[at:end] = data[at + size : end] + bytes(size)
        counts = self.order + ("Q" if self.big else "H")
        (count,) = struct.unpack_from(counts, data, self.start)
        struct.pack_into(counts, data, self.start, count - 1)

    def set_number(self, data: bytearray, tag: int, number: int) -> None:
        """Change the first value of an entry that `number` reads."""
        entry = self.entries[tag]
        struct.pack_into(self.order + _NUMBERS[entry.type], data, entry.values_at, number)

    def hide(self, data: bytearray, tag: int) -> None:
        """Give an entry a tag that nobody reads."""
        if tag in self.entries:
            struct.pack_into(self.order + "H", data, self.entries[tag].at, _UNKNOWN)

    def end_here(self, data: bytearray) -> None:
        """Have no directory follow: in EXIF the next one has a thumbnail."""
        size = 8 if self.big else 4
        data[self.next_at : self.next_at + size] = bytes(size)


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def first_directory(data: bytes | bytearray) -> Directory | None:
    """The first directory, or None where the data is none or ends before it does."""
    if not is_tiff(bytes(data[:4])):
        return None
    order, big = "<" if data[:2] == b"II" else ">", 43 in data[2:4]
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    except struct.error:
        return None
    return directory_at(data, start, order, big)


def directory_at(
    data: bytes | bytearray, start: int, order: str, big: bool
) -> Directory | None:
    """A directory that another one names, or None where the data ends before it does.

    Entries whose values lie outside the data are left out.
    """
    pointer, counts, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    head = struct.Struct(f"{order}HH{pointer}")  # then values or their place
    inline = struct.calcsize("=" + pointer)
    try:
        (count,) = struct.unpack_from(order + counts, data, start)
        first = start + struct.calcsize("=" + counts)
        next_at = first + count * entry_bytes
        struct.unpack_from(order + pointer, data, next_at)
    except (struct.error, OverflowError):
        return None
    if count > _MAX_ENTRIES:
        return None
    entries: dict[int, Entry] = {}
    for at in range(first, next_at, entry_bytes):
        tag, kind, values = head.unpack_from(data, at)
        values_at = at + head.size
        if values * _BYTES.get(kind, 0) > inline:
            (values_at,) = struct.unpack_from(order + pointer, data, values_at)
        entry = Entry(at, kind, values, values_at)
        if entry.values_at + entry.length <= len(data):
            entries.setdefault(tag, entry)
    return Directory(order, big, start, entries, next_at)


@dataclass(frozen=True)
class Field:
    """An entry by itself: its values as bytes, or the fields of the directory that it names."""

    tag: int
    type: int
    content: bytes | tuple[Field, ...]


def fields(
    data: bytes, directory: Directory, order: str, tags: Collection[int] | None, room: int
) -> tuple[Field, ...]:
    """Entries to write into another file of some byte order, with directories that they name.

    Parameters
    ----------
    tags
        Which; None for all.
    room
        Bytes of all values: what is beyond is left out, as many entries of an attacker's file may
        share theirs.
    """
    found: list[Field] = []
    for tag, entry in directory.entries.items():
        if tags is not None and tag not in tags:
            continue
        if tag in _DIRECTORIES:
            inner = _named_fields(data, directory, tag, order, room)
            if inner:
                found.append(Field(tag, LONG, inner))
                room -= sum(_size(field) for field in inner)
        elif entry.type in _UNITS and entry.length <= room:
            content = data[entry.values_at : entry.values_at + entry.length]
            if order != directory.order:
                unit = f"u{_UNITS[entry.type]}"
                content = np.frombuffer(content, ">" + unit).astype("<" + unit).tobytes()
            found.append(Field(tag, entry.type, content))
            room -= _size(found[-1])
    return tuple(found)


def _named_fields(
    data: bytes, directory: Directory, tag: int, order: str, room: int
) -> tuple[Field, ...]:
    """Fields of a directory that an entry names; EXIF's alone names a deeper one."""
    start = directory.number(data, tag)
    inner = None if start is None else directory_at(data, start, directory.order, directory.big)
    if inner is None:
        return ()
    deeper = {INTEROPERABILITY} if tag == EXIF_DIRECTORY else set()
    return fields(data, inner, order, inner.entries.keys() - _DIRECTORIES | deeper, room)


def packed(content: Collection[Field], start: int, order: str, following: int = 0) -> bytes:
    """A directory as it stands at `start`, an even place, with its values behind it.

    `following` is the place of the next one.
    """
    table, values = bytearray(struct.pack(order + "H", len(content))), bytearray()
    values_at = start + 2 + 12 * len(content) + 4
    for field in sorted(content, key=lambda field: field.tag):
        place = values_at + len(values)
        if isinstance(field.content, tuple):
            table += struct.pack(order + "HHII", field.tag, LONG, 1, place)
            values += packed(field.content, place, order)
            continue
        count = len(field.content) // _BYTES[field.type]
        table += struct.pack(order + "HHI", field.tag, field.type, count)
        if len(field.content) <= 4:
            table += field.content.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", place)
            values += field.content + bytes(len(field.content) % 2)
    return bytes(table + struct.pack(order + "I", following) + values)


def _size(field: Field) -> int:
    if isinstance(field.content, bytes):
        return 12 + len(field.content)
    return 12 + sum(_size(inner) for inner in field.content)
