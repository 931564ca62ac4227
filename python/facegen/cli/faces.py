"""facegen NETWORK INPUT OUTPUT IMAGE: the course's program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options
from facegen.cli.shared import SharedCommand

if TYPE_CHECKING:
    import numpy as np

    from facegen.cli.stream import Stream
    from facegen.media.journal import Journal, NoJournal
    from facegen.media.text import LatentReader

# Faces computed, formatted and written at a time: 3 MB of values, so that a run's memory does not
# grow with the number of faces, and little is left to write when the last are computed.
CHUNK = 64


class _BareShared(options.BareCommand, SharedCommand):
    pass


@click.command(
    "faces",
    cls=_BareShared,
    epilog=options.examples(
        "facegen network.bin input1.txt output1.txt output1.bmp",
        "facegen network.bin input1.txt output1.txt output1.bmp --device cpu --threads 4",
        "facegen input1.txt output1.txt output1.bmp",
        "mpirun -n 4 facegen network.bin input1.txt output1.txt output1.bmp --resume",
    ),
)
@click.argument("networks", metavar="[NETWORK]", nargs=-1, type=click.Path())
@click.argument("input_", metavar="INPUT", type=click.Path(allow_dash=True))
@click.argument("output", metavar="OUTPUT", type=click.Path(allow_dash=True))
@click.argument("image", metavar="IMAGE", type=click.Path())
@options.resume
@options.engine
@options.common
def command(
    networks: tuple[str, ...],
    input_: str,
    output: str,
    image: str,
    resume: bool,
    engine: dict[str, Any],
    quiet: bool,
) -> None:
    """Make a face of every latent vector of a text file.

    INPUT holds a count and 100 numbers a face; OUTPUT gets all values as text, IMAGE all faces as
    one BMP. '-' is standard input or output. The elapsed time is that of the computation alone.
    Without NETWORK, the package's own is used.
    """
    import os
    from functools import partial

    from facegen import Generator, __version__
    from facegen.cli.main import COMMANDS
    from facegen.cli.stream import Stream, resumed
    from facegen.media.bmp import grid_side
    from facegen.media.face_files import encode_faces
    from facegen.media.journal import Journal, NoJournal
    from facegen.media.standard import input_file, output_file
    from facegen.media.text import LatentReader
    from facegen.networks.files import resolve

    first = [*networks, input_][0]
    if first in COMMANDS and not os.path.exists(first):
        raise click.UsageError(f"options go after the command: facegen {first} ...")
    if len(networks) > 1:
        raise click.UsageError(f"expected 3 or 4 files, found {len(networks) + 3}")
    network = str(resolve(networks[0] if networks else None))
    inputs, outputs = {"NETWORK": network, "INPUT": input_}, {"OUTPUT": output, "IMAGE": image}
    options.check_distinct(inputs, outputs)

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=output == "-")

    generator = Generator(network, **engine)
    runner = generator.runner
    # Beside a GPU the processors are free; on the CPU they compute the next faces meanwhile.
    encode = partial(encode_faces, threads=1 if runner.device == "cpu" else runner.threads)
    say(f"facegen {__version__} on {options.device_used(runner)}")
    say(f"Network : {network} (dcgan, {os.path.getsize(network):,} bytes)")
    text_file = output_file(output)
    with LatentReader(input_file(input_)) as latents:
        count = latents.count
        say(f"Input   : {input_} ({count:,} faces)")
        journal: Journal | NoJournal = NoJournal([text_file, image])
        if resume:
            files, settings = [network, latents.name], {**generator.arithmetic, "isa": runner.isa}
            journal = Journal([text_file, image], count, CHUNK, files, settings)
            say(resumed(journal, "faces"))
        elapsed = 0.0
        if not journal.finished:
            stream = Stream(generator, encode, count, "faces", quiet)
            elapsed = _compute(latents, stream, text_file, image, journal)
        for warning in latents.warnings:
            options.warn(warning)
    side = grid_side(count)
    say(f"Output  : {output}")
    say(f"Image   : {image} ({side} x {side} faces)")
    say(f"Elapsed time : {elapsed:.6f} sec")


def _compute(
    latents: LatentReader, stream: Stream, output: str, image: str, journal: Journal | NoJournal
) -> float:
    """Write both files of the faces that are not there yet; gives the seconds of computing."""
    from facegen.media.bmp import GridWriter
    from facegen.media.text import ResultWriter

    count = latents.count
    with (
        journal,
        GridWriter(image, count, resume=journal.resume(image)) as picture,
        ResultWriter(output, count, resume=journal.resume(output)) as values,
    ):

        def write(faces: tuple[np.ndarray, np.ndarray]) -> int:
            text, pixels = faces
            values.write_text(text.data, len(pixels))
            picture.write(pixels)
            return len(pixels)

        chunks = journal.rest(latents.chunks(CHUNK))
        return stream.run(chunks, write, {output: values, image: picture}, journal)
