"""What is to be done with pictures, found out before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from facegen.files.atomic import check_folder
from facegen.pictures.items import Item, is_folder, items
from facegen.pictures.report import Report
from facegen.pictures.results import FolderResults, OneResult, Results
from facegen.pictures.run import OnOutcome, run
from facegen.pictures.sources import Found
from facegen.pictures.task import Task
from facegen.shares import share

Share = tuple[int, int]  # (i, n): part i of n


@dataclass(frozen=True)
class Plan:
    """Pictures, and where their results go.

    Attributes
    ----------
    items
        Those of this process's share.
    passed_over
        Files where pictures were looked for that are not read; one share has them for all.
    output
        The folder or file of the results; None where there are none but facts.
    """

    items: Sequence[Item]
    passed_over: Sequence[str]
    results: Results
    output: str | None

    def make_folder(self) -> None:
        """Make that of the results, if they have one: where it fails, nothing has been computed."""
        if self.output is not None and is_folder(self.output):
            os.makedirs(self.output, exist_ok=True)
            check_folder(self.output)

    def run(self, task: Task, on_outcome: OnOutcome, on_ranks: bool) -> Report:
        """Do the task: `facegen.pictures.run.run`, and what was passed over in the report."""
        with closing(self.results):
            report = run(self.items, task, self.results, on_outcome, on_ranks=on_ranks)
        return replace(report, passed_over=tuple(self.passed_over))


def plan_results(
    found: Found,
    output: str,
    suffixes: Sequence[str],
    extension: str,
    overwrite: bool,
    part: Share = (0, 1),
) -> Plan:
    """Name the results as `facegen.pictures.items.items` does, and take a share of them.

    Raises
    ------
    FacegenError, OSError
        For what is wrong with names.
    """
    named = items(found.pictures, output, suffixes, extension)
    results: Results = OneResult(output, overwrite)
    if is_folder(output):
        results = FolderResults(output, overwrite, part, [item.source for item in named])
    return _share_of(named, found, results, output, part)


def plan_facts(found: Found, part: Share = (0, 1)) -> Plan:
    """Pictures, or a share of them, that are only looked at."""
    named = [Item(source.path, ()) for source in found.pictures]
    return _share_of(named, found, OneResult(None, overwrite=False), None, part)


def _share_of(
    named: Sequence[Item], found: Found, results: Results, output: str | None, part: Share
) -> Plan:
    own = share(len(named), *part)
    passed_over = found.passed_over if part[0] == 0 else []
    return Plan(named[own.start : own.stop], passed_over, results, output)
