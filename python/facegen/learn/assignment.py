"""The course's three projects as teachers hand them out: a tar with all that a student needs.

What is in it lies in ``course/assignments``; the weights, the inputs and the answers are made here,
by facegen itself. Nothing in the tar needs facegen.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facegen import weights
from facegen.errors import FacegenError
from facegen.files.atomic import AtomicFile
from facegen.files.json_text import json_text
from facegen.learn.course import folder
from facegen.loading import read_network
from facegen.media.colorization import network_lightness
from facegen.networks import NETWORKS
from facegen.networks.colorizer import Colorizer
from facegen.networks.dcgan import Generator
from facegen.networks.model import Model
from facegen.networks.pix2pix import Pix2Pix
from facegen.numbers.latents import LatentWriter
from facegen.numbers.text import ResultWriter
from facegen.photos.square import SIDE, resized

MOST_PICTURES = 1024
_OWN = "sequential.cpp"  # where a student begins; a copy has the program's name


@dataclass(frozen=True)
class Assignment:
    """A project.

    Attributes
    ----------
    name
        Of the program, and of its folder in ``course/assignments``.
    counts
        Inputs that are handed out, in pictures, where nothing else is asked for: the sequential
        program takes seconds to minutes for them.
    make
        Writes network.bin, inputs and answers into a folder.
    """

    name: str
    counts: tuple[int, ...]
    make: Callable[[Path, Sequence[int], int], list[Run]]


@dataclass(frozen=True)
class Run:
    """One run of the program that is graded, and the seconds that facegen took for the same."""

    arguments: list[str]
    output: str
    answer: str
    seconds: float
    engine: str  # which did so, for people


def write_assignment(
    name: str, out: str | os.PathLike[str], pictures: int | None = None, seed: int = 0
) -> list[str]:
    """Write a project as a tar, in which all lies in one folder of the project's name.

    Parameters
    ----------
    name
        One of `ASSIGNMENTS`.
    out
        The file, which is replaced.
    pictures
        In the (last) input; as the project says if None.
    seed
        Of the inputs, and of weights that are not trained: courses of other years have others.

    Returns
    -------
    The names of the members.

    Raises
    ------
    FacegenError
        There is no such project, `pictures` is not 1 to `MOST_PICTURES`, or the course is missing.
    OSError
        A file cannot be written.
    """
    if name not in ASSIGNMENTS:
        raise FacegenError(f"no assignment {name!r}; there is {', '.join(ASSIGNMENTS)}")
    assignment = ASSIGNMENTS[name]
    counts = assignment.counts if pictures is None else (*assignment.counts[:-1], pictures)
    if not all(1 <= count <= MOST_PICTURES for count in counts):
        raise FacegenError(f"expected 1 to {MOST_PICTURES:,} pictures, found {pictures:,}")
    given = folder() / "assignments"
    with AtomicFile(out) as file, tempfile.TemporaryDirectory() as place:
        data = Path(place)
        runs = assignment.make(data, counts, seed)
        members = {path.name: path for path in sorted(data.iterdir())}
        for source in (given / "common", given / name):
            members |= {path.name: path for path in source.iterdir() if path.is_file()}
        readme = _joined(members["README.md"], members.pop("README-rules.md"))
        members[f"{name}.cpp"] = members[_OWN]
        # The student's own Makefile is taken; what counts is what it makes.
        changed = {f"{name}.cpp", "Makefile", "README.md", "grade.py", _OWN}
        texts = {"README.md": readme, "grade.json": _grading(name, runs, set(members) - changed)}
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for member in sorted({*members, *texts}):
                if member in texts:
                    _add_text(tar, f"{name}/{member}", texts[member])
                else:
                    _add_file(tar, f"{name}/{member}", members[member])
    return sorted({*members, *texts})


def _joined(task: Path, rules: Path) -> str:
    return task.read_text(encoding="utf-8") + rules.read_text(encoding="utf-8")


def _grading(name: str, runs: Sequence[Run], given: set[str]) -> str:
    """grade.json: what grade.py goes by."""
    cases = [
        {"arguments": run.arguments, "output": run.output, "answer": run.answer} for run in runs
    ]
    task: dict[str, Any] = {
        "program": name,
        "given": sorted(given),
        "runs": cases,
        "full_seconds": sum(run.seconds for run in runs),
        "full_seconds_of": runs[0].engine,
    }
    return json_text(task, indent=1) + "\n"


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode("utf-8")
    tar.addfile(_header(name, len(data)), io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as file:
        tar.addfile(_header(name, path.stat().st_size), file)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Of nobody and of no time: the same project is the same bytes, but for the times in it."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _faces(folder_: Path, counts: Sequence[int], seed: int) -> list[Run]:
    """The package's own network, whose faces are faces."""
    network, tensors = read_network(None)
    weights.write(folder_ / "network.bin", network, tensors)
    generator = Generator(tensors, device="cpu")
    runs = []
    for i, count in enumerate(counts, start=1):
        names = f"input{i}.txt", f"output{i}.txt", f"answer{i}.txt"
        inputs = generator.latents(_seeds(count, seed))
        with LatentWriter(folder_ / names[0], count) as file:
            file.write(inputs)
        faces, seconds = _timed(partial(generator, inputs))
        with ResultWriter(folder_ / names[2], count) as writer:
            writer.write(faces)
        arguments = ["network.bin", names[0], names[1], f"output{i}.bmp"]
        runs.append(Run(arguments, names[1], names[2], seconds, _engine(generator)))
    return runs


def _colours(folder_: Path, counts: Sequence[int], seed: int) -> list[Run]:
    """Seeded weights; the lightness of faces."""
    tensors = NETWORKS["colorizer"].initial_weights(seed)
    weights.write(folder_ / "network.bin", NETWORKS["colorizer"], tensors)
    lightness = np.stack([network_lightness(face) for face in _portraits(counts[-1], seed)])
    lightness.astype("<f4").tofile(folder_ / "input.bin")
    colorizer = Colorizer(tensors, device="cpu")
    ab, seconds = _timed(partial(colorizer.predict_ab, lightness))
    ab.astype("<f4").tofile(folder_ / "answer.bin")
    arguments = ["input.bin", "network.bin", "output.bin"]
    return [Run(arguments, "output.bin", "answer.bin", seconds, _engine(colorizer))]


def _pictures(folder_: Path, counts: Sequence[int], seed: int) -> list[Run]:
    """Seeded weights; faces."""
    tensors = NETWORKS["pix2pix"].initial_weights(seed)
    weights.write(folder_ / "network.bin", NETWORKS["pix2pix"], tensors)
    pictures = _portraits(counts[-1], seed)
    pictures.tofile(folder_ / "input.rgb")
    pix2pix = Pix2Pix(tensors, device="cpu")
    answer, seconds = _timed(partial(pix2pix.pixels, pictures))
    answer.tofile(folder_ / "answer.rgb")
    arguments = ["network.bin", "input.rgb", "output.rgb"]
    return [Run(arguments, "output.rgb", "answer.rgb", seconds, _engine(pix2pix))]


def _portraits(count: int, seed: int) -> np.ndarray:
    """(count, 256, 256, 3) uint8: faces of the package's own network."""
    faces = Generator(device="cpu").generate(_seeds(count, seed))
    small = ((faces + 1) / 2 * 255).astype(np.uint8)
    return np.stack([resized(face, SIDE, SIDE) for face in small])


def _seeds(count: int, seed: int) -> range:
    """Of so many faces; other seeds have others."""
    return range(seed * MOST_PICTURES, seed * MOST_PICTURES + count)


def _engine(model: Model) -> str:
    return f"facegen on {model.runner.device} ({model.runner.isa}, {model.runner.threads} threads)"


def _timed(compute: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """A result, and the least seconds of three runs after one that warms up."""
    result = compute()
    least = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        result = compute()
        least = min(least, time.perf_counter() - begin)
    return result, least


ASSIGNMENTS = {
    "facegen": Assignment("facegen", (10, 100), _faces),
    "colorizer": Assignment("colorizer", (1,), _colours),
    "pix2pix": Assignment("pix2pix", (4,), _pictures),
}
