"""A run of training as a process: loop_job.py FOLDER SECONDS [--resume], a digest at its end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from test_training_loop import digest, make

from facegen import train
from facegen.cli import signals


def main() -> int:
    signals.handle()
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    reports = train.Reports(
        folder,
        log_every=2,
        entry=lambda entry: print(entry, flush=True),
        note=lambda line: print(line, file=sys.stderr, flush=True),
    )
    loop, trainers = make(reports, steps=40)
    do = loop.step

    def slow(x):
        time.sleep(seconds)
        return do(x)

    loop.step = slow
    try:
        loop.run(resume="--resume" in sys.argv)
    except KeyboardInterrupt:
        return 130
    print(digest(trainers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
