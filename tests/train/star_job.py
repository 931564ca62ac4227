"""Ranks without MPI: python star_job.py MODE.

Modes: "plain"; "fail 1", rank 1 fails while the others wait as for a GPU; "kill 1", it kills
itself; "all", all fail alike.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from facegen.errors import FacegenError
from facegen.train import ranks as train_ranks


def main() -> None:
    word, _, number = sys.argv[1].partition(" ")
    with train_ranks.join() as ranks:
        assert ranks is not None
        size = sum(ranks.all(1))
        assert ranks.told(size if ranks.first else None) == size
        if word == "all":
            with train_ranks.alike(ranks):
                raise FacegenError("all know it")
        if number == str(ranks.rank):
            time.sleep(0.2)
            if word == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise FacegenError("the disk is full")
        if number:
            threading.Event().wait(100.0)
        print(f"{ranks.rank}:{size}\n", end="", flush=True)


if __name__ == "__main__":
    main()
