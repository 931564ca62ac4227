"""What feeds a network, stage by stage: the slowest is what all the others wait for.

disk -> decode -> prepare -> (copy to the device) -> network
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.memory import check_memory
from facegen.lab.timing import Times, in_turns
from facegen.networks.network import Network
from facegen.nn import GlobalAvgPool2d, Graph, lower
from facegen.photos import encode, photo

FORMATS = (".jpg", ".png", ".bmp")


@dataclass(frozen=True)
class Stage:
    """One stage, on all threads that it was given.

    Attributes
    ----------
    bytes_each
        That it takes in of one picture.
    note
        What is to be known of how it was measured.
    """

    name: str
    times: Times  # of all pictures
    pictures: int
    bytes_each: float
    note: str = ""

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.times.median

    @property
    def megabytes(self) -> float:
        """MB a second that it takes in."""
        return self.rate * self.bytes_each / 1e6


def photo_like(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A picture that compresses about as photographs do: smooth shades, edges, a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = random.uniform(2, 40, (6, 2, 3))
    turns = random.uniform(0, 2 * np.pi, (6, 3))
    values = sum(
        np.sin(y[..., None] * waves[i, 0] + x[..., None] * waves[i, 1] + turns[i]) for i in range(6)
    )
    pixels = 128 + 20 * values + random.normal(0, 4, (height, width, 3))
    pixels[(y * 7 + x * 5).astype(int) % 3 == 0] *= 0.6
    return np.clip(pixels, 0, 255).astype(np.uint8)


def measure(
    network: Network,
    weights: dict[str, np.ndarray],
    count: int,
    size: tuple[int, int],
    extension: str,
    device: str,
    threads: int,
    seconds: float,
    folder: str | None = None,
) -> list[Stage]:
    """All stages, each by itself; the network's last.

    Parameters
    ----------
    network
        One that takes pictures; its `prepare` is a stage.
    count, size
        How many pictures, (height, width) of each.
    extension
        Of `FORMATS`: how they are stored.
    folder
        Whose disk is read; the system's folder for temporary files if None. What is written there
        is gone afterwards.

    Raises
    ------
    FormatError, OutOfMemory, DeviceError, OSError
        The pictures are too large for their format, or too many; the device is not there; the
        folder cannot be written.
    """
    assert network.prepare is not None, "checked by the caller"
    shape = network.graph().inputs[0].shape
    encode.check_size(*size, extension)
    check_memory(count * (3 * size[0] * size[1] + 8 * shape.floats), f"{count:,} pictures")
    pictures = [photo_like(*size, seed) for seed in range(min(count, 8))]
    files = [encode.encode(each, f"a{extension}") for each in pictures]
    files = [files[i % len(files)] for i in range(count)]
    decoded = [photo.decode(data).pixels for data in files]
    inputs = np.stack([network.prepare(pixels) for pixels in decoded]).reshape(count, *shape)
    runner = Runner(lower(network.graph(), weights), device, threads)
    copied = np.empty_like(inputs)
    with ThreadPoolExecutor(threads) as pool:

        def each(function: Callable[[Any], object], items: Sequence[Any]) -> Callable[[], object]:
            return lambda: list(pool.map(function, items))

        runs = {
            "decode": (each(lambda data: photo.decode(data).pixels, files), files),
            "prepare": (each(network.prepare, decoded), decoded),
            "copy in memory": (lambda: np.copyto(copied, inputs), inputs),
        }
        if runner.device != "cpu":
            there = Runner(lower(_mean(network.graph()), {}), device, threads)
            runs["to the device"] = (lambda: there(inputs), inputs)
        runs["network"] = (lambda: runner(inputs), inputs)
        times = in_turns({name: run for name, (run, _) in runs.items()}, seconds)
    notes = {
        "copy in memory": "1 thread",
        "to the device": "and a mean there",
        "network": f"{runner.device}, {runner.isa}",
    }
    stages = [
        Stage(name, times[name], count, _bytes(items) / count, notes.get(name, ""))
        for name, (_, items) in runs.items()
    ]
    return [_disk(files, extension, folder), *stages]


def _bytes(items: Any) -> int:
    """Of files or arrays."""
    if isinstance(items, np.ndarray):
        return items.nbytes
    return sum(len(each) if isinstance(each, bytes) else each.nbytes for each in items)


def _mean(graph: Graph) -> Graph:
    """What reads all of a network's input and gives next to nothing back."""
    mean = Graph("mean")
    mean.output(mean.add("mean", GlobalAvgPool2d(), mean.input("x", graph.inputs[0].shape)))
    return mean


def _disk(files: Sequence[bytes], extension: str, folder: str | None) -> Stage:
    """Files read one after another, from the disk itself where the system can be told to."""
    can_forget = sys.platform == "linux"
    with tempfile.TemporaryDirectory(dir=folder) as place:
        paths = [Path(place) / f"{i}{extension}" for i in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            with open(path, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        samples = []
        for _ in range(3):
            if sys.platform == "linux":
                for path in paths:
                    with open(path, "rb") as file:
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            for path in paths:
                photo.read_bytes(path)
            samples.append(time.perf_counter() - begin)
    note = "1 thread" if can_forget else "1 thread, from the system's cache"
    return Stage("disk", Times(tuple(samples)), len(files), _bytes(files) / len(files), note)
