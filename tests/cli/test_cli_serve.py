"""facegen serve: what it says and refuses; the page itself is tested in tests/serve."""

from __future__ import annotations

import builtins
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Run

from facegen.networks import default


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
    assert run("init", "squeezenet", "squeezenet.safetensors").code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, words in (
            (("--network", "missing.bin"), "missing.bin: No such file"),
            (("-n", "squeezenet.safetensors"), "the page has no use for a squeezenet network"),
            (("-n", network_bin, "-n", network_bin), "is a second network of the part faces"),
            (("--port", "70000"), "70000 is not in the range"),
            (("--host", "no such host"), "--host no such host: expected an address of this"),
            (("--host", "192.0.2.7"), "192.0.2.7, port 8000: "),
            (("--token", "too-short"), "expected 16 to 200 letters, digits"),
            (("--token", "sixteen;and;more;"), "expected 16 to 200 letters, digits"),
            (("--prefix", "facegen"), "--prefix: expected a path such as /facegen"),
            (("--prefix", "/a//b"), "--prefix: expected a path such as /facegen"),
            (("--prefix", "/../b"), "--prefix: expected a path such as /facegen"),
            (("--prefix", "/"), "--prefix: expected a path such as /facegen"),
            (("--prefix", "/a?b"), "--prefix: expected a path such as /facegen"),
            (("--prefix", "/a\n"), "--prefix: expected a path such as /facegen"),
            (("-n", network_bin, "--port", taken.getsockname()[1]), "Address already in use"),
        ):
            result = run("serve", *arguments, "--device", "cpu")
            assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a server and gives the line that it prints; it ends by Ctrl-C."""
    pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")
    processes = []

    def start(*arguments: str, **environment: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "facegen", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
            | environment,
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline()

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


def info_of(address: str, **headers: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{address}api/info", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        found: dict[str, Any] = json.load(response)
    return found


def test_it_answers_on_this_machine_until_ctrl_c(
    serve: Callable[..., str], network_bin: Path
) -> None:
    address = serve("-n", str(network_bin)).split()[0]
    assert re.fullmatch(r"http://127.0.0.1:\d+/", address)
    info = info_of(address)
    assert info["faces"] and len(info["sliders"]) == 8  # the file has no traits beside it
    assert info["digits"], "the package has its own"


def test_without_networks_the_package_has_its_own(
    serve: Callable[..., str], tmp_path: Path
) -> None:
    """What it has none for, it says how to get."""
    info = info_of(serve(FACEGEN_CACHE=str(tmp_path)).split()[0])
    assert "smile" in info["sliders"] and info["reach"] == 3
    assert all(info[part] for part in ("faces", "draw", "segment", "digits"))
    assert info["hints"]["draw"].startswith("Portraits from line drawings, by the package's own")
    assert info["hints"]["segment"].startswith("Parts of a face")
    words = info["hints"]["colorize"]
    if "colorizer" in default.FILES:
        assert info["colorize"] and words.startswith("Colours for grey photos")
    else:
        assert not info["colorize"] and words.startswith("facegen fetch colorizer")


def test_other_machines_need_a_token(serve: Callable[..., str]) -> None:
    line = serve("--host", "0.0.0.0")
    found = re.match(r"http://([^:/]+):(\d+)/\?token=([\w-]{32}) ", line)
    assert found is not None, line
    address = f"http://127.0.0.1:{found[2]}/"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        info_of(address)
    assert info_of(address, Authorization=f"Bearer {found[3]}")["faces"]


def test_a_token_of_ones_own(serve: Callable[..., str]) -> None:
    token = "of-the-environment"
    address = serve(FACEGEN_TOKEN=token).split()[0]
    assert address.endswith(f"/?token={token}")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        info_of(address.partition("?")[0])


def test_a_page_below_a_prefix(serve: Callable[..., str]) -> None:
    address = serve("--prefix", "/tools/facegen/", "--token", "a-token-of-the-test").split()[0]
    found = re.fullmatch(r"(http://127.0.0.1:\d+)/tools/facegen/\?token=(.*)", address)
    assert found is not None, address
    bearer = {"Authorization": f"Bearer {found[2]}"}
    assert info_of(address.partition("?")[0], **bearer)["faces"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        info_of(f"{found[1]}/", **bearer)


def test_it_opens_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from facegen.serve import listening

    opened: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(listening.webbrowser, "open", opened.put)
    listening.open_in_browser("http://127.0.0.1:1/")
    assert opened.get(timeout=60) == "http://127.0.0.1:1/"
