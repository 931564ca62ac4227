"""facegen NETWORK INPUT OUTPUT IMAGE: the course's program."""

from __future__ import annotations

import os
from typing import Any

import click

from facegen.cli import options, terminal
from facegen.cli.shared import SharedCommand
from facegen.cli.terminal import counted

FILES = "[NETWORK] INPUT OUTPUT IMAGE"


class _BareShared(options.BareCommand, SharedCommand):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        hint = _no_command(tuple(args))
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:  # perhaps one of the command that was meant
            if not hint:
                raise
            raise click.UsageError(error.format_message().rstrip(".") + hint, ctx) from None


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
@click.argument("files", metavar=FILES, nargs=-1, type=click.Path(allow_dash=True))
@options.resume
@options.count_upload
@options.engine
@options.common
def command(
    files: tuple[str, ...],
    resume: bool,
    count_upload: bool,
    engine: dict[str, Any],
) -> None:
    """Make a face of every latent vector of a text file.

    INPUT holds a count and 100 numbers a face; OUTPUT gets all values as text, IMAGE all faces as
    one BMP. '-' is standard input, or standard output for one of the two; what else is printed
    then goes to stderr. The elapsed time is that of the computation alone. Without NETWORK, the
    package's own is used.
    """
    from facegen import Generator, __version__
    from facegen.cli.models import prepared
    from facegen.cli.progress import progress, resumed
    from facegen.files.standard import input_file
    from facegen.media.bmp import grid_side
    from facegen.networks.files import resolve
    from facegen.numbers.text import LatentReader
    from facegen.runs.face_text import FaceTextRun

    named, input_, output, image = _taken(files)
    network = str(resolve(named))
    inputs, outputs = {"NETWORK": network, "INPUT": input_}, {"OUTPUT": output, "IMAGE": image}
    options.check_distinct(inputs, outputs)

    generator = prepared(Generator, network, engine)
    _check_sizes(network, generator)
    terminal.say(f"facegen {__version__} on {options.device_used(generator.runner)}")
    kind = generator.network.name
    terminal.say(f"Network : {network} ({kind}, {os.path.getsize(network):,} bytes)")
    with LatentReader(input_file(input_)) as latents:
        count = latents.count
        terminal.say(f"Input   : {input_} ({counted(count, 'face')})")
        run = FaceTextRun(generator, latents, output, image, network if resume else None)
        if resume:
            terminal.say(resumed(run.journal, "face"))
        elapsed = run.run(progress) + options.uploading(generator.runner, count_upload)
        for warning in latents.warnings:
            terminal.warn(warning)
    side = grid_side(count)
    terminal.say(f"Output  : {output}")
    terminal.say(f"Image   : {image} ({side} x {side} faces)")
    terminal.say(f"Elapsed time : {elapsed:.6f} sec")


def _check_sizes(network: str, generator: Any) -> None:
    """Refuse faces of other sizes than the course's files have."""
    from facegen import FormatError
    from facegen.networks.dcgan import IMAGE, LATENT

    found = generator.latent_size, generator.image_shape
    if found != (LATENT, IMAGE):
        raise FormatError(
            f"{network}: expected faces {IMAGE} of {LATENT} numbers, which OUTPUT and IMAGE are "
            f"of; found {found[1]} of {found[0]} (facegen generate writes them)"
        )


def _taken(files: tuple[str, ...]) -> tuple[str | None, str, str, str]:
    """NETWORK (None where it is left out), INPUT, OUTPUT and IMAGE.

    Raises
    ------
    UsageError
        One is missing or too many, or a name cannot be that of what it is taken for.
    """
    from facegen.cli.main import COMMANDS

    if files and files[0] in COMMANDS and not os.path.exists(files[0]):
        raise click.UsageError(f"options go after the command: facegen {files[0]} ...")
    if len(files) > 4:
        raise click.UsageError(f"expected {FILES}, found {len(files)} names{_no_command(files)}")
    network = _network_in(files[0]) if 0 < len(files) < 4 else None
    names = ["NETWORK", "INPUT", "OUTPUT", "IMAGE"][0 if network or len(files) == 4 else 1 :]
    if len(files) < len(names):
        taken = [f"{name} {file}" for name, file in zip(names, files, strict=False)]
        if network:
            taken[0] += f" (which holds a {network} network)"
        missing = names[len(files) :]
        found = f"found {', '.join(taken)}; " if taken else ""
        hint = "" if network else _no_command(files)
        raise click.UsageError(f"expected {FILES}, {found}{' and '.join(missing)} missing{hint}")
    input_, output, image = files[-3:]
    if _kind(output) is not None:
        raise click.UsageError(
            f"OUTPUT {output}: is named as a picture, and gets text; expected {FILES}"
        )
    if _kind(image) not in (None, "BMP", "DIB"):
        raise click.UsageError(
            f"IMAGE {image}: is written as BMP, expected a name in .bmp (for PNG, facegen generate "
            f"--latents {input_} -o {os.path.splitext(image)[0]}.png)"
        )
    return (files[0] if len(files) == 4 else None), input_, output, image


def _no_command(files: tuple[str, ...]) -> str:
    """A hint to add where the first name is a word, as a command's is, and no file has it."""
    word = files[0] if files else ""
    if len(word) < 3 or not word.isalpha() or os.path.exists(word):
        return ""
    return f"; no command is called {word} (facegen help lists them)"


def _network_in(path: str) -> str | None:
    """The kind of network that is in a file; None where it holds none."""
    from facegen import FacegenError
    from facegen.loading import read_network

    try:
        return read_network(path)[0].name
    except (FacegenError, OSError):
        return None


def _kind(name: str) -> str | None:
    """The format of pictures with a file's extension; None where it is no picture's."""
    extension = os.path.splitext(name)[1].lower()
    if extension in ("", ".txt"):
        return None
    if extension == ".bmp":
        return "BMP"

    # All that Pillow knows takes it a tenth of the time in which a few faces are made.
    from PIL import Image

    from facegen.photos import heif

    return "HEIF" if extension in heif.EXTENSIONS else Image.registered_extensions().get(extension)
