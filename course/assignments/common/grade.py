"""Points for a submission: is it right, and how fast is it?

    python3 grade.py                         this very folder
    python3 grade.py submissions/*           a folder of each student: a table, and points.json
    python3 grade.py --full-seconds 0.5 ...  the time that has full points, on this machine

A submission is a folder with the files that a student changed or added. It is built and run in a
folder of its own, with all files that grade.json calls "given" as they were handed out: the clock,
the answers and this program are the grader's. Programs run as you do: grade in a container or under
a user who owns nothing. "wall" is what the whole program took: far above the seconds, look at it.

Points: a wrong result has 0. A right one has 100 at the time of full points and loses 10 for each
factor of 2 in time: 100 - 10 log2(seconds / full seconds), at least 0 and at most 100.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
POINTS, LOST_A_FACTOR_OF_2 = 100.0, 10.0
ELAPSED = re.compile(r"^Elapsed time : ([0-9.]+) sec$", re.MULTILINE)
MOST_FILES, MOST_BYTES = 1000, 64 << 20  # of what a student hands in


def points(seconds: float, full_seconds: float) -> float:
    """Of a right result.

    >>> points(2.0, 0.5), points(0.25, 0.5)
    (80.0, 100.0)
    """
    lost = LOST_A_FACTOR_OF_2 * math.log2(max(seconds, 1e-9) / full_seconds)
    return min(POINTS, max(0.0, POINTS - lost))


class Failure(Exception):
    """Why a submission has no points."""


def run(command: list[str], folder: Path, limit: float) -> str:
    """Its output; Failure says the end of it."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            timeout=limit,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]}: not done after {limit:g} s") from None
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no output"]
        told = next((line for line in lines if "error" in line), lines[-1])[:200]
        name = Path(command[0]).name
        wrong = name == "compare" and done.returncode == 1
        raise Failure(told if wrong else f"{name}: exit code {done.returncode}: {told}")
    return done.stdout


def put_together(submission: Path, given: list[str], folder: Path) -> None:
    """What the student hands in, and over it what was given; links are not followed."""
    copied = bytes_ = 0
    for path in sorted(submission.rglob("*")):
        if path.is_symlink() or not path.is_file() or ".git" in path.parts:
            continue
        name = path.relative_to(submission)
        if str(name) in given or path.suffix == ".o":
            continue
        copied, bytes_ = copied + 1, bytes_ + path.stat().st_size
        if copied > MOST_FILES or bytes_ > MOST_BYTES:
            raise Failure(f"more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    if not (folder / "Makefile").exists():
        shutil.copyfile(HERE / "Makefile", folder / "Makefile")
    for name in given:
        if name.startswith("answer"):  # no program needs to see it
            continue
        if not (HERE / name).is_file():
            raise SystemExit(f"{HERE / name}: missing; it was handed out")
        if (HERE / name).stat().st_size > 1 << 20:  # weights: not a copy for each student
            os.symlink(HERE / name, folder / name)
        else:
            shutil.copyfile(HERE / name, folder / name)


def build_compare(given: list[str], folder: Path, limit: float) -> Path:
    """The program that compares, of the handed out files alone."""
    for name in [*given, "Makefile"]:
        if not name.startswith(("answer", "input", "network")):
            shutil.copyfile(HERE / name, folder / name)
    run(["make", "-s", "compare"], folder, limit)
    return folder / "compare"


def grade(submission: Path, task: dict, compare: Path, full_seconds: float, limit: float) -> dict:
    """{"name", "verdict", "seconds", "wall", "points"}."""
    name = submission.resolve().name
    result = {"name": name, "verdict": "right", "seconds": None, "wall": None, "points": 0.0}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            put_together(submission, task["given"], folder)
            run(["make", "-s", task["program"]], folder, limit)
            total = wall = 0.0
            for case in task["runs"]:
                (folder / case["output"]).unlink(missing_ok=True)
                begin = time.perf_counter()
                said = run(["./" + task["program"], *case["arguments"]], folder, limit)
                wall += time.perf_counter() - begin
                # Of several lines the last: main.cpp prints it when all is done.
                times = ELAPSED.findall(said)
                if not times:
                    raise Failure("printed no elapsed time")
                run([str(compare), case["output"], str(HERE / case["answer"])], folder, limit)
                total += float(times[-1])
            result |= {"seconds": total, "wall": wall}
            result["points"] = round(points(total, full_seconds), 1)
        except Failure as failure:
            result["verdict"] = str(failure)
    return result


def line(result: dict) -> str:
    """Of the table; names and messages are printed as ASCII."""
    times = ["-" if result[key] is None else f"{result[key]:.6f}" for key in ("seconds", "wall")]
    text = f"{result['name']:24}{result['points']:8.1f}{times[0]:>13}{times[1]:>10.8}  "
    return (text + result["verdict"]).encode("ascii", "backslashreplace").decode()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submissions", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--full-seconds", type=float, help="time of full points")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for each program")
    options = parser.parse_args()
    task = json.loads((HERE / "grade.json").read_text())
    full = options.full_seconds if options.full_seconds is not None else task["full_seconds"]
    if not (math.isfinite(full) and full > 0):
        parser.error("--full-seconds: expected seconds above 0")
    missing = [str(path) for path in options.submissions if not path.is_dir()]
    if missing:
        parser.error(f"{missing[0]}: expected a submission's folder")
    print(f"full points at {full:.6f} s; 10 less for each factor of 2")
    print(f"{'':24}{'points':>8}{'seconds':>13}{'wall':>10}")
    results = []
    with tempfile.TemporaryDirectory() as place:
        compare = build_compare(task["given"], Path(place), options.limit)
        for submission in options.submissions:
            result = grade(submission, task, compare, full, options.limit)
            results.append(result)
            print(line(result), flush=True)
    if options.submissions != [HERE]:
        Path("points.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(result["verdict"] == "right" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
