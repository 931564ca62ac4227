"""Pictures to the colorizer's bare files, and back: lightness out, colours in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from facegen.files.atomic import AtomicFile
from facegen.files.standard import output_file
from facegen.media import pictures as picture_files
from facegen.media.colorization import network_lightness, with_colours
from facegen.media.lab_planes import AbReader
from facegen.networks.colorizer import planar
from facegen.photos.kinds import opened
from facegen.pipeline import run_pipeline
from facegen.runs.progress import Progress
from facegen.shares import chunks

ANSWERS_AT_ONCE = 4  # pictures that PyTorch, which keeps all maps of a layer, computes together


def write_lightness(paths: Sequence[str], output: str, progress: Progress) -> None:
    """L of pictures at 256x256 as an INPUT.bin."""
    with AtomicFile(output_file(output)) as file, progress(len(paths), "pictures") as advance:

        def write(lightness: np.ndarray) -> None:
            file.write(lightness.astype("<f4", copy=False).data)
            advance(1)

        run_pipeline((opened(path)[0] for path in paths), network_lightness, write)


def write_answers(
    paths: Sequence[str],
    predict_ab: Callable[[np.ndarray], np.ndarray],
    output: str,
    progress: Progress,
) -> None:
    """a and b of pictures, (n, 256, 256) of L to (n, 2, 256, 256), as an OUTPUT.bin."""
    with AtomicFile(output_file(output)) as file, progress(len(paths), "pictures") as advance:
        for part in chunks(paths, ANSWERS_AT_ONCE):
            lightness = np.stack([network_lightness(opened(path)[0]) for path in part])
            file.write(predict_ab(lightness).astype("<f4").data)
            advance(len(part))


def as_planes(ab: np.ndarray) -> np.ndarray:
    """(n, 256, 256, 2) as an OUTPUT.bin has them: planes of little-endian float32."""
    return planar(ab).astype("<f4", copy=False)


def write_coloured(
    paths: Sequence[str], names: Sequence[str], colours: AbReader, progress: Progress
) -> None:
    """Pictures joined with the colours of an OUTPUT.bin, each under its name."""
    with progress(len(paths), "pictures") as advance:

        def join(item: tuple[str, str, np.ndarray]) -> tuple[str, np.ndarray]:
            path, name, ab = item
            return name, with_colours(opened(path)[0], ab[0])

        def write(item: tuple[str, np.ndarray]) -> None:
            picture_files.save(*item)
            advance(1)

        run_pipeline(zip(paths, names, colours.chunks(1), strict=True), join, write)
