"""What programs that write long files share: chunks computed, written and noted as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from facegen.media.journal import Journal, NoJournal


class Writer(Protocol):
    """An output that comes in order; `facegen.media` has those of all formats."""

    def synchronize(self) -> int:
        """Have what was written on the disk; gives its bytes."""


def open_journal(
    resume: bool,
    outputs: Sequence[str],
    count: int | None,
    chunk: int,
    files: Sequence[str],
    settings: Mapping[str, Any],
) -> Journal | NoJournal:
    """The journal of a run with --resume, or what stands for it without; see `Journal`.

    `count` is None where the input is a pipe, which cannot be resumed and is refused.
    """
    from facegen import __version__
    from facegen.media.journal import Journal, NoJournal

    if not resume:
        return NoJournal(outputs)
    return Journal(outputs, count or 0, chunk, files, {**settings, "version": __version__})


def run_stream(
    chunks: Iterable[Any],
    compute: Callable[[Any], Any],
    encode: Callable[[Any], Any],
    write: Callable[[Any], int],
    outputs: Mapping[str, Writer],
    journal: Journal | NoJournal,
    count: int | None,
    unit: str,
    quiet: bool,
    on_ranks: bool = True,
) -> float:
    """Compute chunks, on all ranks, and write what becomes of them, with progress and a journal.

    Parameters
    ----------
    chunks
        Those that are to be done: `journal.rest` of all.
    compute, encode
        As for `facegen.parallel.run`.
    write
        Takes what was encoded, in order, writes it to the outputs, and gives the items it was.
    outputs
        Path -> what writes it, opened where `journal.resume(path)` says.
    count, unit
        Items in all, if it is known, and what they are, for people.
    on_ranks
        False where the work is this process's alone, though others were started with it.

    Returns
    -------
    float
        Seconds of computing.
    """
    from facegen import parallel
    from facegen.cli.progress import progress

    synchronize = {path: writer.synchronize for path, writer in outputs.items()}
    with progress(count or 0, unit, quiet or count is None) as advance:
        advance(journal.done)

        def sink(result: Any) -> None:
            advance(write(result))
            journal.wrote(synchronize)

        return parallel.run(chunks, compute, sink, encode, on_ranks)
