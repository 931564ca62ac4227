"""The end of a server: soon, whatever clients do."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")

from PIL import Image
from running import HALF_HEAD, IMAGE, WATCHDOG

PROGRAM = """
import sys, time
from facegen.__main__ import main
from facegen.cli import serve_models
from facegen.serve.models import Models
class Pix2Pix:
    def prepare(self, picture):
        return picture.pixels
    def compute(self, prepared):
        print("computes", flush=True)
        time.sleep(600)
serve_models.models_of = lambda networks, engine: Models(pix2pix=Pix2Pix())
sys.argv = ["facegen", "serve", "--port", "0"]
sys.exit(main())
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    yield process
    process.kill()
    process.wait()


def connect_to(process: subprocess.Popen[str], *words: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port_of(process)), timeout=WATCHDOG)
    client.sendall(b"".join(words))
    return client


def port_of(process: subprocess.Popen[str]) -> int:
    if not hasattr(process, "port"):
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None
        process.port = int(found[1])  # type: ignore[attr-defined]
    return int(process.port)


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_it_ends_while_uploads_are_unfinished(
    process: subprocess.Popen[str], numbers: list[signal.Signals]
) -> None:
    """Soon, whatever clients do; and uploads that are broken off say nothing."""
    unfinished = (HALF_HEAD, IMAGE, b"Content-Length: 1000\r\n\r\n", bytes(10))
    for _ in range(3):
        connect_to(process, *unfinished).close()
    clients = [connect_to(process, *unfinished) for _ in range(3)]
    clients.append(connect_to(process, HALF_HEAD))
    client = HTTPConnection("127.0.0.1", port_of(process), timeout=WATCHDOG)
    client.request("GET", "/api/info")
    assert client.getresponse().status == 200
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    code = process.wait(WATCHDOG)
    assert process.stderr is not None
    if numbers == [signal.SIGINT]:
        assert (code, process.stderr.read()) == (0, "")
    else:
        assert (code, process.stderr.read()) == (143, "facegen: terminated\n")
    for opened in clients:
        opened.close()


def test_it_ends_while_a_picture_is_computed(process: subprocess.Popen[str]) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    length = b"Content-Length: %d\r\n\r\n" % len(picture.getvalue())
    client = connect_to(process, HALF_HEAD, IMAGE, length, picture.getvalue())
    assert process.stdout is not None and process.stdout.readline() == "computes\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(WATCHDOG) == 0
    client.close()
