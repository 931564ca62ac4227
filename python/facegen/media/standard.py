"""'-', which stands for standard input or output where a file is named."""

from __future__ import annotations

STANDARD = "-"


def input_file(name: str) -> str:
    """The file to open for reading; the name itself where it is not '-'."""
    return "/dev/stdin" if name == STANDARD else name


def output_file(name: str) -> str:
    """The file to write, for `AtomicFile`; the name itself where it is not '-'."""
    return "/dev/stdout" if name == STANDARD else name
