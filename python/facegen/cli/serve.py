"""facegen serve: a page on this machine to play with the networks."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from facegen import extras
from facegen.cli import options, terminal


def _checked_token(
    _context: click.Context, _parameter: click.Parameter, token: str | None
) -> str | None:
    import re

    if token is None or re.fullmatch(r"[\w.~-]{16,200}", token, re.ASCII):
        return token
    raise click.BadParameter("expected 16 to 200 letters, digits, '.', '_', '~' or '-'")


@click.command(
    "serve",
    epilog=options.examples(
        "facegen serve --open",
        "facegen serve --network edges2cats --network colorizer",
        "facegen serve --network faces.bin --network cats.pict --network colorizer.bin --port 9000",
        "facegen serve --host 0.0.0.0                  # for a phone in the same network",
    ),
)
@click.option(
    "-n",
    "--network",
    "networks",
    multiple=True,
    type=click.Path(),
    shell_complete=options.networks,
    help="File of weights, or the name of a fetched network: for faces, drawings, photos, "
    "segmentation or digits; once for each kind. Others are fetched ones, "
    "or the package's own.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at. 0.0.0.0 is reached from other machines, such as a phone, by the "
    "address with a token that is printed.",
)
@click.option(
    "--token",
    envvar="FACEGEN_TOKEN",
    callback=_checked_token,
    help="What requests must know: for a server behind a reverse proxy. One is made up where "
    "--host is another than this machine.  [env: FACEGEN_TOKEN]",
)
@click.option(
    "--prefix",
    metavar="PATH",
    help="Path that the page is below, as /facegen: for a reverse proxy that leaves it in the "
    "requests that it hands on.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in the browser.")
@options.engine
@options.common
def command(
    networks: tuple[str, ...],
    port: int,
    host: str,
    token: str | None,
    prefix: str | None,
    opened: bool,
    engine: dict[str, Any],
) -> None:
    """Show a page to play on: faces to shape, paper to draw and write on, photos to take apart.

    Each part works where there is a network of its kind, and says how to get one where there is
    none. The server listens on this machine alone unless --host says otherwise, and turns away the
    requests of other web sites. It needs the extra [serve].
    """
    from facegen import FacegenError

    try:
        import uvicorn

        from facegen.cli.serve_models import models_of
        from facegen.serve import listening
        from facegen.serve.app import create_app
        from facegen.serve.server import settings
    except ImportError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise FacegenError(
            f"facegen serve needs {error.name}, which is missing: {extras.install('serve')}"
        ) from None

    below = "" if prefix is None else listening.checked_prefix(prefix)
    token = token or (None if listening.is_here(host) else listening.new_token())
    with listening.bound(host, port) as listener:  # first, since networks take seconds to load
        app = create_app(models_of(networks, engine), token, below)
        listener.listen()
        address = listening.address_of(listener, token, below)
        terminal.results_are_there()
        terminal.say(f"{address} (Ctrl-C ends it)")
        if opened:
            listening.open_in_browser(address)
        try:
            uvicorn.Server(settings(app)).run(sockets=[listener])
        except KeyboardInterrupt:  # the way to end it
            _end_at_once_if(app.state.places.busy, 0)
        except SystemExit as stopped:
            _end_at_once_if(app.state.places.busy, stopped.code)
            raise


def _end_at_once_if(busy: bool, code: Any) -> None:
    """Python would wait for threads that compute for nobody; nothing half written is left."""
    if busy:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
