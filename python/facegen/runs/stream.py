"""What runs share: chunks computed on all ranks, written and noted as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facegen import parallel
from facegen.files.journal import Journal, NoJournal, Writer
from facegen.networks.model import Model
from facegen.runs.progress import Progress


def journal_of(
    outputs: Sequence[str], count: int | None, model: Model, inputs: Sequence[str] | None
) -> Journal | NoJournal:
    """How far a run came that made these outputs in chunks of the model's runner.

    Parameters
    ----------
    inputs
        Files that are read, to go on with what an earlier run left; None begins anew.
    """
    if inputs is None:
        return NoJournal(outputs)
    settings = {**model.arithmetic, "isa": model.runner.isa}
    return Journal(outputs, count or 0, model.runner.chunk, inputs, settings)


@dataclass(frozen=True)
class Stream:
    """How chunks are computed: on all ranks, and with progress.

    Attributes
    ----------
    compute, encode, beside
        As for `facegen.parallel.run`.
    count, unit
        Items in all, None if that is not known, and what they are, for people.
    progress
        Is told of items that are written.
    on_ranks
        False where the work is this process's alone, though others were started with it.
    """

    compute: Callable[[Any], Any]
    encode: Callable[[Any], Any] | None
    count: int | None
    unit: str
    progress: Progress
    on_ranks: bool = True
    beside: bool = True

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
        with self.progress(self.count, self.unit) as advance:
            advance(journal.done)

            def sink(result: Any) -> None:
                advance(write(result))
                journal.wrote(outputs)

            return parallel.run(chunks, self.compute, sink, self.encode, self.on_ranks, self.beside)
