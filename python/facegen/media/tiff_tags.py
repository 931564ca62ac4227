"""The first directory of TIFF data, which is also what EXIF is: its entries, read and changed.

Pillow refuses a whole picture for an odd entry that says nothing about its pixels, and writes an
EXIF block anew, as far as it understands it, where one number in it is to change. Here entries are
found by their place, and changed there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, SAMPLES_PER_PIXEL = 258, 262, 274, 277
XMP, IPTC, EXIF_DIRECTORY, GPS_DIRECTORY = 700, 33723, 34665, 34853

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
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
        """Of its values, in bytes."""
        return self.count * _BYTES.get(self.type, 0)


@dataclass(frozen=True)
class Directory:
    """The entries by their tags, the byte order as of `struct`, and where the next one is named."""

    order: str
    entries: dict[int, Entry]
    next_at: int
    next_bytes: int

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

    def set_number(self, data: bytearray, tag: int, number: int) -> None:
        """Change the first value of an entry that `number` reads."""
        entry = self.entries[tag]
        struct.pack_into(self.order + _NUMBERS[entry.type], data, entry.values_at, number)

    def hide(self, data: bytearray, tag: int) -> None:
        """Give an entry a tag that nobody reads."""
        if tag in self.entries:
            struct.pack_into(self.order + "H", data, self.entries[tag].at, _UNKNOWN)

    def end_here(self, data: bytearray) -> None:
        """No directory follows: in EXIF the next one has a thumbnail."""
        data[self.next_at : self.next_at + self.next_bytes] = bytes(self.next_bytes)


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def first_directory(data: bytes | bytearray) -> Directory | None:
    """The first directory, or None where the data is none or ends before it does.

    Entries whose values lie outside the data are left out.
    """
    if not is_tiff(bytes(data[:4])):
        return None
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]  # BigTIFF, with offsets of 8 bytes
    pointer, counts, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    fields = struct.Struct(f"{order}HH{pointer}")  # then values or their place
    inline = struct.calcsize("=" + pointer)
    try:
        (start,) = struct.unpack_from(order + pointer, data, inline)
        (count,) = struct.unpack_from(order + counts, data, start)
        first = start + struct.calcsize("=" + counts)
        next_at = first + count * entry_bytes
        struct.unpack_from(order + pointer, data, next_at)
    except struct.error:
        return None
    if count > _MAX_ENTRIES:
        return None
    entries: dict[int, Entry] = {}
    for at in range(first, next_at, entry_bytes):
        tag, kind, values = fields.unpack_from(data, at)
        values_at = at + fields.size
        if values * _BYTES.get(kind, 0) > inline:
            (values_at,) = struct.unpack_from(order + pointer, data, values_at)
        entry = Entry(at, kind, values, values_at)
        if entry.values_at + entry.length <= len(data):
            entries.setdefault(tag, entry)
    return Directory(order, entries, next_at, inline)
