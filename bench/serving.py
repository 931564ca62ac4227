"""Faces a second and latencies of a web service, with and without a batcher.

    python -m bench.serving

Clients are tasks of one event loop; each asks for one face, awaits it, and asks for the next.
"one by one" computes each request by itself, in turn, in a thread; the others go through
`facegen.Batcher`. Rounds go over all rows, so that a drifting clock meets all alike; a figure is
the median of its rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import facegen
from bench import machine
from bench.arguments import numbers
from bench.tables import markdown_table
from facegen.networks.dcgan import latents

Ask = Callable[[np.ndarray], Awaitable[Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=numbers, default=[1, 16], help="1,16")
    parser.add_argument("--threads", type=int, help="of the model; all if not given")
    parser.add_argument("--waits", default="0,2", help="max_wait of the batchers, in ms")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round, for each row")
    options = parser.parse_args()
    waits = [float(word) for word in options.waits.split(",")]
    rows = asyncio.run(_measure(options, waits))
    report = {"machine": machine.describe(), "options": vars(options), "rows": rows}
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serving.json").write_text(json.dumps(report, indent=2) + "\n")
    header = ["clients", "computed", "faces/s", "median ms", "99% within ms"]
    cells = [
        [str(row["clients"]), row["how"], f"{row['faces_per_second']:,.0f}"]
        + [f"{row[key]:.1f}" for key in ("median_ms", "p99_ms")]
        for row in rows
    ]
    print(markdown_table(header, cells))
    return 0


async def _measure(options: argparse.Namespace, waits: list[float]) -> list[dict[str, Any]]:
    model = facegen.Generator(device="cpu", threads=options.threads)
    loop = asyncio.get_running_loop()
    one = ThreadPoolExecutor(1)
    batchers = [facegen.Batcher(model.images, max_wait=wait / 1e3) for wait in waits]
    asks: list[tuple[str, Ask]] = [
        ("one by one", lambda latent: loop.run_in_executor(one, model.images, latent)),
        *((f"batcher, max_wait {w:g} ms", b) for w, b in zip(waits, batchers, strict=True)),
    ]
    cases = [(clients, how, ask) for clients in options.clients for how, ask in asks]
    rounds: list[list[tuple[float, float, float]]] = [[] for _ in cases]
    for number in range(options.rounds + 1):
        for case, (clients, _, ask) in enumerate(cases):
            found = await _round(ask, clients, options.seconds)
            if number > 0:  # the first warms up
                rounds[case].append(found)
        print(f"round {number} of {options.rounds}", file=sys.stderr)
    for batcher in batchers:
        await batcher.aclose()
    one.shutdown()
    keys = ("faces_per_second", "median_ms", "p99_ms")
    return [
        {"clients": clients, "how": how, **dict(zip(keys, np.median(found, axis=0), strict=True))}
        for (clients, how, _), found in zip(cases, rounds, strict=True)
    ]


async def _round(ask: Ask, clients: int, seconds: float) -> tuple[float, float, float]:
    """Faces a second, and the median and the 99th percentile of the milliseconds of one."""
    taken: list[float] = []
    begin = time.perf_counter()

    async def client(latent: np.ndarray) -> None:
        """Asks at least once, also where the round is over before its turn comes."""
        start = begin
        while start < begin + seconds:
            start = time.perf_counter()
            await ask(latent)
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*map(client, latents(range(clients))))
    rate = len(taken) / (time.perf_counter() - begin)
    median, p99 = np.percentile(taken, [50, 99]) * 1e3
    return rate, float(median), float(p99)


if __name__ == "__main__":
    sys.exit(main())
