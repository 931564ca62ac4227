"""facegen pix2pix NETWORK INPUT.rgb OUTPUT.rgb: pictures from pictures."""

from __future__ import annotations

import click

from facegen.cli import options

CHUNK = 64  # pictures computed at a time: 50 MB of values in, as many out


@click.command(
    "pix2pix",
    epilog=options.examples(
        "facegen pix2pix network.bin input.rgb output.rgb",
        "facegen pix2pix edges2cats_AtoB.pict input.rgb output.rgb --device cpu --threads 4",
    ),
)
@click.argument("network", metavar="NETWORK", type=click.Path())
@click.argument("input_", metavar="INPUT", type=click.Path(allow_dash=True))
@click.argument("output", metavar="OUTPUT", type=click.Path(allow_dash=True))
@options.device
@options.common
def command(
    network: str,
    input_: str,
    output: str,
    device: str,
    threads: int | None,
    precision: str,
    quiet: bool,
) -> None:
    """Make a picture of every picture of a .rgb file.

    NETWORK is a file of pix2pix weights: network.bin, .pict, .safetensors or .npz. INPUT and OUTPUT
    hold pictures of 256x256 RGB, 196,608 bytes each, one after another; '-' is standard input or
    output. The elapsed time is that of the computation alone.
    """
    import numpy as np

    from facegen import Pix2Pix, __version__, parallel
    from facegen.cli.progress import progress
    from facegen.media.atomic import AtomicFile
    from facegen.media.pixels import from_uint8, to_uint8
    from facegen.media.rgb import RgbReader

    options.check_distinct({"NETWORK": network, "INPUT": input_}, {"OUTPUT": output})

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=output == "-")

    done = 0
    with RgbReader("/dev/stdin" if input_ == "-" else input_) as pictures:
        model = Pix2Pix(network, device=device, threads=threads, precision=precision)
        runner = model.runner
        say(f"facegen {__version__} on {runner.device} ({runner.isa}, {runner.threads} threads)")
        with (
            AtomicFile("/dev/stdout" if output == "-" else output) as file,
            progress(pictures.count or 0, "img", quiet or pictures.count is None) as advance,
        ):

            def write(results: np.ndarray) -> None:
                nonlocal done
                file.write(results.data)
                done += len(results)
                advance(len(results))

            inputs = map(from_uint8, pictures.chunks(CHUNK))
            elapsed = parallel.run(inputs, runner, write, to_uint8)
    say(f"Input   : {input_} ({done:,} pictures)")
    say(f"Output  : {output}")
    say(f"Elapsed time : {elapsed:.6f} sec")
    say(f"Throughput : {done / elapsed:.2f} img / sec")
