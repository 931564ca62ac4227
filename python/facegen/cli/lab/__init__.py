"""facegen lab EXPERIMENT: what layers cost, and what they take on this machine; a file each."""

from __future__ import annotations

import click

from facegen.cli import options
from facegen.cli.lazy import LazyGroup

EXPERIMENTS = {
    "conv": "Measure a convolution by every algorithm.",
    "cost": "Count weights, multiply-adds, maps and receptive fields.",
    "gemm": "Measure products of matrices.",
    "precision": "Say how far dot products are off, by format.",
    "threads": "Measure how much faster more threads are.",
    "bus": "Find the bottleneck between disk and network.",
}


@click.group(
    "lab",
    cls=LazyGroup,
    package="facegen.cli.lab",
    summaries=EXPERIMENTS,
    subcommand_metavar="EXPERIMENT [ARGS]...",
    epilog=options.examples(
        "facegen lab conv --size 56x56 --channels 64 --kernel 3",
        'facegen lab cost "3x3xC x3" "7x7xC"',
        "facegen lab cost vgg16 --plot vgg16.png",
        "facegen lab gemm --size 256,512,1024",
    ),
)
def command() -> None:
    """Experiments with layers of neural networks, on paper and on this machine.

    Each has a help of its own with examples, prints a table, and takes --json FILE for all of its
    numbers, --plot FILE for a picture, --quiet, --verbose and --debug.
    """
