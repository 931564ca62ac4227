"""A group of commands, each imported when it runs."""

from __future__ import annotations

from collections.abc import Container, Mapping
from importlib import import_module
from itertools import takewhile
from typing import Any

import click

# What may stand before a command's name as well as after it.
_COMMON = {"-q", "--quiet", "-v", "--verbose", "--debug"}


def command_first(args: list[str], commands: Container[str]) -> list[str]:
    """The words of a command line with a command's name before the options of every command."""
    options = list(takewhile(_COMMON.__contains__, args))
    rest = args[len(options) :]
    return [rest[0], *options, *rest[1:]] if rest and rest[0] in commands else args


class LazyGroup(click.Group):
    """Commands that live in modules of a package.

    Parameters
    ----------
    package
        Command NAME is ``command`` in its module NAME.
    summaries
        Command -> what its help says in the list.
    """

    def __init__(self, *args: Any, package: str, summaries: Mapping[str, str], **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._package, self._summaries = package, summaries

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, command_first(args, self._summaries) or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._summaries:
            return None
        return import_module(f"{self._package}.{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))
