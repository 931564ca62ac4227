"""Points for a submission: is it right, and how fast is it?

    python3 grade.py                         this very folder
    python3 grade.py submissions/*           a folder of each student: a table, and points.json
    python3 grade.py --full-seconds 0.5 ...  the time that has full points, on this machine

A submission is a folder with the files that a student changed or added. It is built and run in a
folder of its own, with copies of all files that grade.json calls "given" as they were handed out.

What is trusted: this program, its folder, and its clock. Programs of students run with your rights
unless --user names another user (you are root then), and whoever runs them must not be able to read
this folder, for the answers are in it, or to write anything that counts: take a container, or
--user. The seconds are the program's own word, one line of it; "wall" is what this program's clock
said of all of it, and at least --wall-share of that is counted. Wall far above seconds: look at it.

Points: a wrong result has 0. A right one has 100 at the time of full points and loses 10 for each
factor of 2 in time: 100 - 10 log2(seconds / full seconds), at least 0 and at most 100.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
POINTS, LOST_A_FACTOR_OF_2 = 100.0, 10.0
ELAPSED = re.compile(r"^Elapsed time : ([0-9]{1,9}\.[0-9]{1,9}) sec$", re.MULTILINE)
MOST_FILES, MOST_BYTES = 1000, 64 << 20  # of what a student hands in
MOST_PRINTED = 1 << 20
WALL_SHARE = 0.02  # reading the files and starting a GPU may take many times what is computed


def points(seconds: float, full_seconds: float) -> float:
    """Of a right result.

    >>> points(2.0, 0.5), points(0.25, 0.5)
    (80.0, 100.0)
    """
    lost = LOST_A_FACTOR_OF_2 * math.log2(max(seconds, 1e-9) / full_seconds)
    return min(POINTS, max(0.0, POINTS - lost))


class Failure(Exception):
    """Why a submission has no points."""


def run(command: list[str], folder: Path, limit: float, user: str | None = None) -> str:
    """Its output; Failure says the end of it. What it has started ends with it."""
    rights: dict = {}
    if user is not None:
        rights = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    with tempfile.TemporaryFile() as file:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **rights,
            )
        except OSError as error:
            raise Failure(f"{command[0]}: {error.strerror}") from None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"{command[0]}: not done after {limit:g} s") from None
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        file.seek(0)
        said = file.read(MOST_PRINTED + 1).decode(errors="replace")
    if code:
        lines = [line for line in said.splitlines() if line.strip()] or ["no output"]
        told = next((line for line in lines if "error" in line), lines[-1])[:200]
        name = Path(command[0]).name
        wrong = name == "compare" and code == 1
        raise Failure(told if wrong else f"{name}: exit code {code}: {told}")
    if len(said) > MOST_PRINTED:
        raise Failure(f"{command[0]}: printed more than {MOST_PRINTED >> 20} MiB")
    return said


def seconds_said(said: str) -> float:
    """What main.cpp prints, once; a second line of the kind is somebody else's."""
    times = ELAPSED.findall(said)
    if not times:
        raise Failure("printed no elapsed time")
    if len(times) > 1:
        raise Failure(f"printed {len(times)} elapsed times")
    return float(times[0])


def put_together(submission: Path, given: list[str], folder: Path) -> None:
    """What the student hands in, and over it what was given; links are not followed."""
    copied = bytes_ = 0
    for path in sorted(submission.rglob("*")):
        if path.is_symlink() or not path.is_file() or ".git" in path.parts:
            continue
        name = path.relative_to(submission)
        if name.parts[0] in given or path.suffix == ".o":
            continue
        copied, bytes_ = copied + 1, bytes_ + path.stat().st_size
        if copied > MOST_FILES or bytes_ > MOST_BYTES:
            raise Failure(f"more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    if not (folder / "Makefile").exists():
        shutil.copyfile(HERE / "Makefile", folder / "Makefile")
    for file in given:
        if file.startswith("answer"):  # no program needs to see it
            continue
        # Never a link: what a program writes there would be the next one's, and shows this folder.
        shutil.copyfile(HERE / file, folder / file)


def build_compare(given: list[str], folder: Path, limit: float) -> Path:
    """The program that compares, of the handed out files alone."""
    for name in [*given, "Makefile"]:
        if not name.startswith(("answer", "input", "network")):
            shutil.copyfile(HERE / name, folder / name)
    run(["make", "-s", "compare"], folder, limit)
    return folder / "compare"


def grade(submission: Path, task: dict, compare: Path, options: argparse.Namespace) -> dict:
    """{"name", "verdict", "seconds", "wall", "points"}: one that is odd has a verdict as well."""
    name = submission.resolve().name
    result = {"name": name, "verdict": "right", "seconds": None, "wall": None, "points": 0.0}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        try:
            put_together(submission, task["given"], Path(place))
            if options.user is not None:
                hand_over(Path(place), options.user)
            seconds, wall = build_and_run(task, Path(place), compare, options)
            result |= {"seconds": seconds, "wall": wall}
            result["points"] = round(points(seconds, options.full_seconds), 1)
        except Failure as failure:
            result["verdict"] = str(failure)
        except (OSError, shutil.Error) as error:
            result["verdict"] = f"cannot be graded: {error}"
    return result


def hand_over(folder: Path, user: str) -> None:
    """All of a folder to a user."""
    entry = pwd.getpwnam(user)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def build_and_run(
    task: dict, folder: Path, compare: Path, options: argparse.Namespace
) -> tuple[float, float]:
    """Seconds that count, and those of this program's clock; Failure if something is not right."""
    program, limit, user = task["program"], options.limit, options.user
    run(["make", "-s", program], folder, limit, user)
    total = total_wall = 0.0
    for case in task["runs"]:
        output = folder / case["output"]
        output.unlink(missing_ok=True)
        begin = time.perf_counter()
        said = run(["./" + program, *case["arguments"]], folder, limit, user)
        wall = time.perf_counter() - begin
        seconds = seconds_said(said)
        if output.is_symlink() or not output.is_file():
            raise Failure(f"{case['output']}: is no file")
        run([str(compare), case["output"], str(HERE / case["answer"])], folder, limit)
        total += max(seconds, options.wall_share * wall)
        total_wall += wall
    return total, total_wall


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
    parser.add_argument("--user", help="who builds and runs submissions, where you are root")
    parser.add_argument(
        "--wall-share",
        type=float,
        default=WALL_SHARE,
        help=f"of a run's wall time that counts at least ({WALL_SHARE:g}; less for fast GPUs)",
    )
    options = parser.parse_args()
    task = json.loads((HERE / "grade.json").read_text())
    if options.full_seconds is None:
        options.full_seconds = task["full_seconds"]
    full = options.full_seconds
    if not (math.isfinite(full) and full > 0):
        parser.error("--full-seconds: expected seconds above 0")
    if not 0 <= options.wall_share <= 1:
        parser.error("--wall-share: expected 0 to 1")
    try:
        if options.user is not None:
            pwd.getpwnam(options.user)
    except KeyError:
        parser.error(f"--user: there is no user {options.user}")
    missing = [str(path) for path in options.submissions if not path.is_dir()]
    if missing:
        parser.error(f"{missing[0]}: expected a submission's folder")
    lost = [name for name in task["given"] if not (HERE / name).is_file()]
    if lost:
        raise SystemExit(f"{HERE / lost[0]}: missing; it was handed out")
    print(f"full points at {full:.6f} s; 10 less for each factor of 2")
    print(f"{'':24}{'points':>8}{'seconds':>13}{'wall':>10}")
    results: list[dict] = []
    with tempfile.TemporaryDirectory() as place:
        try:
            compare = build_compare(task["given"], Path(place), options.limit)
        except Failure as failure:
            raise SystemExit(f"the program that compares: {failure}") from None
        try:
            for submission in options.submissions:
                results.append(grade(submission, task, compare, options))
                print(line(results[-1]), flush=True)
        finally:
            if options.submissions != [HERE]:
                Path("points.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(result["verdict"] == "right" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
