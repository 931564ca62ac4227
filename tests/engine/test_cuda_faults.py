"""A GPU that fails at work: one clear error, other devices still usable, nothing half written.

A fault ends the use of the GPU by the whole process, so each test has a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.cuda

# What a broken GPU looks like from here: a kernel of somebody else in the process hits a trap.
BREAK_GPU = """
import ctypes, os, sys, threading, time
import numpy as np
import facegen
from facegen.networks.dcgan import initial_weights, latents

def break_gpu():
    driver = ctypes.CDLL("libcuda.so.1")
    def call(name, *arguments):
        assert getattr(driver, name)(*arguments) == 0, name
    context, module, function = (ctypes.c_void_p() for _ in range(3))
    ptx = b".version 7.0\\n.target sm_70\\n.address_size 64\\n.visible .entry f() { trap; }\\n"
    call("cuInit", 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
    call("cuCtxPushCurrent_v2", context)
    call("cuModuleLoadData", ctypes.byref(module), ptx)
    call("cuModuleGetFunction", ctypes.byref(function), module, b"f")
    call("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
    assert driver.cuCtxSynchronize() != 0
    driver.cuCtxPopCurrent_v2(ctypes.byref(context))
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BREAK_GPU + textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("count", (1, 300), ids=("small", "pipelined"))
def test_a_broken_gpu_is_an_error_and_the_cpu_goes_on(count: int) -> None:
    result = run(
        """
        count = int(sys.argv[1])
        weights = initial_weights(0)
        on_gpu = facegen.Generator(weights, device="cuda:0")
        on_cpu = facegen.Generator(weights, device="cpu")
        z = latents(range(count))
        before = on_cpu(z)
        on_gpu(z)
        break_gpu()
        for _ in range(2):
            try:
                on_gpu(z)
            except facegen.errors.DeviceFailure as error:
                print(error)
            else:
                sys.exit("no error")
        assert np.array_equal(on_cpu(z), before)
        """,
        str(count),
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "cudaErrorLaunchFailure" in line or "cudaError" in line
        assert "this process cannot use the GPU any more" in line


def test_the_command_leaves_nothing_behind(tmp_path: Path) -> None:
    """The GPU breaks while the command waits for the second half of its input."""
    result = run(
        """
        from facegen import weights
        from facegen.cli.main import main
        from facegen.networks.dcgan import DCGAN

        os.chdir(sys.argv[1])
        weights.write("network.safetensors", DCGAN, initial_weights(0))
        os.mkfifo("input.txt")

        def feed():
            row = " ".join(["0.5"] * 100) + "\\n"
            with open("input.txt", "w") as file:
                file.write("512\\n" + row * 256)
                file.flush()
                time.sleep(3)
                break_gpu()
                file.write(row * 256)

        threading.Thread(target=feed, daemon=True).start()
        files = ["network.safetensors", "input.txt", "output.txt", "faces.bmp"]
        sys.exit(main([*files, "--device", "cuda"]))
        """,
        str(tmp_path),
    )
    assert result.returncode == 1, result.stderr
    assert len(result.stderr.splitlines()) == 1 and "cudaError" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.txt", "network.safetensors"]
