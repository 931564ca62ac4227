#!/usr/bin/env python3
"""Feeds random and hostile input to a part of the package for a given time.

    python tools/fuzz.py TARGET --seconds 3600 --seed 0
    python tools/fuzz.py TARGET --replay 1234

A target is a module of tools/fuzzing with a function ``one_round(rng) -> None`` that raises on a
fault; one whose name begins with an underscore is a part of others. Rounds run in a child process:
one that raises, dies by a signal, exits or hangs is a fault, named with its seed, and the next
child goes on behind it. Round i has the seed SEED + i. The exit code is 1 where a fault was found.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import pkgutil
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np

TOOLS = Path(__file__).parent
sys.path[:0] = [str(TOOLS), str(TOOLS.parent), str(TOOLS.parent / "tests")]
modules = pkgutil.iter_modules([str(TOOLS / "fuzzing")])
TARGETS = sorted(module.name for module in modules if not module.name.startswith("_"))
MOST_FAULTS = 10  # more are mostly the same one
SHOWN_LINES = 25  # of what a child that failed has printed


def run_rounds(target: str, seed: int, last: int, end: float, tell: int) -> None:
    """What a child does: the rounds from `seed` on, each told before it begins."""
    faulthandler.enable()
    one_round = import_module(f"fuzzing.{target}").one_round
    while seed < last and time.time() < end:
        os.write(tell, b"%d\n" % seed)
        one_round(np.random.default_rng(seed))
        seed += 1
    os.write(tell, b"%d\n" % seed)


def run_child(options: argparse.Namespace, seed: int, last: int, end: float) -> tuple[int, str]:
    """The seed that the child has come to, and how it failed; empty where it did not."""
    ours, childs = os.pipe()
    command = [sys.executable, __file__, options.target, "--child", str(childs)]
    command += ["--seed", str(seed), "--rounds", str(last - seed), "--until", str(end)]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        child = subprocess.Popen(
            command, pass_fds=[childs], stdout=output, stderr=output, start_new_session=True
        )
        os.close(childs)
        failure = ""
        try:
            while ready := select.select([ours], [], [], options.patience)[0]:
                told = os.read(ours, 1 << 16)
                if not told:
                    break
                seed = int(told.split()[-1])
            if not ready:
                failure = f"hangs for {options.patience} s"
                os.killpg(child.pid, signal.SIGABRT)  # faulthandler shows where
                time.sleep(1)
            else:
                code = child.wait(options.patience)
                if code < 0:
                    failure = f"ends by {signal.Signals(-code).name}"
                elif code > 0:
                    failure = f"ends with {code}"
        finally:
            os.close(ours)
            end_group(child)
        if failure:
            output.seek(0)
            failure = "\n".join([failure, *output.read().splitlines()[-SHOWN_LINES:]])
    return seed, failure


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End what the child may have started, and the child."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60, help="time to run [60]")
    parser.add_argument("--rounds", type=int, default=1 << 62, help="most rounds to run")
    parser.add_argument("--seed", type=int, help="of the first round [a random one]")
    parser.add_argument("--patience", type=float, default=300, help="seconds of a round [300]")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run this round alone, here")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay is not None:
        import_module(f"fuzzing.{options.target}").one_round(np.random.default_rng(options.replay))
        return 0
    first = secrets.randbelow(1 << 40) if options.seed is None else options.seed
    if options.child is not None:
        run_rounds(options.target, first, first + options.rounds, options.until, options.child)
        return 0

    end, last, seed, faults = time.time() + options.seconds, first + options.rounds, first, 0
    while time.time() < end and seed < last and faults < MOST_FAULTS:
        seed, failure = run_child(options, seed, last, end)
        if failure:
            print(f"fault: {options.target} --replay {seed}: {failure}", flush=True)
            faults += 1
            seed += 1
    print(f"{options.target}: {seed - first} rounds from seed {first}, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
