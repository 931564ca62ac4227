"""Who the other ranks are: joined once, served until rank 0 ends, and let go at the exit."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading

from facegen import system
from facegen.launchers import find_place
from facegen.parallel.inherited import started_by_a_rank
from facegen.parallel.links import LinkLost
from facegen.parallel.transport import Transport, connect
from facegen.parallel.worker import JOB, STOP, received_job, work

# How long rank 0 waits for the others at its end; they may be at their last chunk.
_GOODBYE_SECONDS = 60.0

_transport: Transport | None = None
_leaving, _left = threading.Event(), threading.Event()


def transport_of_ranks() -> Transport | None:
    """The links to the other ranks, in rank 0 once it has joined; None where it is alone."""
    return _transport


def join() -> int:
    """Connect with the other ranks, if there are any; in those the call never returns.

    Ranks other than 0 compute for rank 0 until it ends, and end then. Call it early, before files
    are opened and weights are loaded; `run` calls it otherwise. A process that was started by
    itself goes on as it is, and so does one that a rank started as a tool.

    Returns
    -------
    int
        How many ranks share work from here on; 1 where there is this process alone.

    Raises
    ------
    FacegenError
        In every rank: MPI is missing, or sees another number of ranks than were started.
    """
    global _transport
    place = find_place(os.environ)
    if _transport is not None:
        return place.size
    if not place.connected or started_by_a_rank(place):
        return 1
    _transport = connect(place)
    if place.rank > 0:
        _serve(_transport)
    # Started here, since Python 3.12 refuses new threads at the exit.
    threading.Thread(target=_watch_the_end, args=[_transport], daemon=True).start()
    atexit.register(leave)
    return place.size


def _serve(transport: Transport) -> None:
    """Do jobs for rank 0 until it ends, and end: what the other ranks do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all ranks; rank 0 decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    link = transport.links[0]
    try:
        while (message := link.receive()[0]) != (STOP, None):
            if message == (JOB, None):
                work(link, *received_job(transport))
        link.send((STOP, None))
    except LinkLost:
        print("facegen: error: rank 0 is gone", file=sys.stderr, flush=True)
        os._exit(1)  # threads may hang in the link
    transport.close()
    sys.exit(0)


def leave() -> None:
    """Let the other ranks end; rank 0 registers this to run at its exit."""
    global _transport
    transport, _transport = _transport, None
    if transport is None:
        return
    _leaving.set()
    for link in transport.links.values():
        try:
            link.send((STOP, None))
            while link.receive()[0] != (STOP, None):
                pass  # results that nobody waits for any more
        except LinkLost:
            pass
    transport.close()
    _left.set()


def _watch_the_end(transport: Transport) -> None:
    """End the ranks that do not let rank 0 go once it leaves."""
    _leaving.wait()
    if not _left.wait(_GOODBYE_SECONDS):
        transport.abort()


def _forget() -> None:
    """Forget the links in a child that was forked: they are its parent's."""
    global _transport
    _transport = None


system.after_fork_in_child(_forget)
