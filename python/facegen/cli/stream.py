"""What programs that write long files share: chunks computed, written and noted as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from facegen import parallel
from facegen.cli.progress import progress
from facegen.cli.terminal import counted
from facegen.files.journal import Journal, NoJournal, Writer


def resumed(journal: Journal | NoJournal, item: str) -> str:
    """What --resume found, for people: "Resumed : 64 faces are there"."""
    every = "all " if journal.finished and journal.done > 1 else ""
    verb = "is" if journal.done == 1 else "are"
    return f"Resumed : {every}{counted(journal.done, item)} {verb} there"


@dataclass(frozen=True)
class Stream:
    """How chunks are computed: on all ranks, and with progress.

    Attributes
    ----------
    compute, encode
        As for `facegen.parallel.run`.
    count, unit
        Items in all, None if that is not known, and what they are, for people.
    on_ranks
        False where the work is this process's alone, though others were started with it.
    """

    compute: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    count: int | None
    unit: str
    on_ranks: bool = True

    def run(
        self,
        chunks: Iterable[Any],
        write: Callable[[Any], int],
        outputs: Mapping[str, Writer],
        journal: Journal | NoJournal,
    ) -> float:
        """Compute chunks, and write and note what becomes of them.

        Parameters
        ----------
        chunks
            Those that are to be done: `journal.rest` of all.
        write
            Takes what was encoded, in order, writes it to the outputs, and gives the items it was.
        outputs
            Path -> what writes it, opened where `journal.resume(path)` says.

        Returns
        -------
        float
            Seconds of computing.
        """
        with progress(self.count, self.unit) as advance:
            advance(journal.done)

            def sink(result: Any) -> None:
                advance(write(result))
                journal.wrote(outputs)

            return parallel.run(chunks, self.compute, sink, self.encode, self.on_ranks)
