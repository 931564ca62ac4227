"""Work over several processes: MPI, Slurm, `facegen launch`, or a share of a list each.

>>> from facegen import parallel
>>> parallel.join()                       # ranks other than 0 compute for rank 0 from here on
>>> parallel.run(chunks, model, write)    # as a loop over chunks, on all ranks, in order
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegen.launchers import Place, find_place, find_shard
    from facegen.parallel.loop import run
    from facegen.parallel.membership import join
    from facegen.shares import split

__all__ = ["Place", "find_place", "find_shard", "join", "run", "split"]

_HOME = {
    "Place": "facegen.launchers",
    "find_place": "facegen.launchers",
    "find_shard": "facegen.launchers",
    "join": "facegen.parallel.membership",
    "run": "facegen.parallel.loop",
    "split": "facegen.shares",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'facegen.parallel' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
