"""A step of training faces, generator and discriminator, beside PyTorch's: processor time.

python -m bench.faces_training [--widths 64,32] [--batch 64] [--turns 2]

Pictures a second of one thread; the engines are processes of their own and take turns. PyTorch runs
eagerly in channels_last, and derives its gradient penalty twice. One step in eight has a penalty:
both kinds are measured, the least of the turns, and weighted so.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench.tables import markdown_table
from facegen.train.faces.settings import FaceSettings
from facegen.train.order import Order

ENGINES = ("facegen", "PyTorch")
PICTURES = 256


def player(engine: str, settings: FaceSettings) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, 64, 64, 3), dtype=np.uint8)
    if engine == "facegen":
        from facegen.train.faces.adversaries import Adversaries

        return Adversaries(pixels, settings, threads=1)
    import torch

    from facegen.train.faces.pytorch.adversaries import TorchAdversaries
    from facegen.train.faces.pytorch.ranks import Ranks

    torch.set_num_threads(1)
    return TorchAdversaries(pixels, settings, Ranks(0, 1, torch.device("cpu")))


def work(pipe: Connection, engine: str, settings: FaceSettings) -> None:
    """Answer each message with the seconds of a step with a penalty and of one without."""
    adversaries, order = player(engine, settings), Order(PICTURES, settings.batch, 0)
    for number in range(2):  # what is allocated once
        adversaries.step(adversaries.read(order(number)))
    turn = 1
    while pipe.recv():
        seconds = []
        for number in (turn * settings.penalty_every, turn * settings.penalty_every + 1):
            used = time.process_time()
            adversaries.step(adversaries.read(order(number)))
            seconds.append(time.process_time() - used)
        turn += 1
        pipe.send(seconds)


def measure(settings: FaceSettings, turns: int) -> dict[str, float]:
    """Pictures a second, by engines."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for engine in ENGINES:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, engine, settings))
        process.start()
        workers[engine] = process, here
    found: dict[str, list[list[float]]] = {engine: [] for engine in ENGINES}
    for _ in range(turns):
        for engine, (_, pipe) in workers.items():
            pipe.send(True)
            found[engine].append(pipe.recv())
    for process, pipe in workers.values():
        pipe.send(False)
        process.join()
    every = settings.penalty_every
    rates = {}
    for engine, all_ in found.items():
        penalised, plain = np.min(all_, axis=0)
        rates[engine] = float(every * settings.batch / (penalised + (every - 1) * plain))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--widths", default="64,32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    for width in map(int, arguments.widths.split(",")):
        rates = measure(FaceSettings(width=width, batch=arguments.batch), arguments.turns)
        ratio = rates["facegen"] / rates["PyTorch"]
        rows.append([str(width), *(f"{rate:.1f}" for rate in rates.values()), f"{ratio:.2f}"])
        print(*rows[-1], file=sys.stderr, flush=True)
    print(markdown_table(["width", *(f"{e}, pictures/s" for e in ENGINES), "ratio"], rows))


if __name__ == "__main__":
    main()
