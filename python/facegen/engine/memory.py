"""Whether the machine has the memory that a computation takes, asked before any of it is taken."""

from __future__ import annotations

from facegen import system
from facegen.errors import OutOfMemory


def check_memory(needed_bytes: int, what: str) -> None:
    """Refuse what can never fit.

    What is free at the moment does not matter: others give memory back, and it is no promise.

    Raises
    ------
    OutOfMemory
        It takes more than the machine, or its container, has.
    """
    there = system.memory_bytes()
    if there is not None and needed_bytes > there:
        raise OutOfMemory(
            f"{what}: takes {needed_bytes:,} bytes of memory, and there are {there:,} in all"
        )
