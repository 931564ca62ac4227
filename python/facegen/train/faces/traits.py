"""``python -m facegen.train.faces.traits NETWORK FACES LABELS``: directions of traits.

1. A small network learns to tell the labels of rendered pictures (`facegen.train.faces.synthetic`).
   A tenth of them is held out: a trait that it cannot tell there (R^2 below 0.4) is left out.
2. It labels faces that the generator makes of random latent vectors.
3. Labels are fitted as linear functions of the latent vector, all at once (ridge regression): W.
   Column k of W^T (W W^T)^-1 is the shortest vector that changes the fitted label k by 1 and no
   other. What goes together in the faces, as beards and men, comes apart as far as it can (as the
   conditional manipulation of Shen et al. 2020).
4. Other faces are moved along each direction, and labelled: what is found stands in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.errors import FacegenError, FormatError
from facegen.files.digest import file_digest
from facegen.networks import traits
from facegen.networks.dcgan import Generator
from facegen.networks.traits import Traits
from facegen.nn import Conv2d, Graph, LeakyReLU, Linear, Reshape, Shape, lower
from facegen.nn.grad import Adam
from facegen.train import schedules
from facegen.train.faces.data import read_pictures, to_values
from facegen.train.order import Order
from facegen.train.trainer import Trainer

SIDE = 64  # of the pictures that the small network sees; larger ones are averaged
_CHANNELS = (16, 32, 64, 64)  # of its 32x32, 16x16, 8x8 and 4x4 maps
_HIDDEN = 128
_BATCH = 64
_LEAST = 0.4  # R^2 of a trait that can be told
_RIDGE = 1e-3  # of the latent vectors' variance
_SEED = 10**7  # the first of the faces that are labelled: seen by nobody
_MOVED, _BY = 256, 1.5  # faces that are moved, and how far

Floats = NDArray[np.float32]


def graph(labels: int) -> Graph:
    """Pictures (64, 64, 3) to labels: four convolutions that halve the side, two linear layers."""
    g = Graph("traits")
    x = g.input("picture", Shape(SIDE, SIDE, 3))
    for i, channels in enumerate(_CHANNELS):
        conv = Conv2d(x.shape.channels, channels, 3, stride=2, padding=1)
        x = g.add(f"conv{i}.leaky", LeakyReLU(0.2), g.add(f"conv{i}", conv, x))
    x = g.add("flat", Reshape(Shape(1, 1, x.shape.floats)), x)
    x = g.add("hidden", Linear(x.shape.channels, _HIDDEN), x)
    x = g.add("hidden.leaky", LeakyReLU(0.2), x)
    g.output(g.add("labels", Linear(_HIDDEN, labels), x))
    return g


def initial_weights(net: Graph, seed: int) -> dict[str, Floats]:
    """Normal, of variance 2 / fan-in (He et al. 2015); biases 0."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in net.parameters.items():
        values = np.zeros(shape)
        if name.endswith(".weight"):
            values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        weights[name] = values.astype(np.float32)
    return weights


def learn(
    pixels: NDArray[np.uint8],
    labels: Floats,
    steps: int,
    threads: int | None = None,
    device: str = CPU,
    note: Callable[[str], None] = lambda line: None,
) -> Callable[[NDArray[np.uint8]], Floats]:
    """A function that tells the labels (n, k) of pictures (n, side, side, 3); see above, 1."""
    small = reduced(pixels)
    net = graph(labels.shape[1])
    optimizer = Adam(rate=schedules.cosine(2e-3, steps))
    trainer = Trainer(
        net, "l2", optimizer, weights=initial_weights(net, 0), threads=threads, device=device
    )
    order = Order(len(small), min(_BATCH, len(small)), 0)
    for step in range(steps):
        batch = order(step)
        shown = to_values(small[batch.samples])
        losses = trainer.step(shown, labels[batch.samples].reshape(len(shown), 1, 1, -1))
        if (step + 1) % 200 == 0:
            note(f"step {step + 1:,} of {steps:,}, loss {float(np.mean(losses)):.4f}")
    runner = Runner(lower(net, trainer.weights), device, threads)

    def tell(pictures: NDArray[np.uint8]) -> Floats:
        result: Floats = runner(to_values(reduced(pictures))).reshape(len(pictures), -1)
        return result

    return tell


def reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures as the small network sees them: squares of pixels averaged to 64x64."""
    n, side = pixels.shape[:2]
    if side == SIDE:
        return pixels
    blocks = pixels.reshape(n, SIDE, side // SIDE, SIDE, side // SIDE, 3)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def fit(latents: Floats, labels: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Directions (k, size) of labels of mean 0 and deviation 1, (n, k), and each one's R^2.

    See above, 3.
    """
    z = latents.astype(np.float64) - latents.mean(axis=0, dtype=np.float64)
    y = labels.astype(np.float64)
    square = z.T @ z + _RIDGE * np.square(z).sum() / z.shape[1] * np.eye(z.shape[1])
    w = np.linalg.solve(square, z.T @ y).T  # (k, size)
    told = 1 - np.square(y - z @ w.T).sum(axis=0) / np.square(y).sum(axis=0)
    # Of labels that hardly differ the inverse would be long vectors: they are held short alike.
    gram = w @ w.T
    apart = np.linalg.solve(gram + 0.05 * np.diag(np.diag(gram)), w)
    # Each is as long as changes its own label by 1.
    apart /= np.einsum("ks,ks->k", apart, w)[:, None]
    return apart.astype(np.float32), told.astype(np.float32)


def find(
    network: str,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.void],
    steps: int = 2000,
    faces: int = 10_000,
    threads: int | None = None,
    device: str = CPU,
    note: Callable[[str], None] = lambda line: None,
) -> Traits:
    """All four steps.

    Parameters
    ----------
    network
        File of a generator.
    pixels, labels
        Rendered pictures (n, side, side, 3), and their records (n,).
    steps
        Of the small network's training, by batches of 64.
    faces
        That are made and labelled.
    """
    names = list(labels.dtype.names or ())
    known = np.stack([labels[name] for name in names], axis=1).astype(np.float64)
    mean, deviation = known.mean(axis=0), known.std(axis=0) + 1e-6
    scaled = ((known - mean) / deviation).astype(np.float32)
    shown = max(1, len(pixels) * 9 // 10)
    tell = learn(pixels[:shown], scaled[:shown], steps, threads, device, note)
    error = np.square(tell(pixels[shown:]) - scaled[shown:]).mean(axis=0)
    seen = 1 - error / np.maximum(np.square(scaled[shown:]).mean(axis=0), 1e-6)
    kept = np.flatnonzero(seen >= _LEAST)
    for k in np.flatnonzero(seen < _LEAST):
        note(f"{names[k]} cannot be told from pictures (R^2 {seen[k]:.2f}) and is left out")
    if not len(kept):
        raise FacegenError("no trait can be told from the pictures: more of them, or more steps")

    generator = Generator(network, device=device, threads=threads)
    z = generator.latents(range(_SEED, _SEED + faces))
    found = tell(generator.images(z))[:, kept]
    average, spread = found.mean(axis=0), found.std(axis=0) + np.float32(1e-6)
    directions, linear = fit(z, (found - average) / spread)

    few = z[:_MOVED]
    before = (tell(generator.images(few))[:, kept] - average) / spread
    named, measured = {}, {}
    for i, k in enumerate(kept):
        after = (tell(generator.images(few + _BY * directions[i]))[:, kept] - average) / spread
        changed = (after - before).mean(axis=0) / _BY
        others = np.delete(np.abs(changed), i)
        named[names[k]] = directions[i]
        measured[names[k]] = {
            "told": round(float(seen[k]), 3),
            "linear": round(float(linear[i]), 3),
            "moved": round(float(changed[i]), 3),
            "moved_others": round(float(others.max()) if len(others) else 0.0, 3),
            "length": round(float(np.linalg.norm(directions[i])), 3),
        }
    return Traits(file_digest(network), named, measured)


def read_labels(path: str | Path, count: int) -> NDArray[np.void]:
    """The records of a .npy of labels, as many as there are pictures.

    Raises
    ------
    FormatError
        It holds something else.
    OSError
        It cannot be read.
    """
    try:
        labels = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise FormatError(f"{path}: expected a .npy of labels ({error})") from None
    names = labels.dtype.names or ()
    if labels.ndim != 1 or not names or any(labels.dtype[n].kind != "f" for n in names):
        raise FormatError(f"{path}: expected records of floats, found {labels.dtype}")
    if len(labels) != count:
        raise FormatError(f"{path}: expected {count:,} labels, found {len(labels):,}")
    if not all(np.isfinite(labels[name]).all() for name in names):
        raise FormatError(f"{path}: a label is not finite")
    return labels


@click.command()
@click.argument("network", type=click.Path(exists=True, dir_okay=False))
@click.argument("faces", type=click.Path(exists=True, dir_okay=False))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False))
@click.option("--pictures", type=click.IntRange(20), default=30_000, show_default=True,
              help="Of FACES that are learned from, at most.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--made", type=click.IntRange(200), default=10_000, show_default=True,
              help="Faces that are made and labelled.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--threads", type=click.IntRange(1))
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="NETWORK's name with .traits.json if not given.")  # fmt: skip
def main(
    network: str,
    faces: str,
    labels: str,
    pictures: int,
    steps: int,
    made: int,
    device: str,
    threads: int | None,
    output: Path | None,
) -> None:
    """Fit the directions of NETWORK's traits, of rendered FACES (.npy) and their LABELS."""
    try:
        pixels = read_pictures(faces).pixels
        known = read_labels(labels, len(pixels))
        some = slice(min(pictures, len(pixels)))
        tell = lambda line: click.echo(line, err=True)  # noqa: E731
        found = find(network, pixels[some], known[some], steps, made, threads, device, tell)
        output = output or traits.path_of(network)
        traits.write(output, found)
    except (FacegenError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for name, each in found.measured.items():
        click.echo(f"{name:12} " + ", ".join(f"{what} {value:g}" for what, value in each.items()))


if __name__ == "__main__":
    main()
