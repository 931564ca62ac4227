"""What computes where a command's network is not named: the package's own, said with results."""

from __future__ import annotations

from facegen.cli import terminal

# Network -> what the package's own makes, and how to get another.
_WORDS = {
    "pix2pix": "portraits from line drawings, by the package's own small network",
    "segmentation": "parts of a face, by the package's own small network",
    "colorizer": "colours for grey photos, by the package's own small network",
}
_OTHERS = {"pix2pix": ("cats", "edges2cats"), "colorizer": ("far better ones", "colorizer")}


def introduce(named: str | None, file: str, network: str) -> None:
    """Say in a line, beside results, what computed them where no network was named.

    Parameters
    ----------
    named
        As the command line has it.
    file
        What was found for that name, or without one.
    """
    words = words_of(file, network) if named is None else None
    if words is not None:
        terminal.note_of_results(f"{words}{_details(network)}")


def words_of(file: str, network: str) -> str | None:
    """What a small network of the package makes, and how to get another; None of other files."""
    from facegen.networks import default

    if network not in _WORDS or file != str(default.path(default.FILES[network])):
        return None
    if network not in _OTHERS:
        return f"{_WORDS[network]}; of classes of your own: facegen train {network}"
    what, name = _OTHERS[network]
    return f"{_WORDS[network]}; {what}: facegen fetch {name}"


def _details(network: str) -> str:
    """Of what can be fetched, for those who do so by hand."""
    if network not in _OTHERS:
        return ""
    from facegen import hub

    published = hub.find(_OTHERS[network][1])
    assert published is not None  # the list has it
    digest = f", SHA-256 {published.sha256}..." if published.sha256 else ""
    size = f"{published.about_bytes // 10**6} MB"
    return f" ({published.url}, {size}{digest})"
