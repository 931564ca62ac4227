"""facegen fetch NAME: a published network from the internet, or from a mirror."""

from __future__ import annotations

import click

from facegen.cli import options


@click.command(
    "fetch",
    epilog=options.examples(
        "facegen fetch",
        "facegen fetch colorizer",
        "facegen colorize photos -o coloured --network colorizer",
        "facegen fetch edges2cats --mirror https://example.org/networks",
    ),
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--mirror",
    metavar="URL",
    envvar="FACEGEN_MIRROR",
    help="Folder on another server that has the same files.  [$FACEGEN_MIRROR]",
)
@click.option("--offline", is_flag=True, help="Only look into the cache.")
@options.common
def command(names: tuple[str, ...], mirror: str | None, offline: bool, quiet: bool) -> None:
    """Fetch networks that others published, or list them.

    A file is checked by its SHA-256 and kept in a cache ($FACEGEN_CACHE, or ~/.cache/facegen).
    Where a command takes a network, its name then stands for it. The terms of its publishers,
    which are shown, hold for it; it is no part of facegen.
    """
    from facegen import fetch, hub
    from facegen.cli.progress import progress

    if not names:
        width = max(map(len, hub.PUBLISHED))
        for published in hub.PUBLISHED.values():
            here = " (fetched)" if hub.is_cached(published) else ""
            click.echo(f"{published.name:{width}}  {published.summary}{here}")
        return
    for name in names:
        published = hub.look_up(name)
        if not quiet:
            click.echo(f"{name}: {published.summary}\nLicence: {published.licence}", err=True)
        with progress(published.about_bytes, "bytes", quiet) as advance:
            path = fetch(name, mirror, offline, advance)
        click.echo(str(path))
