"""What every rank of `bench.scaling` runs; rank 0 prints one line of JSON."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from facegen import parallel
from facegen.engine import Runner
from facegen.networks import NETWORKS
from facegen.numbers.text import face_text

DISTINCT = 8  # chunks of input, used in turns


@cache
def runner(network: str, device: str, precision: str, threads: int | None) -> Runner:
    """One a process, made when it is first used."""
    description = NETWORKS[network]
    model = description.model(
        description.initial_weights(1), device=device, precision=precision, threads=threads
    )
    made: Runner = model.runner
    return made


def compute(key: tuple[Any, ...], chunk: np.ndarray) -> np.ndarray:
    result: np.ndarray = runner(*key)(chunk)
    return result


def digest(results: np.ndarray) -> bytes:
    return hashlib.sha256(results.data).digest()


ENCODERS = {"none": len, "float": None, "text": face_text}


def main() -> None:
    options = json.loads(sys.argv[1])
    parallel.join()
    place = parallel.find_place(os.environ)
    key = tuple(options[name] for name in ("network", "device", "precision", "threads"))
    own = runner(*key)
    view = own.program.inputs[0]
    shape = (options["chunk"], view.height, view.width, view.channels)
    inputs = [
        np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
        for seed in range(DISTINCT)
    ]

    def source(chunks: int) -> Iterator[np.ndarray]:
        for i in range(chunks):
            yield inputs[i % DISTINCT]

    work = partial(compute, key)
    parallel.run(source(4 * place.size), work, lambda result: None, len)  # all prepare their model
    total = hashlib.sha256()
    parallel.run(source(2 * DISTINCT), work, total.update, digest)
    rates = {}
    for kind in options["results"].split(","):
        seconds = []
        for _ in range(options["repeats"]):
            start = time.perf_counter()
            parallel.run(source(options["chunks"]), work, lambda result: None, ENCODERS[kind])
            seconds.append(time.perf_counter() - start)
        rates[kind] = options["chunks"] * options["chunk"] / min(seconds)
    report = {
        "device": own.device,
        "isa": own.isa,
        "threads": own.threads,
        "images_per_second": rates,
        "digest": total.hexdigest(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
