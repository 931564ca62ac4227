"""A server that is really asked, on this machine, and clients of it as sockets."""

from __future__ import annotations

import json
import socket
import threading
from http.client import HTTPConnection, HTTPResponse
from typing import Any

WATCHDOG = 60.0
HALF_HEAD = b"POST /api/draw HTTP/1.1\r\nHost: localhost\r\n"
IMAGE = b"Content-Type: image/png\r\n"


class Running:
    """A server in a thread."""

    def __init__(self, models: Any) -> None:
        import uvicorn

        from facegen.serve import server
        from facegen.serve.app import create_app

        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        self.app = create_app(models)
        self.server = uvicorn.Server(server.settings(self.app))
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()

    def get(self, address: str) -> tuple[int, bytes]:
        client = HTTPConnection("127.0.0.1", self.port, timeout=WATCHDOG)
        try:
            client.request("GET", address)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def connect(self, *words: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=WATCHDOG)
        client.sendall(b"".join(words))
        return client

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(WATCHDOG)
        assert not self.thread.is_alive()
        self.listener.close()


def answer_of(client: socket.socket) -> tuple[int, dict[str, str]]:
    answer = HTTPResponse(client)
    answer.begin()
    return answer.status, json.loads(answer.read())


def is_closed(client: socket.socket) -> bool:
    """Wait until the server closes it without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
