"""facegen serve: a page on this machine to play with the networks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any

import click

from facegen import extras
from facegen.cli import options, terminal


@click.command(
    "serve",
    epilog=options.examples(
        "facegen serve",
        "facegen serve --network edges2cats_AtoB.pict",
        "facegen serve --network faces.bin --network cats.pict --network colorizer.bin --port 9000",
    ),
)
@click.option(
    "-n",
    "--network",
    "networks",
    multiple=True,
    type=click.Path(),
    shell_complete=options.networks,
    help="File of weights (DCGAN, pix2pix or colorizer); may be given once for each kind. Faces "
    "are the package's own if not given.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes a free one.",
)
@options.engine
@options.common
def command(
    networks: tuple[str, ...],
    port: int,
    engine: dict[str, Any],
) -> None:
    """Show a page to play on: faces to shape, a canvas to draw on, photos to colourise.

    Each part works where a network of its kind is given. The server listens on this machine alone
    (127.0.0.1) and turns away the requests of other web sites; from another machine, use an SSH
    tunnel. It needs the extra [serve].
    """
    from facegen import FacegenError

    try:
        import uvicorn

        from facegen.serve.app import Models, create_app
        from facegen.serve.server import settings
    except ImportError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise FacegenError(
            f"facegen serve needs {error.name}, which is missing: {extras.install('serve')}"
        ) from None

    with _bound(port) as listener:  # first, since networks take seconds to load
        app = create_app(Models(**_models(networks, engine)))
        listener.listen()
        host, number = listener.getsockname()
        terminal.results_are_there()
        terminal.say(f"http://{host}:{number}/ (Ctrl-C ends it)")
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


def _bound(port: int) -> socket:
    from facegen import FacegenError

    listener = socket()
    listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise FacegenError(f"port {port}: {error.strerror} (--port takes another)") from None
    return listener


def _models(networks: Sequence[str], engine: Mapping[str, Any]) -> dict[str, Any]:
    """The model of each file, by the part of the page that it is for."""
    from facegen import Colorizer, FacegenError, Generator, Pix2Pix
    from facegen.cli.models import prepared
    from facegen.loading import load_known

    fields = {Generator: "generator", Pix2Pix: "pix2pix", Colorizer: "colorizer"}
    models: dict[str, Any] = {}
    for path in networks:
        model = prepared(load_known, path, engine)
        kind, field = model.network.name, fields.get(type(model))
        if field is None:
            raise FacegenError(f"{path}: the page has no use for a {kind} network")
        if field in models:
            raise FacegenError(f"{path}: is a second {kind} network, and the page takes one")
        models[field] = model
    if "generator" not in models:
        models["generator"] = Generator(**engine)
    return models
