"""The course's programs from one bare file to another: pix2pix, and colorizer main."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facegen import __version__
from facegen.cli import options, terminal
from facegen.cli.stream import Stream, resumed
from facegen.cli.terminal import counted
from facegen.files.journal import Journal, NoJournal
from facegen.files.standard import output_file
from facegen.media.raw import RawReader, RawWriter
from facegen.networks.model import Model


@dataclass(frozen=True)
class RawProgram:
    """What was asked for on the command line.

    Attributes
    ----------
    network
        File of the model's weights.
    input_, output
        Files, or '-'.
    resume
        Keep what is done if the run is killed, and go on from there.
    """

    network: str
    input_: str
    output: str
    resume: bool

    def run(
        self,
        pictures: RawReader,
        chunk: int,
        model: Model,
        compute: Callable[[np.ndarray], np.ndarray],
        encode: Callable[[np.ndarray], np.ndarray],
    ) -> float:
        """Compute all pictures, write the bytes of the results, and say what was done.

        Parameters
        ----------
        pictures
            Of the input, `chunk` of them at a time.
        model
            What computes.
        compute, encode
            Of a chunk its results, and of these the array whose bytes are written.

        Returns
        -------
        float
            Pictures a second.
        """
        terminal.say(f"facegen {__version__} on {options.device_used(model.runner)}")
        size = os.path.getsize(self.network)
        terminal.say(f"Network : {self.network} ({model.network.name}, {size:,} bytes)")
        path = output_file(self.output)
        journal: Journal | NoJournal = NoJournal([path])
        if self.resume:
            files = [self.network, pictures.name]
            settings = {**model.arithmetic, "isa": model.runner.isa}
            journal = Journal([path], pictures.count or 0, chunk, files, settings)
            terminal.say(resumed(journal, "picture"))
        there = total = journal.done
        seconds = 0.0
        if not journal.finished:
            stream = Stream(compute, encode, pictures.count, "img")
            with journal, RawWriter(path, resume=journal.resume(path)) as file:
                chunks = journal.rest(pictures.chunks(chunk))
                seconds = stream.run(chunks, file.write, {path: file}, journal)
            total = file.written
        terminal.say(f"Input   : {self.input_} ({counted(total, 'picture')})")
        terminal.say(f"Output  : {self.output}")
        terminal.say(f"Elapsed time : {seconds:.6f} sec")
        return (total - there) / seconds if seconds else 0.0
