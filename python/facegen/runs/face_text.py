"""The course's faces: latent vectors of a text to all values as text and all faces as one BMP."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from facegen.files.standard import output_file
from facegen.media.bmp import GridWriter
from facegen.media.face_files import encode_all, encode_pieces
from facegen.networks.dcgan import Generator
from facegen.numbers.text import LatentReader, ResultWriter
from facegen.runs.progress import Progress
from facegen.runs.stream import Stream, journal_of


class FaceTextRun:
    """Both files of all faces.

    Parameters
    ----------
    generator
        What computes.
    latents
        Of the input.
    output, image
        Files, or '-' for one of them.
    network
        The file of the weights, where the run is to be resumed if it is killed; None where not.

    Attributes
    ----------
    journal
        How far an earlier run came.
    """

    def __init__(
        self,
        generator: Generator,
        latents: LatentReader,
        output: str,
        image: str,
        network: str | None,
    ) -> None:
        self._generator, self._latents = generator, latents
        self._text, self._image = output_file(output), output_file(image)
        inputs = None if network is None else [network, latents.name]
        self.journal = journal_of([self._text, self._image], latents.count, generator, inputs)

    def run(self, progress: Progress) -> float:
        """Make the faces that are not there yet; gives the seconds of computing."""
        journal, runner, count = self.journal, self._generator.runner, self._latents.count
        if journal.finished:
            return 0.0
        # Beside a GPU the processors are free. On the CPU text takes turns with the faces, on all
        # of them: where one thread makes text beside others that compute, each of their loops waits
        # for the one that it has put off its processor.
        on_gpu = runner.device != "cpu"
        encode = partial(encode_pieces if on_gpu else encode_all, threads=runner.threads)
        stream = Stream(self._generator, encode, count, "faces", progress, beside=on_gpu)
        with (
            journal,
            GridWriter(self._image, count, resume=journal.resume(self._image)) as picture,
            ResultWriter(self._text, count, resume=journal.resume(self._text)) as values,
        ):

            def write(pieces: Iterable[tuple[np.ndarray, np.ndarray]]) -> int:
                written = 0
                for text, pixels in pieces:
                    values.write_text(text.data, len(pixels))
                    picture.write(pixels)
                    written += len(pixels)
                return written

            runner.warm_up(count - journal.done)
            chunks = journal.rest(self._latents.chunks(runner.chunk))
            return stream.run(chunks, write, {self._text: values, self._image: picture}, journal)
