"""Rows of arrays, or pictures, through a network of any kind: files of its outputs, or classes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegen.engine.memory import check_memory
from facegen.engine.runner import HELD
from facegen.errors import FacegenError, FormatError
from facegen.graphs import End
from facegen.media.raw import RawWriter
from facegen.networks.graph_model import GraphModel
from facegen.numbers.floats import finite_rows
from facegen.numbers.npy import header_of
from facegen.photos.preparation import Preparation
from facegen.pictures.any_network import file_names, picture_bytes, top_classes
from facegen.pictures.items import is_folder
from facegen.pictures.sources import find
from facegen.pipeline import run_pipeline
from facegen.runs.arrays import ArrayInputs, picture_chunks
from facegen.runs.progress import Progress

NPY = ".npy"


@dataclass(frozen=True)
class Rows:
    """What goes into a network, and the network at its size.

    Attributes
    ----------
    chunks
        Some rows of each input at a time, in `layout`; read while they are taken.
    count, unit
        Of them in all, and what they are.
    files
        That are read.
    """

    model: GraphModel
    chunks: Iterator[tuple[np.ndarray, ...]]
    count: int
    unit: str
    files: Sequence[str]
    layout: str

    def name(self, row: int) -> str:
        """A row for people: "x.npy[3]", or the picture's file."""
        return self.files[row] if self.unit == "pictures" else f"{self.files[0]}[{row}]"


@contextmanager
def rows_of_arrays(model: GraphModel, files: Sequence[str], layout: str) -> Iterator[Rows]:
    """A .npy for each input; errors are those of `ArrayInputs`."""
    with ArrayInputs(files, model.inputs, layout) as arrays:
        model = model.at(*arrays.shapes)
        chunks = arrays.chunks(model.runner.chunk)
        yield Rows(model, chunks, arrays.count, "rows", files, layout)


def rows_of_pictures(
    model: GraphModel, inputs: Sequence[str], recursive: bool, prepare: Preparation, layout: str
) -> Rows:
    """A row a picture, in the order of their names; errors are those of `find`."""
    paths = [source.path for source in find(inputs, recursive).pictures]
    chunks = picture_chunks(paths, prepare, layout, model.runner.batch)
    return Rows(model, chunks, len(paths), "pictures", paths, layout)


def files_of_outputs(output: str, ends: Sequence[End]) -> dict[str, End]:
    """Path -> the output that is written there: one .npy, or one for each in a folder.

    Raises
    ------
    FacegenError
        `output` is neither, or one file for several outputs.
    """
    if output.lower().endswith(NPY):
        if len(ends) != 1:
            names = ", ".join(end.name for end in ends)
            raise FacegenError(f"{output}: is one file, and there are several outputs ({names})")
        return {output: ends[0]}
    if not is_folder(output):
        raise FacegenError(f"{output}: expected a {NPY} or a folder")
    paths = [os.path.join(output, name + NPY) for name in file_names(ends)]
    return dict(zip(paths, ends, strict=True))


@dataclass
class NotFinite:
    """The rows of an output that hold NaN or infinity: how many, and the first."""

    count: int = 0
    first: int = 0

    def add(self, finite: np.ndarray, start: int) -> None:
        """Rows from `start` on, of which `finite` are."""
        if not self.count and not finite.all():
            self.first = start + int(np.argmin(finite))
        self.count += len(finite) - int(np.count_nonzero(finite))


def write(rows: Rows, outputs: Mapping[str, End], progress: Progress) -> dict[str, NotFinite]:
    """Compute all rows, and write each output as one .npy; all appear when all is there.

    Parameters
    ----------
    outputs
        As `files_of_outputs` has them, in the order of the model's.

    Returns
    -------
    dict
        The outputs, by their paths, that hold NaN or infinity; they are written as they are.

    Raises
    ------
    OutOfMemory
        The chunks that are under way at once would take more than the machine has.
    FormatError, OSError
        As for what is read; a file cannot be written.
    """
    runner, wide = rows.model.runner, (*rows.model.inputs, *rows.model.outputs)
    each = 4 * sum(math.prod(end.shape) for end in wide)
    if rows.unit == "pictures":
        each = picture_bytes(rows.model)
    at_once = min(rows.count, HELD * runner.batch)
    unit = rows.unit if at_once > 1 else rows.unit.removesuffix("s")
    check_memory(each * at_once, f"{at_once:,} {unit} at once")
    found = {path: NotFinite() for path in outputs}
    with ExitStack() as stack:
        writers = {
            path: stack.enter_context(
                RawWriter(path, header_of((rows.count, *end.in_layout(rows.layout))))
            )
            for path, end in outputs.items()
        }
        advance = stack.enter_context(progress(rows.count, rows.unit))

        def put(results: Any) -> None:
            arrays = results if isinstance(results, tuple) else (results,)
            for (path, writer), array in zip(writers.items(), arrays, strict=True):
                found[path].add(finite_rows(array), writer.written)
                writer.write(array)
            advance(len(arrays[0]))

        run_pipeline(rows.chunks, lambda batch: rows.model(*batch, layout=rows.layout), put)
    return {path: each for path, each in found.items() if each.count}


def classes(
    rows: Rows, top: int, names: Sequence[str] | None
) -> Iterator[tuple[str, list[dict[str, Any]] | FormatError]]:
    """Each row's name, and its classes with the largest scores, or why it has none."""
    row = 0
    for chunk in rows.chunks:
        for scores in rows.model(*chunk, layout=rows.layout):
            try:
                yield rows.name(row), top_classes(rows.model, scores, top, names)
            except FormatError as error:
                yield rows.name(row), error
            row += 1
