"""Where results go: a folder with its manifest, or one file; and what is there already."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Protocol

from facegen.errors import FacegenError
from facegen.files.atomic import AtomicFile, put
from facegen.files.standard import is_stream, output_file
from facegen.pictures.items import Item
from facegen.pictures.manifest import Manifest
from facegen.pictures.record import Input
from facegen.pictures.report import Outcome
from facegen.pictures.task import Made


class Results(Protocol):
    """Writes results, and knows which are finished."""

    def finished(self, items: Sequence[Item], settings: str) -> dict[Item, Outcome]:
        """Items whose results are there and need nothing.

        Raises
        ------
        FacegenError
            A file has the name of a result and is none of ours, or a link leads elsewhere.
        """

    def write(self, made_of: Input, settings: str, made: Made) -> tuple[str, ...]:
        """Write the files made of one item, all complete or none; gives the names of all."""

    def close(self) -> None:
        """No more results follow."""


class FolderResults:
    """Results with a manifest beside them: made again where anything that they depend on changed.

    Parameters
    ----------
    folder
        The folder of results.
    overwrite
        Do all items anew, whatever is there.
    share
        As for `Manifest`.
    sources
        Pictures that other shares read, which stay as those of the items do.
    """

    def __init__(
        self,
        folder: str,
        overwrite: bool,
        share: tuple[int, int] = (0, 1),
        sources: Iterable[str] = (),
    ) -> None:
        self._folder, self._overwrite = folder, overwrite
        self._manifest = Manifest(folder, share)
        self._manifest.keep(sources)
        self._sources: set[str] = set()  # the pictures of this run
        self._places: dict[str, str] = {}  # in this run: result -> the picture that has it

    def finished(self, items: Sequence[Item], settings: str) -> dict[Item, Outcome]:
        self._manifest.keep(item.source for item in items)
        self._sources = {os.path.abspath(item.source) for item in items}
        for item in items:
            for path in item.outputs:
                self._manifest.check_place(path)
                # What is announced has its place, whichever picture is ready first.
                self._places.setdefault(path, os.path.abspath(item.source))
        found = {} if self._overwrite else {i: self._finished(i, settings) for i in items}
        return {item: outcome for item, outcome in found.items() if outcome is not None}

    def _finished(self, item: Item, settings: str) -> Outcome | None:
        there = [path for path in item.outputs if os.path.lexists(path)]
        records = [self._manifest.known(path) for path in there]
        fresh = bool(there) and len(there) == len(item.outputs)
        for path, record in zip(there, records, strict=True):
            same = record.input.unchanged(item.source)
            if not same and os.path.abspath(item.source) != record.input.source:
                raise FacegenError(
                    f"{path}: was made of {record.input.source}, not of {item.source} "
                    "(--overwrite replaces it)"
                )
            fresh &= same and record.settings == settings and self._manifest.complete(record)
        if not fresh:
            return None
        outputs = tuple(os.path.join(self._folder, name) for name in records[0].outputs)
        return Outcome(item.source, "skipped", outputs, facts=records[0].facts)

    def write(self, made_of: Input, settings: str, made: Made) -> tuple[str, ...]:
        for path in made.files:  # also of those that were not announced
            first = self._places.setdefault(path, made_of.source)
            if not self._overwrite and os.path.lexists(path):
                before = self._manifest.known(path).input.source
                first = before if before in self._sources else first
            if first != made_of.source:
                raise FacegenError(f"{path}: would be a result of {first} and of {made_of.source}")
        self._manifest.write(made_of, settings, made)
        return tuple(made.files)

    def close(self) -> None:
        self._manifest.close()


class OneResult:
    """A single file, or standard output: replaced with `overwrite` alone, without a manifest.

    Parameters
    ----------
    place
        As it was named, whatever extension its item gives it; None where there is nothing but
        facts.
    """

    def __init__(self, place: str | None, overwrite: bool) -> None:
        self._place, self._overwrite = place, overwrite

    def finished(self, items: Sequence[Item], settings: str) -> dict[Item, Outcome]:
        if self._place is None or is_stream(self._place):
            return {}
        if os.path.isfile(self._place) and not self._overwrite:
            raise FacegenError(f"{self._place}: exists (--overwrite replaces it)")
        folder = os.path.dirname(self._place) or "."
        if not os.path.isdir(folder):
            raise FacegenError(f"{self._place}: there is no folder {folder}")
        return {}

    def write(self, made_of: Input, settings: str, made: Made) -> tuple[str, ...]:
        assert self._place is not None
        (data,) = made.files.values()
        with AtomicFile(output_file(self._place)) as file:
            put(data, file)
        return (self._place,)

    def close(self) -> None:
        pass
