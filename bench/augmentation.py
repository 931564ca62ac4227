"""Augmentation beside PyTorch's: pictures a second, on the CPU.

python -m bench.augmentation [--threads 1,2] [--turns 5]

Both make the same changes, of the policy for small sets and of all kinds; PyTorch by grid_sample
and einsum, in channels_last. They take turns. Shown are the best turn's pictures by the wall, and
the engines' ratio, of one thread by processor time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from bench.tables import markdown_table
from facegen.train.augment import SMALL_SET, Augmentation

POLICIES = {
    "small set": SMALL_SET,
    "all kinds": Augmentation(
        flip=0.5, translate=0.1, rotate=15, shear=10, scale=0.2, stretch=0.1, lens=0.1,
        brightness=0.2, contrast=0.2, saturation=0.3, hue=10, pca=0.1, cutout=0.3, axes=np.eye(3),
    ),
}
SHAPES = ((64, 64), (64, 224))  # pictures of a batch; their side
SECONDS = 0.5  # of a turn, at least


def own(policy: Augmentation, pictures: np.ndarray, threads: int) -> Callable[[], object]:
    random = np.random.default_rng(0)
    return lambda: policy(pictures, random, threads)


def pytorch(policy: Augmentation, pictures: np.ndarray, threads: int) -> Callable[[], object]:
    import torch

    from facegen.train.faces.pytorch.augment import apply

    random = np.random.default_rng(0)
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2)

    def step() -> object:
        torch.set_num_threads(threads)
        return apply(policy.draw(len(pictures), random), tensor)

    return step


def turn(step: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, the least by the wall and the mean by processor time."""
    count, start, used, best = 0, time.perf_counter(), time.process_time(), float("inf")
    while time.perf_counter() - start < SECONDS or count < 3:
        began = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - began)
        count += 1
    return best, (time.process_time() - used) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for n, side in SHAPES:
        pictures = np.random.default_rng(1).uniform(-1, 1, (n, side, side, 3)).astype(np.float32)
        for name, policy in POLICIES.items():
            for threads in map(int, arguments.threads.split(",")):
                steps = [make(policy, pictures, threads) for make in (own, pytorch)]
                for step in steps:
                    step()
                turns = [[turn(step) for step in steps] for _ in range(arguments.turns)]
                ours, theirs = np.min(turns, axis=0)
                column = 0 if threads > 1 else 1
                rows.append([
                    f"{side}x{side}, {name}", str(threads), f"{n / ours[0]:,.0f}",
                    f"{n / theirs[0]:,.0f}", f"{theirs[column] / ours[column]:.1f}",
                ])
    print(markdown_table(["pictures", "threads", "facegen", "PyTorch", "ratio"], rows))


if __name__ == "__main__":
    main()
