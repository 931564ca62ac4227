"""Two players' steps on all ranks: python players_job.py IMAGES MODE STATE DEVICE SHARES.

Rank 0 writes to STATE.npz what the players have learned, what is kept of the last step, and
gradients in an input; every rank prints a digest of its own. Modes: "plain"; "alone", this process
is a rank of one; "large", in step 2 a number is not finite of a kept value, and of nothing else.
With FAKE_NCCL, a library's path, ranks share a GPU.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from games import Game, judge

from facegen import nn, train
from facegen.nn import Graph, Shape
from facegen.train import gpu_ranks
from facegen.train import ranks as train_ranks
from facegen.train.ranks import Ranks

STEPS = 4


class One:
    """A communicator of one."""

    def Get_rank(self) -> int:  # noqa: N802
        return 0

    def Get_size(self) -> int:  # noqa: N802
        return 1

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def bcast(self, value: Any) -> Any:
        return value


@contextmanager
def rank_of_one() -> Iterator[Ranks]:
    yield Ranks(One())


def two_ends() -> Graph:
    """One of them, which no loss is of, is large where the other is as always."""
    g = Graph("ends")
    x = g.input("x", Shape(2, 2, 3))
    g.output(g.add("large", nn.Exp(), x))
    g.output(g.add("score", nn.Conv2d(3, 1, 2), g.add("tanh", nn.Tanh(), x)))
    return g


def play(images: int, device: str, **more: Any) -> dict[str, np.ndarray]:
    """What some steps leave."""
    game, found = Game(device, **more), {}
    for step in range(STEPS):
        random = np.random.default_rng(step)
        z = random.standard_normal((images, 1, 1, 8), np.float32)
        real = random.uniform(-1, 1, (images, 6, 6, 3)).astype(np.float32)
        assert game.step(z, real, wait=False) == [None, None]
    for name in ("generator", "discriminator"):
        trainer = getattr(game, name)
        found[f"losses of {name}"] = np.stack(trainer.wait())
        found |= {f"{name}'s {key}": value for key, value in trainer.state_dict().items()}
    game.generator.step(z, 1.0)
    made = found["picture"] = game.generator.output("picture")
    layers = [node.name for node in judge().nodes if node.layer is not None]
    critic = train.Trainer(
        judge(), "binary_cross_entropy", train.SGD(rate=0.1), frozen=layers, inputs=["shown"],
        weights=game.discriminator.weights, threads=1, device=device, **more,
    )  # fmt: skip
    found["losses of pictures"], gradients = critic.gradients(made, 1.0)
    found["gradients"] = gradients["shown"]
    return found


def find_large(images: int, device: str, **more: Any) -> Mapping[str, np.ndarray]:
    trainer = train.Trainer(
        two_ends(), {"score": "l2"}, train.SGD(rate=0.1), outputs=["large"], seed=1, threads=1,
        device=device, **more,
    )  # fmt: skip
    for step in range(STEPS):
        x = np.random.default_rng(step).standard_normal((images, 2, 2, 3)).astype(np.float32)
        if step == 2:
            x[5, 1, 0, 2] = 100
        trainer.step(x, 0.0)
        kept, expected = trainer.output("large"), np.exp(x)
        np.testing.assert_allclose(kept, expected, rtol=1e-5)
    raise AssertionError("what is not finite was kept")


def main() -> None:
    images, mode, path, device, shares = sys.argv[1:]
    fake = os.environ.get("FAKE_NCCL")
    if fake is not None:  # whose ranks share a GPU
        gpu_ranks.find_library = lambda: fake
        gpu_ranks._check_apart = lambda ranks, index: None
    with rank_of_one() if mode == "alone" else train_ranks.join() as ranks:
        do = find_large if mode == "large" else play
        found = do(int(images), device, ranks=ranks, shares=int(shares))
        digest = hashlib.sha256(b"".join(found[name].tobytes() for name in sorted(found)))
        print(digest.hexdigest(), flush=True)  # whose line may be another rank's
        if ranks is None or ranks.first:
            np.savez(Path(path), **found)


if __name__ == "__main__":
    main()
