"""Commands whose work all ranks share; no other command looks at the variables of launchers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from facegen.errors import FacegenError
from facegen.launchers import find_place


class SharedCommand(click.Command):
    """The other ranks stay with rank 0 before their words are parsed, so there is one error."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        if not extra.get("resilient_parsing") and not _by_itself(args):
            join_ranks()
        return super().make_context(info_name, args, *more, **extra)


def join_ranks() -> None:
    """Where several processes were started for this command: rank 0 alone returns.

    Raises
    ------
    FacegenError
        Nothing connects them: each would do all of the work.
    """
    place = find_place(os.environ)
    if place.size > 1 and not place.connected:
        raise FacegenError(
            f"started {place.size} times (RANK and WORLD_SIZE are set), but nothing connects these "
            "processes: use mpirun, srun or facegen launch, let each do a part (--shard auto), or "
            "set FACEGEN_RANKS=off where this one is to do everything"
        )
    if place.connected:
        from facegen.parallel import join

        join()


def _by_itself(words: Sequence[str]) -> bool:
    """Whether this is for each process to do, whoever started it: its share, or help."""
    return any(word in ("-h", "--help") or word.startswith("--shard") for word in words)
