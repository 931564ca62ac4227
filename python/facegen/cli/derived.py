"""Help that lists what the registries list: looked up when it is shown, and kept nowhere else.

Texts have the lists as fields of `str.format`: ``{devices}``, ``{networks}``, ``{readable}``,
``{writable}``, ``{written[lenet]}`` (of one network), ``{few}`` (those that not every network has),
``{run_by[Classifier]}`` (networks of one model), ``{halves}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any, TypeVar

import click

Shown = TypeVar("Shown", click.Command, click.Option)


class DerivedHelp(click.Command):
    """A command whose docstring has such fields."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Command.format_help_text(_filled(self), ctx, formatter)


class DerivedOption(click.Option):
    """An option whose help has such fields."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return click.Option.get_help_record(_filled(self), ctx)


def one_of(words: Iterable[str]) -> str:
    """As "a, b or c"."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _filled(shown: Shown) -> Shown:
    """The same with what the registries list now."""
    filled = copy(shown)
    filled.help = (shown.help or "").format(**_lists())
    return filled


def _lists() -> dict[str, Any]:
    from facegen import weights
    from facegen.engine.devices import forms
    from facegen.networks import NETWORKS

    networks = NETWORKS.values()
    few = {
        extension: [network.name for network in networks if each.can_hold(network)]
        for extension, each in weights.writable().items()
    }
    return {
        "devices": one_of(forms()),
        "networks": one_of(NETWORKS),
        "run_by": {
            model.__name__: one_of(network.name for network in networks if network.model is model)
            for model in {network.model for network in networks}
        },
        "readable": one_of(each.title for each in weights.FORMATS),
        "writable": one_of(weights.writable()),
        "written": {network.name: one_of(weights.extensions(network)) for network in networks},
        "few": "; ".join(
            f"{extension} for {one_of(names)} alone"
            for extension, names in few.items()
            if len(names) < len(NETWORKS)
        ),
        "halves": one_of(ending for ending, each in weights.writable().items() if each.halves),
    }
