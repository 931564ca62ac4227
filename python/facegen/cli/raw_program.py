"""What the course's programs on bare arrays share: pix2pix and colorizer main."""

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
    settings: Mapping[str, Any],
    resume: bool,
    say: Callable[[str], None],
    quiet: bool,
) -> tuple[int, int, float]:
    """Compute `chunks` of the reader's pictures and write the bytes of what is encoded.

    Parameters
    ----------
    chunk
        Pictures in each of the chunks.
    compute, encode
        Of a chunk its results, and of these the array whose bytes are written.
    settings
        What results depend on, besides the input and the network.

    Returns
    -------
    int, int, float
        Pictures that this run wrote, those that were there before, and the seconds of computation.
    """
    from facegen.cli.stream import open_journal, run_stream
    from facegen.media.raw import RawWriter
    from facegen.media.standard import output_file

    path = output_file(output)
    files = [network, reader.name]
    with (
        open_journal(resume, [path], reader.count, chunk, files, settings) as journal,
        RawWriter(path, resume=journal.resume(path)) as file,
    ):
        there = journal.done
        if resume:
            say(f"Resumed : {there:,} pictures are there")

        def write(values: np.ndarray) -> int:
            file.write(values)
            return len(values)

        elapsed = run_stream(
            journal.rest(chunks),
            compute,
            encode,
            write,
            {path: file},
            journal,
            reader.count,
            "img",
            quiet,
        )
    return file.written - there, there, elapsed
