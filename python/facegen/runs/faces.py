"""Faces of seeds or latent vectors: one file a face, one .npy of floats, or one picture of all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from facegen.cached import cached_property
from facegen.files.journal import Journal, NoJournal, forget
from facegen.media import pictures
from facegen.media.face_files import FaceFiles, as_values, encode_each
from facegen.media.raw import RawWriter
from facegen.networks.dcgan import Generator
from facegen.numbers import npy
from facegen.numbers.latents import LatentWriter
from facegen.numbers.pixels import to_uint8
from facegen.pictures.record import Input
from facegen.pictures.task import settings_of
from facegen.runs.face_results import FaceResults, of_latent
from facegen.runs.face_sources import FaceSource
from facegen.runs.progress import Progress
from facegen.runs.stream import Stream


@dataclass(frozen=True)
class FaceRun:
    """A run that was found to be in order.

    Attributes
    ----------
    grid
        (columns, rows) that were asked for.
    save_latents
        Where latent vectors are written too.
    share
        As for `FaceResults`.
    resume
        Keep what is finished, and note what will be.
    progress, on_ranks
        As for `Stream`.
    """

    source: FaceSource
    files: FaceFiles
    generator: Generator
    grid: tuple[int, int] | None
    save_latents: str | None
    share: tuple[int, int]
    resume: bool
    progress: Progress
    on_ranks: bool

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What faces depend on besides the latent vectors."""
        return settings_of("generate", self.generator, grid=self.grid)

    @cached_property
    def results(self) -> FaceResults:
        return FaceResults(self.files.folder, self.settings, self.share)

    def run(self) -> int:
        """Make the faces; gives how many were there already."""
        with closing(self.results):
            return self._run()

    def _run(self) -> int:
        if self.files.one_a_face:
            return self._one_a_face()
        if self._finished(self.files.paths[0]):
            forget(self.files.paths)  # a run may have been killed when it had made all of them
            if not self._finished(self.save_latents):
                with self._latents() as read:
                    deque(read(0), maxlen=0)  # all of them, for nothing but to be written
            return self.source.count
        return self._values() if self.files.values else self._picture()

    def _one_a_face(self) -> int:
        """Files appear one by one; the manifest knows of each what it was made of."""
        todo: deque[tuple[str, Input]] = deque()  # the faces that are being made, in order
        there = 0  # found finished, so far
        counted = 0  # of those, told to the progress

        def missing(chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            nonlocal there
            places = iter(range(self.source.count))
            for chunk in chunks:
                rows = []
                for row, place in zip(range(len(chunk)), places, strict=False):
                    path = self.files.paths[place]
                    made_of = of_latent(self.source.name(place), chunk[row])
                    if self.resume and self.results.finished(path, made_of):
                        there += 1
                    else:
                        todo.append((path, made_of))
                        rows.append(row)
                if rows:
                    yield chunk[rows]

        def write(encoded: list[bytes]) -> int:
            nonlocal counted
            for data in encoded:
                self.results.write(*todo.popleft(), data)
            found, counted = there - counted, there
            return found + len(encoded)

        with self._latents() as read:
            encode = partial(encode_each, self.files.paths[0])
            self._stream(encode).run(missing(read(0)), write, {}, NoJournal([]))
        return there

    def _values(self) -> int:
        """A .npy; the journal knows how far it has come, and the manifest when it is finished."""
        (path,), count = self.files.paths, self.source.count
        journal: Journal | NoJournal = NoJournal([path])
        if self.resume:
            isa, source = self.generator.runner.isa, self.source.whole.sha256
            settings = {**self.settings, "isa": isa, "source": source}
            chunk = self.generator.runner.chunk
            journal = Journal([path], count, chunk, [], settings, stays=False)
        there = journal.done
        header = npy.header_of((count, *self.generator.image_shape))
        with (
            self._latents() as read,
            journal,
            RawWriter(path, header, resume=journal.resume(path)) as values,
        ):
            chunks = read(journal.chunks)
            self._stream(as_values).run(chunks, values.write, {path: values}, journal)
            if self.resume:
                self.results.note(path, self.source.whole, values.synchronize())
        return there

    def _picture(self) -> int:
        """One picture, in memory: a run that ends before its end leaves nothing of it."""
        assert self.files.grid is not None
        (columns, rows), (path,) = self.files.grid, self.files.paths
        tiles: list[np.ndarray] = []

        def keep(pixels: np.ndarray) -> int:
            tiles.append(pixels)
            return len(pixels)

        with self._latents() as read:
            self._stream(to_uint8).run(read(0), keep, {}, NoJournal([]))
            picture = pictures.grid(np.concatenate(tiles), rows, columns)
            if self.resume:
                self.results.write(path, self.source.whole, pictures.encode(path, picture))
            else:
                pictures.save(path, picture)
        return 0

    def _finished(self, path: str | None) -> bool:
        """An output of all faces together is there, or not wanted."""
        if path is None:
            return True
        return self.resume and self.results.finished(path, self.source.whole)

    @contextmanager
    def _latents(self) -> Iterator[Callable[[int], Iterator[np.ndarray]]]:
        """Give what reads the source without so many chunks.

        All of them are written where --save-latents asks for it; anew at every attempt, which costs
        little beside the faces.
        """
        path, chunk = self.save_latents, self.generator.runner.chunk
        if path is None or self._finished(path):
            yield partial(self.source.chunks, chunk)
            return
        with LatentWriter(path, self.source.count, self.generator.latent_size) as writer:

            def written(skip: int) -> Iterator[np.ndarray]:
                return islice(map(write, self.source.chunks(chunk)), skip, None)

            def write(latents: np.ndarray) -> np.ndarray:
                writer.write(latents)
                return latents

            yield written
            if self.resume:
                self.results.note(path, self.source.whole, writer.synchronize())

    def _stream(self, encode: Callable[[np.ndarray], Any]) -> Stream:
        count = self.source.count
        return Stream(self.generator, encode, count, "faces", self.progress, self.on_ranks)
