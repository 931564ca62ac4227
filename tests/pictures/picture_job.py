"""A program for several ranks: picture_job.py COUNT [kill|raise]; prints what became of p0.png ...

With "kill", rank 1 kills itself at its fourth picture. With "raise", the network raises what no
picture should lead to, for p9.png.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import files
from facegen import parallel
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from facegen.pictures.task import Task

RANK = parallel.find_place(os.environ).rank
done = 0


def compute(values: list[files.np.ndarray]) -> list[files.np.ndarray]:
    global done
    if sys.argv[2:] == ["raise"] and any(len(value) == 5 + 9 for value in values):
        raise ZeroDivisionError("no luck")
    done += len(values)
    time.sleep(0.01)
    if RANK == 1 and done >= 4 and sys.argv[2:] == ["kill"]:
        time.sleep(0.2)  # so that those before are written
        os.kill(os.getpid(), signal.SIGKILL)
    return files.negative().compute(values)


def main() -> None:
    parallel.join()
    whole = files.negative(batch=2)
    task = Task(whole.settings, whole.prepare, compute, whole.finish, batch=2)
    items = [files.one(f"p{i}.png", f"out/p{i}.png") for i in range(int(sys.argv[1]))]
    report = run(items, task, FolderResults("out", False), workers=1)
    print(json.dumps([outcome.status for outcome in report.outcomes]))


if __name__ == "__main__":
    main()
