"""The course's programs from one bare file to another: pix2pix, and colorizer main."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facegen.files.standard import output_file
from facegen.media.raw import RawReader, RawWriter
from facegen.networks.model import Model
from facegen.runs.progress import Progress
from facegen.runs.stream import Stream, journal_of


class Written(NamedTuple):
    """What a `BareRun` has done."""

    pictures: int  # that the output holds
    new: int  # of those, made by this run
    seconds: float  # of computing


class BareRun:
    """All pictures of a bare file computed, and the bytes of the results written.

    Parameters
    ----------
    pictures
        Of the input.
    output
        A file, or '-'.
    model
        What computes.
    compute, encode
        Of a chunk of pictures its results, and of these the array whose bytes are written, if that
        is another.
    network
        The file of the weights, where the run is to be resumed if it is killed; None where not.
    warm_up
        `Runner.warm_up` for what `compute` does.

    Attributes
    ----------
    journal
        How far an earlier run came.
    """

    def __init__(
        self,
        pictures: RawReader,
        output: str,
        model: Model,
        compute: Callable[[np.ndarray], np.ndarray],
        encode: Callable[[np.ndarray], np.ndarray] | None,
        network: str | None,
        warm_up: Callable[[int | None], None],
    ) -> None:
        self._warm_up = warm_up
        self._pictures, self._path = pictures, output_file(output)
        self._compute, self._encode = compute, encode
        self._chunk = model.runner.chunk
        inputs = None if network is None else [network, pictures.name]
        self.journal = journal_of([self._path], pictures.count, model, inputs)

    def run(self, progress: Progress) -> Written:
        """Do what is not there yet."""
        journal, path = self.journal, self._path
        there = journal.done
        if journal.finished:
            return Written(there, 0, 0.0)
        stream = Stream(self._compute, self._encode, self._pictures.count, "img", progress)
        with journal, RawWriter(path, resume=journal.resume(path)) as file:
            total = self._pictures.count
            self._warm_up(None if total is None else total - there)
            chunks = journal.rest(self._pictures.chunks(self._chunk))
            seconds = stream.run(chunks, file.write, {path: file}, journal)
        return Written(file.written, file.written - there, seconds)
