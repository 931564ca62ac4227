"""A program for several ranks: picture_job.py COUNT; does p0.png ... and prints their statuses."""

from __future__ import annotations

import json
import sys
import time

import files

from facegen import parallel
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from facegen.pictures.task import Task


def compute(values: list[files.np.ndarray]) -> list[files.np.ndarray]:
    time.sleep(0.01)
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
