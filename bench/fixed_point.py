"""Training in fixed point, as Gupta et al. 2015: python -m bench.fixed_point IMAGES.idx LABELS.idx

A network of 784-128-10 learns digits with parameters <8, FL>, rounded to the nearest or at random
after every update, for several FL. Printed: how many of a thousand images held out are read rightly
after each epoch, and the share of weights that an update of the last epoch changed; --plot draws
the former.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from facegen.engine import Runner
from facegen.nn import Graph, Linear, ReLU, Reshape, Shape, Softmax, lower
from facegen.numbers import idx
from facegen.numbers.rounding import FixedPoint, Rounding
from facegen.train import SGD, Order, Trainer
from facegen.train.split import split

INTEGER_BITS = 8
BATCH, RATE = 64, 0.05


def network() -> Graph:
    """(28, 28, 1) -> (1, 1, 10)."""
    g = Graph("perceptron")
    x = g.add("flat", Reshape(Shape(1, 1, 784)), g.input("image", Shape(28, 28, 1)))
    x = g.add("relu", ReLU(), g.add("hidden", Linear(784, 128), x))
    g.output(g.add("softmax", Softmax(), g.add("score", Linear(128, 10), x)))
    return g


def learn(
    x: np.ndarray,
    y: np.ndarray,
    held: tuple[np.ndarray, np.ndarray],
    rounding: Rounding | None,
    epochs: int,
) -> tuple[list[float], float]:
    """Per cent right of what was held out, by epochs; per cent of weights that a step changed."""
    graph, order = network(), Order(len(x), BATCH, 0)
    trainer = Trainer(graph, "cross_entropy", SGD(rate=RATE), seed=0, threads=1, rounding=rounding)
    right, changed = [], []
    for epoch in range(epochs):
        for step in range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch):
            samples = order(step).samples
            before = trainer.weights["hidden.weight"].copy()
            trainer.step(x[samples], y[samples])
            if epoch == epochs - 1:
                changed.append((before != trainer.weights["hidden.weight"]).mean())
        found = Runner(lower(graph, trainer.weights), threads=1)(held[0]).reshape(-1, 10)
        right.append(100 * float((found.argmax(axis=1) == held[1]).mean()))
    return right, 100 * float(np.mean(changed))


def main() -> None:
    """Print a row a format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--fraction-bits", type=int, nargs="+", default=[6, 8, 10, 12, 14])
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    images = idx.read(options.images, dimensions=3)
    labels = idx.read(options.labels, dimensions=1)
    chosen, held_out = split(len(images), 1000)
    x = (images / np.float32(255)).astype(np.float32)[..., np.newaxis]
    held = x[held_out], labels[held_out]
    formats: dict[str, Rounding | None] = {"float32": None}
    for bits in options.fraction_bits:
        formats[f"<8, {bits}> nearest"] = FixedPoint(INTEGER_BITS, bits)
        formats[f"<8, {bits}> stochastic"] = FixedPoint(INTEGER_BITS, bits, stochastic=True)
    curves = {}
    for name, rounding in formats.items():
        curves[name], changed = learn(x[chosen], labels[chosen], held, rounding, options.epochs)
        percents = " ".join(f"{each:5.1f}" for each in curves[name])
        what = f"{percents} % right; a step changes {changed:.2f} % of weights"
        print(f"{name:>20}: {what}", flush=True)
    if options.plot is not None:
        draw(curves, options.plot)


def draw(curves: dict[str, list[float]], path: Path) -> None:
    """Per cent right by epochs, a colour a format."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    colours = pyplot.get_cmap("viridis")
    for number, (name, right) in enumerate(curves.items()):
        epochs = range(1, len(right) + 1)
        if name == "float32":
            axes.plot(epochs, right, "k:", label=name)
            continue
        colour = colours((number - 1) // 2 * 2 / len(curves))  # two curves a format
        style = "--" if name.endswith("nearest") else "-"
        axes.plot(epochs, right, style, color=colour, marker="o", markersize=3, label=name)
    axes.set_xlabel("epochs")
    axes.set_ylabel("% of 1,000 held out read rightly")
    axes.legend(fontsize=7, loc="center right", ncols=2, handlelength=3.5)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
