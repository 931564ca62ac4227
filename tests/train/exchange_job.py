"""Trains asynchronously on all ranks: python exchange_job.py MODE FOLDER, which gets end.npz.

Modes: "plain"; "norms", of a network with batch norms; "resume"; "fail 1" and "kill 1", rank 1
fails or kills itself at a late batch; "nan 1", it has one in its input; "stop 1", it gets SIGINT.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from ranks_job import discriminator

from facegen import train
from facegen.errors import FacegenError
from facegen.networks import lenet
from facegen.train import ranks as train_ranks
from facegen.train.exchange import Exchange

STEPS, LATE, BATCH = 60, 40, 16


def main() -> None:
    mode, folder = sys.argv[1], Path(sys.argv[2])
    word, _, number = mode.partition(" ")
    norms = word == "norms"
    graph = discriminator() if norms else lenet.graph()
    loss = "binary_cross_entropy" if norms else "cross_entropy"
    with train_ranks.join(asynchronous=True) as ranks:
        assert ranks is not None
        trainer = train.Trainer(graph, loss, train.Adam(rate=1e-3), threads=1, seed=3, ranks=ranks)
        exchange = Exchange.of(ranks, trainer)
        step = train.StepInParts(trainer, exchange=exchange)
        order = train.Order(320, BATCH, seed=1)
        asked: list[int] = []
        stopped: list[int] = []

        def read(number: int) -> tuple[np.ndarray, np.ndarray]:
            asked.append(number)
            return examples(graph, order(number))

        def learn(item: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
            x, y = item
            if asked[-1] >= LATE and str(ranks.rank) == number:
                if word == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if word == "fail":
                    raise FacegenError("the disk is full")
                if word == "nan":
                    x[5] = np.nan
                if word == "stop" and not stopped:
                    stopped.append(asked[-1])
                    os.kill(os.getpid(), signal.SIGINT)
            return {"loss": step(x, y)}

        reports = train.SILENT
        if ranks.first:
            reports = train.Reports(folder, log_every=10, save_seconds=0)
        parts = {"network": trainer}
        loop = train.Loop(
            read, learn, parts, STEPS, BATCH, reports=reports, ranks=ranks, exchange=exchange
        )
        loop.run(resume=word == "resume")
        state = trainer.state_dict()
        numbers = ranks._communicator.allgather(asked)
        if ranks.first:
            np.savez(folder / "end.npz", numbers=np.concatenate(numbers), **state)
        else:
            np.savez(folder / f"rank-{ranks.rank}.npz", **state)


def examples(graph, batch: train.Batch) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and which bar of it is light, or whether all of it is: easily learned."""
    shape = graph.inputs[0].shape
    labels = batch.samples % 10
    x = 0.3 * batch.random.standard_normal((len(labels), *shape)).astype(np.float32)
    if graph.name == "discriminator":
        x += (labels[:, None, None, None] - 5) / 5
        return x, (labels >= 5).astype(np.float32)
    x[np.arange(len(labels)), 4 + 2 * labels] += 1
    return x, labels


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
