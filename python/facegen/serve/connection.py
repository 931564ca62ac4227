"""What one connection may take of time, of which uvicorn sets no limits itself.

| a client that | is let go after |
|---|---|
| has not sent the whole head of a request | `HEAD_SECONDS` |
| sends on after its answer | `REST_SECONDS`, in which that is read and dropped |
| does not take its answer | `ANSWER_SECONDS`, and as long as `LEAST_RATE` gives it |

What a body may take is in `facegen.serve.uploads`. Where there are too many connections, the one
that has been without a request for longest makes room.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
REST_SECONDS = 10.0
ANSWER_SECONDS = 60.0
LEAST_RATE = 32 << 10  # bytes a second that a client must send, and take
CONNECTIONS = 500  # half of the files that a process may usually open


class Connection(H11Protocol):
    """uvicorn's connection, with a timer."""

    _due: str | None = None  # what the client is to do: send a "head", or stop sending the "rest"
    _timer: asyncio.TimerHandle | None = None
    _unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > CONNECTIONS:
            others = [other for other in self.connections if isinstance(other, Connection)]
            idle = [other for other in others if other._due == "head"]
            min(idle, key=Connection._until, default=self).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()
        left = self.transport.get_write_buffer_size()
        if left > 0:
            seconds = ANSWER_SECONDS + left / LEAST_RATE
            self._unsent = self.loop.call_later(seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._timer, self._unsent, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def _watch(self) -> None:
        """Set the timer by what the client is to do; going on with the same gives no more time."""
        state, due = self.conn.their_state, None
        if state is h11.IDLE:
            due = "head"
        elif state is h11.SEND_BODY and self.cycle.response_complete:
            due = "rest"
        if due == self._due:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            seconds = HEAD_SECONDS if due == "head" else REST_SECONDS
            self._timer = self.loop.call_later(seconds, self.transport.close)

    def _until(self) -> float:
        return 0.0 if self._timer is None else self._timer.when()

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
