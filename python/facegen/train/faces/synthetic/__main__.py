"""``python -m facegen.train.faces.synthetic``: a grid of faces, or a training set."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from facegen.errors import FacegenError
from facegen.files.atomic import AtomicFile
from facegen.media import pictures
from facegen.processors import count as count_processors
from facegen.train.faces.synthetic.many import render_many
from facegen.train.faces.synthetic.portrait import SIZE, Portraits


def _columns_by_rows(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    try:
        columns, rows = (int(part) for part in value.split("x"))
    except ValueError:
        raise click.BadParameter(f"expected COLUMNSxROWS, as 12x8, found {value!r}") from None
    if columns < 1 or rows < 1 or columns * rows > 10_000:
        raise click.BadParameter(f"expected 1 to 10000 faces, found {value}")
    return columns, rows


@click.command()
@click.option("--grid", callback=_columns_by_rows, help="Draw a picture of COLUMNSxROWS faces.")
@click.option("--count", type=click.IntRange(1), help="Draw so many faces into a .npy file.")
@click.option(
    "--side",
    type=click.IntRange(16, 512),
    default=SIZE,
    show_default=True,
    help="Of the pictures, in pixels.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --count: what is known of each face, as a .npy of records.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="One a processor when left out.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(
    grid: tuple[int, int] | None,
    count: int | None,
    side: int,
    labels: Path | None,
    seed: int,
    processes: int | None,
    output: Path,
) -> None:
    """Draw synthetic faces: --grid 12x8 -o faces.png, or --count 200000 -o faces.npy."""
    processes = processes or count_processors()
    start = time.perf_counter()
    try:
        if grid is not None and count is None:
            columns, rows = grid
            count = columns * rows
            if labels is not None:
                raise click.UsageError("--labels goes with --count")
            drawn = render_many(seed, count, processes, side)
            faces = np.concatenate([some.pixels for some in drawn])
            pictures.save(output, pictures.grid(faces, rows, columns))
        elif count is not None and grid is None:
            _write_arrays(output, labels, render_many(seed, count, processes, side), count, side)
        else:
            raise click.UsageError("name one of --grid and --count")
    except (FacegenError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {count} faces in {time.perf_counter() - start:.1f} s", err=True)


def _write_arrays(
    output: Path, labels: Path | None, drawn: Iterator[Portraits], count: int, side: int
) -> None:
    """A .npy file, uint8 (count, side, side, 3), written as the faces come; then their labels."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
    known = []
    done = 0
    with AtomicFile(output) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for faces in drawn:
            file.write(faces.pixels.data)
            known.append(faces.labels)
            done += len(faces.pixels)
            if sys.stderr.isatty():
                click.echo(f"\r{done} of {count} faces ", nl=False, err=True)
        if labels is not None:
            with AtomicFile(labels) as other:
                np.save(other, np.concatenate(known))
    if sys.stderr.isatty():
        click.echo(err=True)


if __name__ == "__main__":
    main()
