"""What faces are made of: seeds, or latent vectors of a file; and their names in a manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from facegen.cached import cached_property
from facegen.files.journal import input_digest
from facegen.numbers.latents import Latents, NpyLatentReader
from facegen.numbers.text import LatentReader
from facegen.pictures.record import Input


class FaceSource(Protocol):
    """Latent vectors in order.

    Attributes
    ----------
    count
        How many.
    warnings
        Lines for people, when all are read.
    """

    @property
    def count(self) -> int: ...

    @property
    def warnings(self) -> list[str]: ...

    def chunks(self, size: int, skip: int = 0) -> Iterator[Latents]:
        """(k, latent size) float32, `size` at a time, without the first `skip` chunks."""

    def name(self, index: int) -> str:
        """What one face is of."""

    @property
    def whole(self) -> Input:
        """What all of them together are of."""


class SeedSource:
    """Seeds, in a list that is written as people write it, and what makes latents of them."""

    def __init__(self, seeds: Sequence[int], latents: Callable[[Sequence[int]], Latents]) -> None:
        self._seeds, self._latents = seeds, latents
        self.count = len(seeds)
        self.warnings: list[str] = []

    def chunks(self, size: int, skip: int = 0) -> Iterator[Latents]:
        for start in range(skip * size, self.count, size):
            yield self._latents(self._seeds[start : start + size])

    def name(self, index: int) -> str:
        return f"seed {self._seeds[index]}"

    @cached_property
    def whole(self) -> Input:
        text = str(self._seeds)
        return Input(f"seeds {text}", 0, 0, hashlib.sha256(text.encode()).hexdigest())


class MovedSource:
    """The latent vectors of another source, each changed in the same way.

    Parameters
    ----------
    change
        Of latent vectors (k, latent size).
    said
        What it is, for a manifest: other changes are said otherwise.
    """

    def __init__(self, source: FaceSource, change: Callable[[Latents], Latents], said: str) -> None:
        self._source, self._change, self._said = source, change, said
        self.count = source.count

    @property
    def warnings(self) -> list[str]:
        return self._source.warnings

    def chunks(self, size: int, skip: int = 0) -> Iterator[Latents]:
        return map(self._change, self._source.chunks(size, skip))

    def name(self, index: int) -> str:
        return f"{self._source.name(index)}, {self._said}"

    @cached_property
    def whole(self) -> Input:
        of = self._source.whole
        digest = hashlib.sha256(f"{of.sha256} {self._said}".encode()).hexdigest()
        return Input(f"{of.source}, {self._said}", of.size, of.mtime_ns, digest)


class FileSource:
    """Latent vectors of a file that is open."""

    def __init__(self, path: str, reader: LatentReader | NpyLatentReader) -> None:
        self._path, self._reader = os.path.abspath(path), reader
        self.count, self.warnings = reader.count, reader.warnings

    def chunks(self, size: int, skip: int = 0) -> Iterator[Latents]:
        return islice(self._reader.chunks(size), skip, None)

    def name(self, index: int) -> str:
        return f"{self._path}[{index}]"

    @cached_property
    def whole(self) -> Input:
        status = os.stat(self._path)
        digest = input_digest(self._path)
        return Input(self._path, status.st_size, status.st_mtime_ns, digest)
