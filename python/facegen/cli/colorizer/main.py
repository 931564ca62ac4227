"""facegen colorizer main INPUT.bin NETWORK.bin OUTPUT.bin: lightness to colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal
from facegen.cli.shared import SharedCommand

if TYPE_CHECKING:
    import numpy as np

    from facegen.engine import Runner

CHUNK = 32  # pictures computed at a time: 8 MB of L in, 17 MB of a and b out


@click.command(
    "main",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen colorizer main input.bin network.bin output.bin",
        "facegen colorizer main input.bin network.bin output.bin --device cpu --algorithm direct",
        "facegen launch -n 4 -- facegen colorizer main input.bin network.bin output.bin",
    ),
)
@click.argument("input_", metavar="INPUT.bin", type=click.Path(allow_dash=True))
@click.argument("network", metavar="NETWORK.bin", type=click.Path())
@click.argument("output", metavar="OUTPUT.bin", type=click.Path(allow_dash=True))
@options.resume
@options.engine
@options.common
def command(
    input_: str,
    network: str,
    output: str,
    resume: bool,
    engine: dict[str, Any],
) -> None:
    """Make a and b of L.

    INPUT.bin holds 256x256 float32 values a picture, as img2bin writes them; OUTPUT.bin gets two
    planes of 256x256 a picture, a and b. '-' is standard input or output. NETWORK.bin may be any
    file of the colorizer's weights, or colorizer, the one that facegen fetch got. The elapsed time
    is that of the computation alone.
    """
    from functools import partial

    from facegen import Colorizer
    from facegen.cli.models import prepared
    from facegen.cli.raw_program import RawProgram
    from facegen.files.standard import input_file
    from facegen.media.lab_planes import LightnessReader
    from facegen.networks.files import resolve

    network = str(resolve(network))
    inputs = {"INPUT.bin": input_, "NETWORK.bin": network}
    options.check_distinct(inputs, {"OUTPUT.bin": output})
    program = RawProgram(network, input_, output, resume)
    with LightnessReader(input_file(input_)) as lightness:
        colorizer = prepared(Colorizer, network, engine)
        compute = partial(_compute, colorizer.runner)
        rate = program.run(lightness, CHUNK, colorizer, compute, _encode)
    terminal.say(f"Performance: {rate:.2f} img/s")


def _compute(runner: Runner, lightness: np.ndarray) -> np.ndarray:
    """(n, 256, 256) of L to (n, 256, 256, 2) of a and b."""
    ab: np.ndarray = runner(lightness[..., None])
    return ab


def _encode(ab: np.ndarray) -> np.ndarray:
    """(n, 256, 256, 2) as OUTPUT.bin has them: planes of little-endian float32."""
    from facegen.networks.colorizer import planar

    return planar(ab).astype("<f4", copy=False)
