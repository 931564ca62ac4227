"""facegen serve: what it says and refuses; the page itself is tested in tests/serve."""

from __future__ import annotations

import builtins
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from command_line import Run


def test_without_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError("no uvicorn", name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("serve")
    assert result.code == 2
    assert "facegen serve needs uvicorn, which is missing: pip install 'starlette>=" in (
        result.err
    )


def test_bad_arguments(run: Run, network_bin: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")
    pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
    assert run("init", "lenet", "lenet.safetensors").code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, words in (
            (("--network", "missing.bin"), "missing.bin: No such file"),
            (("--network", "lenet.safetensors"), "the page has no use for a lenet network"),
            (("-n", network_bin, "-n", network_bin), "is a second dcgan network"),
            (("--port", "70000"), "70000 is not in the range"),
            (("-n", network_bin, "--port", taken.getsockname()[1]), "Address already in use"),
        ):
            result = run("serve", *arguments, "--device", "cpu")
            assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err


def test_it_answers_on_this_machine_until_ctrl_c(network_bin: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")
    process = subprocess.Popen(
        [sys.executable, "-m", "facegen", "serve", "--port", "0", "-n", network_bin],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}api/info", timeout=60) as response:
        info = json.load(response)
    assert info["faces"] and not info["draw"] and not info["colorize"]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
