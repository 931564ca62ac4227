"""facegen colorizer genans PICTURE... OUT.bin: the answer, by PyTorch."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.terminal import counted


@click.command(
    "genans",
    epilog=options.examples(
        "facegen colorizer genans -n network.bin robot.png answer.bin",
        "facegen colorizer genans -n network.bin --double list.txt answer.bin",
    ),
)
@click.argument("pictures", metavar="LIST|PICTURE...", nargs=-1, required=True, type=click.Path())
@click.argument("out", metavar="OUT.bin", type=click.Path(allow_dash=True))
@options.network_of("the one that facegen fetch colorizer got")
@click.option("--double", is_flag=True, help="Compute in float64.")
@options.common
def command(pictures: tuple[str, ...], out: str, network: str, double: bool) -> None:
    """Compute a and b of pictures with PyTorch's own layers, on the CPU.

    OUT.bin is to main's OUTPUT.bin what an answer is to a result: compare them with compbin.
    """
    from facegen.cli.colorizer.lists import pictures_of
    from facegen.cli.progress import progress
    from facegen.networks.colorizer import COLORIZER
    from facegen.networks.eccv16 import Eccv16
    from facegen.networks.files import read, resolve
    from facegen.runs.lab_files import write_answers

    paths = pictures_of(pictures)
    network = str(resolve(network or COLORIZER.name))
    inputs = {f"picture {path}": path for path in [*pictures, *paths]} | {"--network": network}
    options.check_distinct(inputs, {"OUT.bin": out})
    _, tensors = read(network, [COLORIZER])
    model = Eccv16(tensors, "float64" if double else "float32")
    write_answers(paths, model.predict_ab, out, progress)
    terminal.say(f"{out}: answers for {counted(len(paths), 'picture')}")
