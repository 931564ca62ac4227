"""facegen colorizer main INPUT.bin NETWORK.bin OUTPUT.bin: lightness to colours."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal
from facegen.cli.shared import SharedCommand


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
@options.count_upload
@options.engine
@options.common
def command(
    input_: str,
    network: str,
    output: str,
    resume: bool,
    count_upload: bool,
    engine: dict[str, Any],
) -> None:
    """Make a and b of L.

    INPUT.bin holds 256x256 float32 values a picture, as img2bin writes them; OUTPUT.bin gets two
    planes of 256x256 a picture, a and b. '-' is standard input or output. NETWORK.bin may be any
    file of the colorizer's weights, or colorizer, the one that facegen fetch got. The elapsed time
    is that of the computation alone.
    """
    from facegen import Colorizer
    from facegen.cli.bare_program import run_shown, say_model
    from facegen.cli.models import prepared
    from facegen.files.standard import input_file
    from facegen.media.lab_planes import LightnessReader
    from facegen.networks.files import resolve
    from facegen.runs.bare_files import BareRun
    from facegen.runs.lab_files import as_planes

    network = str(resolve(network))
    inputs = {"INPUT.bin": input_, "NETWORK.bin": network}
    options.check_distinct(inputs, {"OUTPUT.bin": output})
    with LightnessReader(input_file(input_)) as lightness:
        colorizer = prepared(Colorizer, network, engine)
        say_model(network, colorizer)
        resumed_of = network if resume else None
        compute, warm_up = colorizer.ab, colorizer.runner.warm_up
        run = BareRun(lightness, output, colorizer, compute, as_planes, resumed_of, warm_up)
        upload = options.uploading(colorizer.runner, count_upload)
        rate = run_shown(run, input_, output, resume, upload)
    terminal.say(f"Performance: {rate:.6f} img/s")
