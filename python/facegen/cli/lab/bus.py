"""facegen lab bus: which stage between the disk and the network is the bottleneck."""

from __future__ import annotations

import os

import click

from facegen.cli import options, terminal
from facegen.cli.lab import words
from facegen.files.standard import is_stdout

_FORMATS = ("jpg", "png", "bmp")


def _check_folder(folder: str) -> None:
    """Refuse, before anything is measured, one that is not there or takes no files."""
    from facegen import FacegenError
    from facegen.files.atomic import check_folder

    if not os.path.isdir(folder):
        raise FacegenError(f"{folder}: there is no such folder")
    check_folder(folder)


@click.command(
    "bus",
    epilog=options.examples(
        "facegen lab bus",
        "facegen lab bus --network resnet18 --size 1080x1920 --images 16",
        "facegen lab bus --format png --folder /mnt/disk --plot bus.png",
        "facegen lab bus --device cuda --images 256 --json bus.json",
    ),
)
@click.option(
    "-n",
    "--network",
    default="squeezenet-torchvision",
    show_default=True,
    help="One of facegen init that takes pictures; its weights are seeded.",
)
@click.option(
    "--size", type=words.Size(), default="375x500", show_default=True, help="Of the pictures."
)
@click.option("--images", type=click.IntRange(1, 100_000), default=32, show_default=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="jpg",
    show_default=True,
    help="Of the files.",
)
@click.option("--folder", type=click.Path(), help="Whose disk is read; the system's temporary one.")
@click.option(
    "--device", default="auto", show_default=True, help="Of the network: auto, cpu, cuda, cuda:0."
)
@words.threads
@words.seconds
@options.json_report
@words.plot
@options.overwrite
@options.common
def command(
    network: str, size: tuple[int, int], images: int, form: str, folder: str | None, device: str,
    threads: int | None, seconds: float, json_: str | None, plot: str | None, overwrite: bool,
) -> None:  # fmt: skip
    """Measure every stage that feeds a network, each by itself, in pictures a second.

    \b
    disk            files read one after another; the system's cache of them is emptied first
    decode          the file's bytes to pixels
    prepare         pixels to the network's input: cut, resized, scaled
    copy in memory  the inputs, once
    to the device   over the bus, where the network runs on a GPU
    network         its computing (on a GPU with the way there and back)

    Stages of a good program overlap: all of it is then as fast as its slowest stage.
    """
    words.check_outputs(json_, plot, overwrite)
    if folder is not None:
        _check_folder(folder)
    chosen = words.thread_count(threads)
    words.check_threads(chosen)
    from facegen import FacegenError
    from facegen.lab import bus
    from facegen.lab.machine import describe
    from facegen.networks import NETWORKS

    if network not in NETWORKS or NETWORKS[network].prepare is None:
        names = [name for name in NETWORKS if NETWORKS[name].prepare is not None]
        raise FacegenError(f"{network}: expected a network of {', '.join(names)}")
    known = NETWORKS[network]
    stages = bus.measure(
        known, known.initial_weights(0), images, size, f".{form}", device, chosen, seconds, folder
    )
    slowest = min(stages, key=lambda stage: stage.rate)
    machine = describe(chosen)
    report = {
        "machine": machine,
        "network": network,
        "pictures": images,
        "size": list(size),
        "format": form,
        "bottleneck": slowest.name,
        "stages": [
            {
                "stage": stage.name,
                **words.times_report(stage.times),
                "pictures_per_second": stage.rate,
                "megabytes_per_second": stage.megabytes,
                "note": stage.note,
            }
            for stage in stages
        ],
    }
    options.write_report(json_, report)
    if plot:
        from facegen.lab.plots import rates

        rates.draw_stages(stages, plot)
    if is_stdout(json_):
        return
    words.say_machine(machine)
    terminal.say(f"{images} pictures of {size[0]}x{size[1]} as {form}, {network}")
    rows = [
        [
            stage.name,
            "<- the slowest" if stage is slowest else stage.note,
            f"{stage.rate:,.1f}",
            words.spread_cell(stage.times),
            f"{stage.megabytes:,.1f}",
            f"{1e3 / stage.rate:.2f}",
        ]
        for stage in stages
    ]
    headers = ["stage", "", "pictures/s", "spread", "MB/s", "ms each"]
    words.say_table(headers, rows, left=2)
    alone = sum(1 / stage.rate for stage in stages)
    terminal.say(
        f"one after another {1 / alone:,.1f} pictures/s; overlapped at most {slowest.rate:,.1f}"
    )
