"""Raws of cameras: most are TIFFs, whose first picture is a small preview of what the sensor saw.

Pillow reads that preview as if it were the picture. Developing a raw is for other programs.
"""

from __future__ import annotations

from facegen.errors import FormatError
from facegen.photos.tiff_tags import first_directory

_NAMES = (
    "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf "
    "srw x3f"
)
EXTENSIONS = frozenset(f".{name}" for name in _NAMES.split())
_SUBFILE_TYPE = 254  # its lowest bit: a reduced copy of another picture of the file
_DNG_VERSION = 50706
_CR2 = b"CR"  # after the 8 bytes of a TIFF's header


def refuse(data: bytes) -> None:
    """Raise FormatError for a TIFF that is a camera's raw file."""
    directory = first_directory(data)
    if directory is None:
        return
    reduced = (directory.number(data, _SUBFILE_TYPE) or 0) & 1
    if reduced or _DNG_VERSION in directory.entries or data[8:10] == _CR2:
        raise FormatError("a camera's raw, whose first picture is a preview; develop it first")
