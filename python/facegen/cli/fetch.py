"""facegen fetch NAME: a published network from the internet, or from a mirror."""

from __future__ import annotations

import click

from facegen.cli import options, terminal


def _published(context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    from facegen import hub

    return [name for name in hub.PUBLISHED if name.startswith(begun)]


@click.command(
    "fetch",
    epilog=options.examples(
        "facegen fetch",
        "facegen fetch colorizer",
        "facegen colorize photos -o coloured --network colorizer",
        "facegen fetch edges2cats --mirror https://example.org/networks",
    ),
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_published)
@click.option(
    "--mirror",
    metavar="URL",
    envvar="FACEGEN_MIRROR",
    help="Folder on another server that has the same files.  [$FACEGEN_MIRROR]",
)
@click.option("--offline", is_flag=True, help="Only look into the cache.")
@options.common
def command(names: tuple[str, ...], mirror: str | None, offline: bool) -> None:
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
            terminal.result(f"{published.name:{width}}  {published.summary}{here}")
        return
    for name in names:
        published = hub.look_up(name)
        terminal.progressed(f"{name}: {published.summary}")
        terminal.progressed(f"Licence: {published.licence}")
        terminal.detail(f"from {mirror or published.url}, to {hub.folder()}")
        with progress(published.about_bytes, "bytes") as advance:
            path = fetch(name, mirror, offline, advance)
        terminal.result(str(path))
