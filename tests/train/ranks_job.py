"""Trains a few steps on all ranks: python ranks_job.py NETWORK IMAGES MODE STATE [DEVICE SHARES].

Rank 0 writes the last losses and the state to STATE.npz; every rank prints a digest of its own.
Modes: "plain"; "nan", image 5 of the third batch has one; "fail 1", rank 1 fails at the third step;
"kill 1", it kills itself there; "checkpoint", rank 0 saves after every step beside STATE; "resume",
goes on from there; "run", one call does all steps on rows of a data set.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np

from facegen import nn, train
from facegen.errors import FacegenError
from facegen.networks import lenet
from facegen.nn import Graph, Shape
from facegen.train import ranks as train_ranks

STEPS = 5


def discriminator(
    side: int = 16, channels: tuple[int, int, int] = (12, 20, 24)
) -> Graph:
    """DCGAN's, with batch norms."""
    a, b, c = channels
    g = Graph("discriminator")
    y = g.add("c1", nn.Conv2d(3, a, 4, stride=2, padding=1), g.input("image", Shape(side, side, 3)))
    y = g.add("l1", nn.LeakyReLU(0.2), y)
    y = g.add("c2", nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False), y)
    y = g.add("l2", nn.LeakyReLU(0.2), g.add("n2", nn.BatchNorm(b), y))
    y = g.add("c3", nn.Conv2d(b, c, 3, padding=1, bias=False), y)
    y = g.add("l3", nn.LeakyReLU(0.2), g.add("n3", nn.BatchNorm(c), y))
    g.output(g.add("score", nn.Conv2d(c, 1, side // 4), y))
    return g


# Of the last, products of 8 images are large enough for Hopper's kernel.
NETWORKS = {
    "lenet": lenet.graph,
    "discriminator": discriminator,
    "wide": lambda: discriminator(32, (64, 128, 256)),
}


def main() -> None:
    network, count, mode, path = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    device, shares = (*sys.argv[5:], "cpu", "1")[:2]
    word, _, number = mode.partition(" ")
    graph = NETWORKS[network]()
    loss = "cross_entropy" if network == "lenet" else "binary_cross_entropy"
    dropout = {"relu3": 0.4} if network == "lenet" else {"l1": 0.1}

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(step)
        x = random.standard_normal((count, *graph.inputs[0].shape)).astype(np.float32)
        return x, random.integers(0, 10, count) if network == "lenet" else random.random(count)

    with train_ranks.join() as ranks:
        trainer = train.Trainer(
            graph, loss, train.Adam(rate=1e-3, average=0.9), dropout=dropout, threads=1, seed=3,
            ranks=ranks, shares=int(shares), device=device,
        )  # fmt: skip
        checkpoint = path.with_suffix(".safetensors")
        if word == "resume":
            trainer.load(checkpoint)
        if word == "run":
            batches = zip(*map(batch, range(STEPS)), strict=True)
            x, y = (np.concatenate(arrays) for arrays in batches)
            rows = np.arange(STEPS * count).reshape(STEPS, count)
            losses = trainer.run(trainer.hold(x, y), rows)[-1]
        for step in range(trainer.steps, STEPS):
            x, y = batch(step)
            if word == "nan" and step == 2:
                x[5] = np.nan
            if ranks is not None:
                own = ranks.own(count)
                others = np.r_[: own.start, own.stop : count]
                x[others] = np.inf  # whose images are not needed here
                if step == 2 and number == str(ranks.rank):
                    if word == "kill":
                        os.kill(os.getpid(), signal.SIGKILL)
                    if word == "fail":
                        raise FacegenError("the disk is full")
            losses = trainer.step(x, y)
            if word in ("kill", "fail", "checkpoint") and (ranks is None or ranks.first):
                trainer.save(checkpoint)
        state = trainer.state_dict()
        digest = hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state)))
        print(digest.hexdigest(), flush=True)  # whose line may be another rank's
        if ranks is None or ranks.first:
            np.savez(path, losses=losses, length=trainer.gradient_length, **state)


if __name__ == "__main__":
    main()
