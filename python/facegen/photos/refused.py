"""What is refused of pictures' files, in a line that says why."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from facegen.errors import FormatError, first_line

# What Pillow's readers run into where a file ends too early or says what cannot be: their words
# are Python's ("index out of range").
_DAMAGE = (EOFError, IndexError, KeyError, TypeError, struct.error)


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Whatever a damaged file makes Pillow raise becomes a FormatError."""
    try:
        yield
    except (FormatError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise FormatError("not a picture, or of a format that is not read") from None
    except Image.DecompressionBombError:  # which does not say of what size
        raise FormatError(f"more pixels than twice {_limit()}") from None
    except Exception as error:
        raise FormatError(f"cannot be decoded: {_reason(error)}") from error


def checked_size(image: Image.Image) -> tuple[int, int]:
    """(height, width); a FormatError above Pillow's limit of pixels."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise FormatError(f"{image.width:,} x {image.height:,} pixels, more than {_limit()}")
    return image.height, image.width


def _reason(error: Exception) -> str:
    words = first_line(error)
    if isinstance(error, _DAMAGE) or "truncated" in words.lower():
        return "it is damaged, or cut short"
    return words


def _limit() -> str:
    limit = Image.MAX_IMAGE_PIXELS
    return f"the limit of {limit:,} (--max-pixels; in Python PIL.Image.MAX_IMAGE_PIXELS)"
