"""Where the server listens, and the address that people open."""

from __future__ import annotations

import re
import secrets
import socket
import threading
import webbrowser
from ipaddress import ip_address

from facegen.errors import FacegenError

# Segments of letters and the like, but for "." and "..", which browsers take as steps.
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w.~-]+)+", re.ASCII)
_MOST_PREFIX = 200  # characters


def is_here(host: str) -> bool:
    """Whether what listens there is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(24)


def checked_prefix(prefix: str) -> str:
    """The path that the page is below, "/tools/facegen", without a slash at its end.

    Raises
    ------
    FacegenError
        It is none that every browser and proxy leaves as it is.
    """
    path = prefix.removesuffix("/")
    if len(path) > _MOST_PREFIX or not _PREFIX.fullmatch(path):
        raise FacegenError(
            "--prefix: expected a path such as /facegen or /tools/facegen, of letters, digits, "
            f"'.', '_', '~' and '-', found {prefix[:_MOST_PREFIX]!r}"
        )
    return path


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound there and does not listen yet.

    Raises
    ------
    FacegenError
        There is no such address on this machine, or the port is taken.
    """
    try:
        family, kind, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise FacegenError(f"--host {host}: expected an address of this machine") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(place)
    except OSError as error:
        listener.close()
        what = f"port {port}" if is_here(host) else f"{host}, port {port}"
        raise FacegenError(f"{what}: {error.strerror} (--port takes another)") from None
    return listener


def address_of(listener: socket.socket, token: str | None, prefix: str = "") -> str:
    """What is opened in a browser; of a server at all addresses, that which others know.

    `prefix` is as for `facegen.serve.app.create_app`.
    """
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:
        host = _own_address(listener.family)
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}{prefix}/" + ("" if token is None else f"?token={token}")


def open_in_browser(address: str) -> None:
    """In a thread of its own: a browser of text alone ends when its user ends it."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _own_address(family: int) -> str:
    """Of the way that leads out of this machine; no packet is sent for it."""
    outside = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # nobody's, for examples
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((outside, 9))
        except OSError:  # without a network
            return socket.gethostname()
        host: str = asking.getsockname()[0]
        return host
