"""Steps of training beside PyTorch's: images a second on the CPU.

python -m bench.training [--threads 1,2] [--turns 5] [--cases lenet-64,...] [--steps]

Each engine is a process of its own; they take turns, the others waiting. Shown is the best turn's
rate, by the wall and, of one thread, by processor time, which other programs disturb less. PyTorch
runs eagerly, in channels_last. With --steps, what each step of the table takes here, also on a GPU:
--device cuda. Beside PyTorch on a GPU: python -m bench.gpu --training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np

from bench.tables import markdown_table
from bench.training.contenders import own_step, torch_step
from bench.training.ours import OwnLearner
from bench.training.turns import Maker, take_turns

CASES = ("lenet-64", "lenet-256", "discriminator-64", "generator-64")


ENGINES: dict[str, Callable[[str, int], Maker]] = {
    "facegen": lambda name, threads: (own_step, (name, "strict", threads)),
    "facegen, float32": lambda name, threads: (own_step, (name, "float32", threads)),
    "PyTorch": lambda name, threads: (torch_step, (name, threads)),
}


def measure(name: str, threads: int, turns: int) -> list[list[str]]:
    makers = {engine: maker(name, threads) for engine, maker in ENGINES.items()}
    best = take_turns(makers, turns, threads)
    images = int(name.rsplit("-", 1)[1])
    theirs = best["PyTorch"]
    return [
        [
            name,
            str(threads),
            engine,
            f"{images / wall:,.0f}",
            f"{theirs[0] / wall:.2f}",
            f"{images / used:,.0f}" if threads == 1 else "-",
            f"{theirs[1] / used:.2f}" if threads == 1 else "-",
        ]
        for engine, (wall, used) in best.items()
    ]


def show_steps(name: str, threads: int, precision: str, device: str) -> None:
    """The seconds of each step, the best of several."""
    learner = OwnLearner(name, precision, device, threads)
    images, total, rows = learner.case.images, 0.0, []
    best: list[np.ndarray] = []
    for _ in range(30 if device == "cpu" else 2):
        learner.step()
        found = [np.array(trainer.step_seconds) for trainer in learner.trainers]
        best = [np.minimum(*pair) for pair in zip(best or found, found, strict=True)]
    for trainer, times in zip(learner.trainers, best, strict=True):
        program, total = trainer.program, total + times.sum()
        steps = (*program.forward, *program.backward, *program.update)
        for step, kernel, seconds in zip(steps, trainer.kernels, times, strict=True):
            flops = program.flops(step) * images
            rows.append(
                [
                    step.name,
                    type(step).__name__,
                    kernel,
                    f"{seconds * 1e3:.2f}",
                    f"{flops / seconds / 1e9:.0f}" if flops and seconds else "-",
                ]
            )
    print(f"{name}, {threads} threads, {precision}: {total * 1e3:.1f} ms")
    print(markdown_table(["step", "op", "kernel", "ms", "GFLOP/s"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, choices=range(1, 100), default=5, metavar="N")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--precision", default="strict", help="of --steps")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of --steps")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.cases.split(","):
        for threads in map(int, arguments.threads.split(",")):
            if arguments.steps:
                show_steps(name, threads, arguments.precision, arguments.device)
                continue
            found = measure(name, threads, arguments.turns)
            rows += found
            print(*found, sep="\n", file=sys.stderr, flush=True)
    if rows:
        headers = ["case", "threads", "engine", "images/s", "ratio", "by processor", "ratio"]
        print(markdown_table(headers, rows))


if __name__ == "__main__":
    main()
