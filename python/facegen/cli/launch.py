"""facegen launch: a command as several processes that share its work."""

from __future__ import annotations

import click

from facegen.cli import options


@click.command(
    "launch",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=options.examples(
        "facegen launch -n 4 -- facegen network.bin input.txt output.txt faces.bmp",
        "facegen launch -n 2 -- python script.py",
        "facegen launch -n 8 --hosts node1,node2 -- facegen network.bin in.txt out.txt faces.bmp",
    ),
)
@click.option(
    "-n",
    "--ranks",
    type=click.IntRange(1, 4096),
    help="How many processes; one a GPU, or one without GPUs, if not given.",
)
@click.option("--hosts", help="node1,node2: hands over to srun (in a Slurm job) or mpirun.")
@click.option("--raw", is_flag=True, help="Do not put the rank before each line of output.")
@options.common
@click.argument("command_", metavar="-- COMMAND...", nargs=-1, required=True)
def command(
    ranks: int | None, hosts: str | None, raw: bool, command_: tuple[str, ...]
) -> int:
    """Run COMMAND as ranks 0 to n - 1 on this machine, without MPI.

    Each rank gets an equal share of the processors and of the GPUs. Rank 0 reads, writes and
    prints. If another rank dies, the rest do its work; of training, which shares every batch on
    GPUs, all end, and --resume goes on. The exit code is that of rank 0.
    """
    import os
    import shutil
    import sys

    from facegen.errors import FacegenError
    from facegen.parallel.launch import default_ranks, hand_over, launch

    words = [sys.executable, "-m", "facegen"] if command_[0] == "facegen" else [command_[0]]
    words += command_[1:]
    if shutil.which(words[0]) is None:
        raise FacegenError(f"{words[0]}: no such program")
    count = ranks or default_ranks()
    if hosts is not None:
        words = hand_over(words, count, hosts.split(","), os.environ)
        if shutil.which(words[0]) is None:
            raise FacegenError(f"--hosts takes {words[0]}, which is not there")
        os.execvp(words[0], words)
    return launch(words, count, raw=raw)
