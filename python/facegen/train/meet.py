"""How ranks without MPI find each other: the others call rank 0 where MASTER_ADDR says.

What is wrong is found at once where it can be: ranks that were told different numbers of them, an
address that is no host's. Who takes longer than a few seconds is named while they are waited for.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import time
from collections.abc import Mapping

from facegen.errors import FacegenError
from facegen.launchers import Place
from facegen.train.star import Star, frame_of, read_frame

MEET_SECONDS = 300.0  # within which all ranks must have come
_HELLO_SECONDS = 5.0  # of one connection, which may be nobody's
_QUIET_SECONDS = 5.0  # after which it is said who is waited for
_NAME_SECONDS = 20.0  # within which a server of names must answer; that there is no such is final


def meet(place: Place, environment: Mapping[str, str], seconds: float = MEET_SECONDS) -> Star:
    """The ranks that meet where MASTER_ADDR and MASTER_PORT say, as those of torchrun.

    Raises
    ------
    FacegenError
        The variables are missing or wrong, the port is taken, the address is no host's, ranks were
        told different numbers of them, or not all came in time.
    """
    host, port = environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", "")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16 - 1:
        raise FacegenError(
            f"{place.size} ranks were started, which takes MASTER_ADDR and MASTER_PORT, where they "
            f"meet; found {host!r} and {port!r}"
        )
    # torchrun's own agent listens at the port that it announces.
    taken = environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address = (host, int(port) + taken)
    meeting = _Meeting(seconds)
    if place.rank == 0:
        return Star(0, place.size, _accept_all(address, place.size, meeting))
    return Star(place.rank, place.size, {0: _call(address, place, meeting)})


class _Meeting:
    """The time that ranks have to meet; says once, on stderr, who is waited for."""

    def __init__(self, seconds: float) -> None:
        self._begin, self._seconds, self._said = time.monotonic(), seconds, False

    @property
    def passed(self) -> float:
        return time.monotonic() - self._begin

    @property
    def left(self) -> float:
        return self._seconds - self.passed

    def wait_for(self, whom: str) -> float:
        """For how many seconds to wait for them before this is to be called again."""
        if self._said:
            return max(0.01, self.left)
        if self.passed < _QUIET_SECONDS:
            return max(0.01, min(self.left, _QUIET_SECONDS - self.passed))
        self._said = True
        sys.stderr.write(f"facegen: waiting for {whom}, {self.left:.0f} s more at the most\n")
        sys.stderr.flush()
        return max(0.01, self.left)


def _accept_all(address: tuple[str, int], size: int, meeting: _Meeting) -> dict[int, socket.socket]:
    sockets: dict[int, socket.socket] = {}
    where = ":".join(map(str, address))
    try:
        listener = _listen(address)
    except OSError as error:
        raise FacegenError(f"rank 0 cannot listen at {where}: {error.strerror or error}") from None
    with listener:
        while len(sockets) < size - 1:
            missing = ", ".join(str(rank) for rank in range(1, size) if rank not in sockets)
            ranks = "rank" if len(sockets) == size - 2 else "ranks"
            listener.settimeout(meeting.wait_for(f"{ranks} {missing} of {size} at {where}"))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if meeting.left > 0:
                    continue
                raise FacegenError(
                    f"of {size} ranks {missing} did not come to {where} in time"
                ) from None
            rank = _greeted(connection, size)
            if rank is None or rank in sockets:
                connection.close()
            else:
                sockets[rank] = connection
    return sockets


def _listen(address: tuple[str, int]) -> socket.socket:
    family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
    try:
        return socket.create_server(address, family=family, backlog=4096)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
    # The name is one of a gateway's, say.
    return socket.create_server(("", address[1]), family=family, backlog=4096)


def _greeted(connection: socket.socket, size: int) -> int | None:
    """The rank that calls; None for anybody else.

    It is told how many ranks there are here. FacegenError where it was told another number.
    """
    connection.settimeout(_HELLO_SECONDS)
    try:
        _, message = read_frame(connection, at_root=True)
        hello = json.loads(message)
        rank, its_size = hello["facegen rank"], hello["of"]
        if not isinstance(rank, int) or not isinstance(its_size, int) or not 0 < rank < its_size:
            return None
        connection.sendall(frame_of({"of": size}))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if its_size != size:
        connection.close()
        raise _unequal(0, size, rank, its_size)
    _settle(connection)
    return rank


def _unequal(rank: int, size: int, other: int, its_size: int) -> FacegenError:
    return FacegenError(
        f"rank {rank} was started as one of {size}, and rank {other} as one of {its_size}: "
        "WORLD_SIZE must be the same for all"
    )


def _call(address: tuple[str, int], place: Place, meeting: _Meeting) -> socket.socket:
    where = ":".join(map(str, address))
    while True:
        left = meeting.wait_for(f"rank 0 at {where}")
        try:
            connection = socket.create_connection(address, timeout=left)
            break
        except OSError as error:
            said = error.strerror or error
            if isinstance(error, socket.gaierror) and (
                error.errno != socket.EAI_AGAIN or meeting.passed > _NAME_SECONDS
            ):
                raise FacegenError(
                    f"MASTER_ADDR {address[0]!r} is no host's name or address: {said}"
                ) from None
            if meeting.left <= 0:
                raise FacegenError(f"rank 0 cannot be reached at {where}: {said}") from None
            time.sleep(0.05)
    connection.settimeout(max(0.01, meeting.left))
    try:
        connection.sendall(frame_of({"facegen rank": place.rank, "of": place.size}))
        _, message = read_frame(connection, at_root=True)  # not more than JSON of a line
        size = json.loads(message)["of"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        connection.close()
        raise FacegenError(
            f"what listens at {where} is no rank 0, or one that has ended ({error})"
        ) from None
    if size != place.size:
        connection.close()
        raise _unequal(place.rank, place.size, 0, size)
    _settle(connection)
    return connection


def _settle(connection: socket.socket) -> None:
    """Messages go at once, and a machine that is gone is noticed within half a minute."""
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
