#!/usr/bin/env python3
"""Draws docs/images/ranks.png: loss of ranks that share batches, and of ranks that do not.

    tools/draw-ranks.py docs/images/ranks.png

Trains LeNet on drawn digits for each of RUNS by mpirun, one after another, ROUNDS times, and prints
a table of processor time. Each rank has one thread.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from facegen import train
from facegen.media.digits import to_mnist
from facegen.networks import lenet
from facegen.train import ranks as train_ranks
from facegen.train.exchange import Exchange

IMAGES, HELD_OUT, BATCH, EPOCHS, ROUNDS = 2000, 400, 64, 6, 2
NOISE = 120.0  # without it, the loss is nothing after an epoch
RUNS = {"1 rank": (1, "tree"), "2 ranks, tree": (2, "tree"), "1 + 2 ranks, async": (3, "async")}


def drawn_digits() -> ModuleType:
    """tools/draw-digits.py, whose name is no module's."""
    path = Path(__file__).parent / "draw-digits.py"
    spec = importlib.util.spec_from_file_location("draw_digits", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_digits(path: Path) -> None:
    """Images as MNIST's, of strokes that wobble, under noise; and their labels."""
    draw, random = drawn_digits().draw, np.random.default_rng(0)
    labels = np.arange(IMAGES + HELD_OUT) % 10
    images = np.stack([to_mnist(np.asarray(draw(int(d), random))) for d in labels])
    noisy = images + random.normal(0, NOISE, images.shape)
    np.savez(path, images=np.clip(noisy, 0, 255).astype(np.uint8), labels=labels)


def run(data: str, sync: str, result: str) -> None:
    """What each rank does; rank 0 writes when it had what loss of the images held out."""
    with np.load(data) as file:
        images, labels = lenet.check_images(file["images"]), file["labels"]
    with train_ranks.join(asynchronous=sync == "async") as ranks:
        first = ranks is None or ranks.first
        order = train.Order(IMAGES, BATCH, seed=0)
        trainer = train.Trainer(
            lenet.graph(), "cross_entropy", train.Adam(rate=1e-3), threads=1, seed=0, ranks=ranks
        )
        exchange = Exchange.of(ranks, trainer)
        step = train.StepInParts(trainer, exchange=exchange)
        points: list[tuple[float, float, float]] = []
        measuring, measuring_processor = 0.0, 0.0
        begin = time.perf_counter()

        def learn(batch: train.Batch) -> dict[str, np.ndarray]:
            return {"loss": step(images[batch.samples], labels[batch.samples])}

        def measure(done: int) -> None:
            nonlocal measuring, measuring_processor
            if not first:
                return
            before, processor = time.perf_counter(), time.process_time()
            (scores,) = trainer.predict(images[IMAGES:]).values()
            scores = scores[:, 0, 0].astype(np.float64)
            logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
            loss = -float(logs[np.arange(HELD_OUT), labels[IMAGES:]].mean())
            points.append((done * BATCH, before - begin - measuring, loss))
            measuring += time.perf_counter() - before
            measuring_processor += time.process_time() - processor

        start = time.process_time()
        loop = train.Loop(
            order, learn, {"network": trainer}, EPOCHS * order.steps_per_epoch, BATCH,
            hooks=[train.Every(8, measure)], workers=1, ranks=ranks, exchange=exchange,
        )  # fmt: skip
        loop.run()
        spent = time.process_time() - start - measuring_processor
        everyone = [spent] if ranks is None else ranks._communicator.gather(spent)
        if first:
            Path(result).write_text(json.dumps({"points": points, "processor": everyone}))


def main(picture: str) -> None:
    from matplotlib.figure import Figure

    found: dict[str, list[dict]] = {name: [] for name in RUNS}
    with tempfile.TemporaryDirectory() as folder:
        data, result = Path(folder, "digits.npz"), Path(folder, "result.json")
        write_digits(data)
        for _ in range(ROUNDS):
            for name, (ranks, sync) in RUNS.items():
                command = ["mpirun", "-n", str(ranks), sys.executable, __file__]
                subprocess.run([*command, str(data), sync, str(result)], check=True)
                found[name].append(json.loads(result.read_text()))
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, runs in found.items():
        fastest = min(runs, key=lambda each: each["points"][-1][1])
        images, seconds, losses = zip(*fastest["points"], strict=True)
        left.plot(images, losses, label=name)
        right.plot(seconds, losses, label=name)
        spent = min((each["processor"] for each in runs), key=sum)
        steps = EPOCHS * -(-IMAGES // BATCH)
        each = ", ".join(f"{1000 * s / steps:.1f}" for s in spent)
        whole = f"{images[-1] / seconds[-1]:,.0f} images/s, loss {losses[-1]:.3f}"
        print(f"{name}: {each} ms of processor time a step, by ranks; {seconds[-1]:.1f} s, {whole}")
    left.set_yscale("log")
    left.set_ylabel("loss, held out")
    left.set_xlabel("images")
    right.set_xlabel("seconds")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    right.legend()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    (main if len(sys.argv) == 2 else run)(*sys.argv[1:])
