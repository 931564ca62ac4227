"""A process that computes in threads is forked, or ends, at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Threads, one with the models of the fork trial (tools/fuzzing/forks.py).
COMPUTING = """
import os, sys, threading, time
sys.path.insert(0, sys.argv[1])
from fuzzing import forks
forks.start_threads()
"""
POOL = (
    COMPUTING
    + """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    for _ in range(20):
        pool.apply_async(forks.use).get(60)
os._exit(0)
"""
)
# With one run of the interpreter in three the threads are inside the kernels or about to return.
END = (
    COMPUTING
    + """
time.sleep(float(sys.argv[2]))
"""
)


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The watchdog: a process that hangs is ended, and fails the test."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(ROOT / "tools"),
         *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_children_of_a_computing_process_compute() -> None:
    # Forks that find a lock of the engine taken are a few in a thousand.
    done = subprocess.run(
        [sys.executable, ROOT / "tools/fuzz.py", "forks", "--rounds", "8", "--seed", "0"],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pool_of_forked_processes_computes() -> None:
    done = run(POOL)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", range(8))
def test_daemon_threads_that_compute_at_the_end_do_not_abort_it(number: int) -> None:
    done = run(END, number / 100)
    assert done.returncode == 0 and done.stderr == ""


# The child has the parent's model and its tensor, both of which mean nothing there.
CHILD_WITH_A_TENSOR = """
import os, sys
import torch
import facegen
from facegen.networks.dcgan import initial_weights
generator = facegen.Generator(initial_weights(0), device="cuda:0")
latents = torch.zeros(4, 100, device="cuda")
generator(latents)
child = os.fork()
if child == 0:
    for call in (lambda: generator(latents), lambda: generator.images(latents)):
        try:
            call()
        except facegen.FacegenError as error:
            if "before this process was forked" in str(error):
                continue
            print(error, file=sys.stderr, flush=True)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
status = os.waitpid(child, 0)[1]
assert generator(latents).shape == (4, 64, 64, 3)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.cuda
def test_a_child_s_call_with_its_parent_s_tensor_is_refused() -> None:
    pytest.importorskip("torch")
    done = run(CHILD_WITH_A_TENSOR)
    assert done.returncode == 0, done.stderr
