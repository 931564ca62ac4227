"""What the course's programs on bare arrays share: read, compute and write in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from facegen.media.raw import RawReader


def run_raw(
    reader: RawReader,
    network: str,
    output: str,
    chunks: Iterable[np.ndarray],
    chunk: int,
    compute: Callable[[np.ndarray], np.ndarray],
    encode: Callable[[np.ndarray], np.ndarray],
    settings: Mapping[str, Any] | None,
    say: Callable[[str], None],
    quiet: bool,
) -> tuple[int, int, float]:
    """Compute `chunks` of the reader's pictures, on all ranks, and write them as they come.

    Parameters
    ----------
    chunk
        Pictures in each of the chunks.
    compute, encode
        Of a chunk its results, and of these the array whose bytes are written.
    settings
        What results depend on, for a run that can be resumed; None for another.

    Returns
    -------
    int, int, float
        Pictures that this run wrote, those that were there before, and the seconds of computation.
    """
    from facegen import parallel
    from facegen.cli.progress import progress
    from facegen.media.atomic import AtomicFile
    from facegen.media.journal import Journal
    from facegen.media.standard import output_file

    done, there = 0, 0
    kept: int | None = None
    file_name = output_file(output)
    journal = None
    if settings is not None:
        journal = Journal([file_name], reader.count or 0, chunk, [network, reader.name], settings)
        there, kept = journal.resume(file_name)
        chunks = journal.rest(chunks)
        say(f"Resumed : {there:,} pictures are there")
    atomic = AtomicFile(file_name, kept)
    with (
        atomic as file,
        progress(reader.count or 0, "img", quiet or reader.count is None) as advance,
    ):

        def write(values: np.ndarray) -> None:
            nonlocal done
            file.write(values.data)
            done += len(values)
            advance(len(values))
            if journal:
                journal.wrote({file_name: atomic.synchronize})

        elapsed = parallel.run(chunks, compute, write, encode)
    if journal:
        journal.remove()
    return done, there, elapsed
