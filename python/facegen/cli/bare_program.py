"""What the course's programs on bare files say: pix2pix, and colorizer main."""

from __future__ import annotations

import os

from facegen import __version__
from facegen.cli import options, terminal
from facegen.cli.progress import progress, resumed
from facegen.cli.terminal import counted
from facegen.networks.model import Model
from facegen.runs.bare_files import BareRun


def say_model(network: str, model: Model) -> None:
    """What computes, and the file of its weights."""
    terminal.say(f"facegen {__version__} on {options.device_used(model.runner)}")
    size = os.path.getsize(network)
    terminal.say(f"Network : {network} ({model.network.name}, {size:,} bytes)")


def run_shown(run: BareRun, input_: str, output: str, resume: bool, upload: float) -> float:
    """Run it, and say what was done; gives pictures a second.

    `upload`: seconds that count as well.
    """
    if resume:
        terminal.say(resumed(run.journal, "picture"))
    written = run.run(progress)
    terminal.say(f"Input   : {input_} ({counted(written.pictures, 'picture')})")
    terminal.say(f"Output  : {output}")
    seconds = written.seconds + upload
    terminal.say(f"Elapsed time : {seconds:.6f} sec")
    return written.new / seconds if seconds else 0.0
