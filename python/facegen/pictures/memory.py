"""A bound on how many pixels are in memory at once, however many threads decode."""

from __future__ import annotations

import threading

_DEEP = 2  # times the memory of 8 bits a colour that 16 take, as measured (docs/pictures.md)


def pixels_of_8_bits(height: int, width: int, deep: bool) -> int:
    """The pixels that a photo counts for in memory; `deep` where 16 bits of each are kept."""
    return height * width * (_DEEP if deep else 1)


class PixelBudget:
    """Hands out pixels; who asks for more than is left waits.

    A picture larger than the whole budget gets in when nothing else is in: it is decoded alone,
    not refused.
    """

    def __init__(self, pixels: int) -> None:
        self._limit = pixels
        self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def taken(self) -> int:
        """Pixels that are in memory now."""
        return self._taken

    def take(self, pixels: int) -> bool:
        """Wait until there is room; False where the budget was closed meanwhile."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not self._taken or self._taken + pixels <= self._limit
            )
            if not self._closed:
                self._taken += pixels
            return not self._closed

    def give_back(self, pixels: int) -> None:
        with self._changed:
            self._taken -= pixels
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits or gets anything any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
