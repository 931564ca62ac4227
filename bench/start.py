"""How long each command takes for one item: Python, imports, a network made ready, the end.

python -m bench.start [--device cuda] [--runs 9] [--packages FOLDER,FOLDER]

Packages (folders that hold one named facegen, built) take turns; the one that is imported here if
none are named. Shown are the best and the median wall time of the runs, and the least processor
time of all threads together, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import facegen
from bench import machine
from bench.tables import markdown_table
from facegen import weights
from facegen.networks import NETWORKS, dcgan
from facegen.numbers.latents import LatentWriter

# What is shown -> the words behind `facegen`, in a folder that `prepare` has filled.
COMMANDS = {
    "facegen --version": "--version",
    "faces, 1": "dcgan.bin one.txt out.txt out.bmp",
    "faces, 1,000": "dcgan.bin many.txt out.txt out.bmp",
    "generate, 1 .npy": "generate --network dcgan.bin --seeds 0 -o out.npy",
    "colorizer main, 1": "colorizer main lightness.bin colorizer.bin out.bin",
    "pix2pix, 1": "pix2pix pix2pix.bin pixels.bin out.bin",
    "segment, 1": "segment --network segmentation.safetensors photo.png -o out.png",
    "classify, 1": "classify --network squeezenet.safetensors photo.png",
    "digits, 1": "digits photo.png",
}
NO_DEVICE = {"facegen --version"}


def check(package: str) -> None:
    """Exit where Python takes another facegen: an editable installation goes before any folder."""
    found = subprocess.run(
        [sys.executable, "-c", "import facegen; print(facegen.__file__)"],
        env=os.environ | {"PYTHONPATH": package},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(found).is_relative_to(Path(package).resolve()):
        sys.exit(f"{package}: expected the package facegen in it, Python takes {found}")


def prepare(folder: Path) -> None:
    """Seeded weights, and one item of each kind."""
    for name in ("dcgan", "colorizer", "pix2pix", "segmentation", "squeezenet"):
        network = NETWORKS[name]
        extension = ".safetensors" if network.binary_layout is None else ".bin"
        weights.write(folder / f"{name}{extension}", network, network.initial_weights(0))
    for name, count in (("one", 1), ("many", 1000)):
        with LatentWriter(folder / f"{name}.txt", count) as file:
            file.write(dcgan.latents(range(count)))
    random = np.random.default_rng(0)
    random.uniform(0, 100, (256, 256)).astype("<f4").tofile(folder / "lightness.bin")
    random.integers(0, 256, (256, 256, 3), np.uint8).tofile(folder / "pixels.bin")
    Image.fromarray(random.integers(0, 256, (240, 320, 3), np.uint8)).save(folder / "photo.png")


def timed(package: str, words: list[str], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of one run."""
    environment = os.environ | {"PYTHONPATH": package}
    for name in ("out.png", "out.bin", "out.npy"):
        (folder / name).unlink(missing_ok=True)
    before, begin = _processor_seconds(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "import sys; from facegen.__main__ import main; sys.exit(main())"]
        + words,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begin, _processor_seconds() - before


def _processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(packages: list[str], device: str, runs: int) -> dict[str, list[list[float]]]:
    """Of each command and package: best and median wall seconds, best processor seconds."""
    found = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for command, text in COMMANDS.items():
            words = text.split() + ([] if command in NO_DEVICE else ["--device", device])
            times: list[list[tuple[float, float]]] = [[] for _ in packages]
            for _ in range(runs):
                for package, seconds in zip(packages, times, strict=True):
                    seconds.append(timed(package, words, folder))
            found[command] = [
                [min(w for w, _ in each), median(w for w, _ in each), min(p for _, p in each)]
                for each in times
            ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--packages", default=str(Path(facegen.__file__).parent.parent))
    options = parser.parse_args()
    packages = options.packages.split(",")
    for package in packages:
        check(package)
    found = measure(packages, options.device, options.runs)
    print(json.dumps(machine.describe()))
    heads = [f"{what} {i}" for i in range(len(packages)) for what in ("best", "median", "CPU")]
    rows = [
        [command, *(f"{value:.3f}" for each in times for value in each)]
        for command, times in found.items()
    ]
    print(markdown_table(["command", *heads], rows))


if __name__ == "__main__":
    main()
