"""``python -m facegen.train.faces.evaluate NETWORK PICTURES``: is a trained network any good?

Measures generated faces against the pictures it was trained on, and draws what a person should look
at: samples, samples beside their nearest training pictures, and walks from face to face.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from facegen.files.json_text import json_text
from facegen.media import pictures as picture_files
from facegen.networks.dcgan import Generator, latents
from facegen.networks.paths import walk
from facegen.shares import chunks
from facegen.train.faces import quality
from facegen.train.faces.data import read_pictures, to_values
from facegen.train.faces.kernel_distance import Encoder, kernel_distance

_WALKS, _FRAMES = 32, 61  # measured; frames of each
_FIRST_SEED = 10**6  # of measured samples: not those that the pictures show


def evaluate(
    generator: Generator, pixels: NDArray[np.uint8], count: int, encoder: Encoder | None = None
) -> dict[str, Any]:
    """Measures of `count` samples against `count` of the pictures, and against all of them.

    Returns
    -------
    `quality.measure`'s, where "diversity" and "nearest" are over all pictures here, and
    "nearest_fake", "nearest_real"
        Distance to the nearest picture, least and median: of samples, and of pictures among the
        others. A copy would be at 0.
    "closest_pair_fake", "closest_pair_real"
        Least distance between two samples, and between two pictures.
    "kernel_distance", "kernel_distance_real"
        With an encoder: `kernel_distance` times 1000, of samples, and of other pictures.
    "largest_step"
        Largest change between frames of a walk, over the mean change.
    "count"
        Samples that were measured.
    """
    count = min(count, len(pixels) // 2)
    real = to_values(pixels[-count:])
    fake = generator.generate(range(_FIRST_SEED, _FIRST_SEED + count))
    result: dict[str, Any] = quality.measure(real, fake)
    others = features_of(pixels[:-count])
    rows = {"fake": quality.features(fake), "real": quality.features(real)}
    for kind, some in rows.items():
        mirrored = some.reshape(-1, quality.GRID, quality.GRID, 3)[:, :, ::-1].reshape(some.shape)
        near = np.minimum(*(quality.nearest(r, others)[0] for r in (some, mirrored)))
        result[f"nearest_{kind}"] = [float(near.min()), float(np.median(near))]
        among = quality.distances(some, some)
        np.fill_diagonal(among, np.inf)
        result[f"closest_pair_{kind}"] = float(among.min())
    result["nearest"] = result["nearest_fake"][1] / result["nearest_real"][1]
    if encoder is not None:
        seen = encoder(pixels[-count:])
        of_others = encoder(pixels[: min(count, len(others))])
        made = encoder(generator.images(seeds=range(_FIRST_SEED, _FIRST_SEED + count)))
        result["kernel_distance"] = 1000 * kernel_distance(seen, made)
        result["kernel_distance_real"] = 1000 * kernel_distance(seen, of_others)
    result["largest_step"] = largest_step(generator)
    result["count"] = count
    return {
        name: [round(v, 4) for v in value] if isinstance(value, list) else round(value, 4)
        for name, value in result.items()
    }


def features_of(pixels: NDArray[np.uint8], chunk: int = 8192) -> quality.Floats:
    """`quality.features` of many pictures, (n, 768)."""
    return np.concatenate([quality.features(to_values(part)) for part in chunks(pixels, chunk)])


def largest_step(generator: Generator) -> float:
    """Largest mean change of pixels from frame to frame of some walks, over the mean one."""
    seeds = range(_FIRST_SEED, _FIRST_SEED + _WALKS + 1)
    stations = latents(seeds)
    steps = []
    for i in range(_WALKS):
        faces = generator(walk(stations[i : i + 2], _FRAMES, closed=False))
        steps.append(np.abs(np.diff(faces, axis=0)).mean(axis=(1, 2, 3)))
    return float(np.max(steps) / np.mean(steps))


def draw(generator: Generator, pixels: NDArray[np.uint8], folder: Path) -> None:
    """grid.png (seeds 0 to 63, none picked), samples.png, nearest.png (a sample above its nearest
    picture), walks.png.
    """
    save(folder / "grid.png", generator.images(latents(range(64))), columns=8)
    save(folder / "samples.png", generator.images(latents(range(160))), columns=16)
    rows = quality.features(generator.generate(range(48)))
    _, index = quality.nearest(rows, features_of(pixels))
    picture = pixels.shape[1:]
    samples = generator.images(latents(range(48))).reshape(3, 16, *picture)
    nearest = pixels[index].reshape(samples.shape)
    save(folder / "nearest.png", np.stack([samples, nearest], axis=1).reshape(-1, *picture), 16)
    walks = [walk(latents(range(i, i + 2)), 16, closed=False) for i in range(0, 16, 2)]
    save(folder / "walks.png", generator.images(np.concatenate(walks)), columns=16)


def save(path: Path, images: NDArray[np.uint8], columns: int) -> None:
    picture_files.save(path, picture_files.grid(images, math.ceil(len(images) / columns), columns))


@click.command()
@click.argument("network", type=click.Path())
@click.argument("pictures", type=click.Path())
@click.option("--count", type=click.IntRange(2), default=4096, show_default=True)
@click.option(
    "--device", default="cpu", show_default=True, help="As of facegen generate."
)
@click.option(
    "--encoder", type=click.Path(exists=True, dir_okay=False),
    help="SqueezeNet v1.0, by whose features the kernel distance is measured too.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=".", help="A folder.")
def main(
    network: str, pictures: str, count: int, device: str, encoder: str | None, output: Path
) -> None:
    """Measure a network against the pictures it was trained on; write evaluation.json and grids."""
    generator = Generator(network, device=device)
    pixels = read_pictures(pictures).pixels
    output.mkdir(parents=True, exist_ok=True)
    draw(generator, pixels, output)
    by = None if encoder is None else Encoder(encoder, device)
    measured = evaluate(generator, pixels, count, by)
    (output / "evaluation.json").write_text(json_text(measured, indent=2) + "\n")
    click.echo(json_text(measured))


if __name__ == "__main__":
    main()
