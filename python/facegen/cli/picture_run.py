"""From the options of a picture command to its report.

A command finds out what is to be done with `plan`, makes its model and its `Task`, and ends with
`carry_out`. One that writes no files takes its share with `part_of`, calls `check_report`, and ends
with `run_shown` and `write_report`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from facegen import __version__
from facegen.cli import options, picture_options, terminal
from facegen.cli.progress import progress
from facegen.cli.terminal import counted
from facegen.engine import Runner
from facegen.parallel import find_shard
from facegen.pictures.items import is_folder
from facegen.pictures.passed_over import lines
from facegen.pictures.plan import Plan, Share, plan_results
from facegen.pictures.report import Outcome, Report
from facegen.pictures.sources import find
from facegen.pictures.task import Task


@dataclass(frozen=True)
class Asked:
    """What the options of a command say."""

    plan: Plan
    output: str
    json: str | None
    sharded: bool


def plan(
    suffixes: Sequence[str],
    pictures: Sequence[str],
    output: str,
    recursive: bool,
    format_: str,
    overwrite: bool,
    json_: str | None,
    shard: str | None,
) -> Asked:
    """Find the pictures, name the results, and take this process's share.

    `suffixes` are as for `facegen.pictures.items.items`, the others from `picture_options.inputs`.

    Raises
    ------
    FacegenError, OSError
        For what is wrong with names.
    """
    terminal.give_stdout_to({"--output": output, "--json": json_})
    found = find(pictures, recursive, skip=output if is_folder(output) else None)
    extension = picture_options.EXTENSIONS.get(format_, format_)
    part, json_ = part_of(shard, json_)
    planned = plan_results(found, output, suffixes, extension, overwrite, part)
    check_report(json_, overwrite)
    return Asked(planned, output, json_, shard is not None)


def part_of(shard: str | None, json_: str | None) -> tuple[Share, str | None]:
    """(i, n) of --shard, and the name of this share's report."""
    if shard is None:
        return (0, 1), json_
    part, parts = find_shard(shard, os.environ)
    if json_ is not None and json_ != "-":
        json_ = options.of_shard(json_, part)
    return (part, parts), json_


def carry_out(asked: Asked, task: Task, runner: Runner) -> int:
    """Run the task, show progress, failures and a summary, write the report.

    Returns
    -------
    int
        The exit code: 1 where a picture failed.
    """
    asked.plan.make_folder()
    report = run_shown(asked.plan, task, on_ranks=not asked.sharded)
    write_report(asked.json, report, task, runner)
    terminal.say(f"{asked.output}: {_summary(report)} on {options.device_used(runner)}")
    return report.exit_code


def check_report(path: str | None, overwrite: bool) -> None:
    """Whether --json can be written; an earlier run's report may be replaced by the same command.

    Raises
    ------
    FacegenError
        The file is something else, or its folder takes none.
    """
    options.check_report(path, overwrite or (path is not None and _is_report(path)))


def run_shown(plan: Plan, task: Task, on_ranks: bool = True) -> Report:
    """Do what is planned, with progress and a line on stderr for every failure.

    What was passed over is said first.
    """
    for line in lines(plan.passed_over):
        terminal.progressed(f"facegen: passed over: {line}")
    with progress(len(plan.items), "pictures") as advance:

        def show(outcome: Outcome) -> None:
            if outcome.status == "failed":
                terminal.fail(f"failed: {outcome.source}: {outcome.error}")
            else:
                to = f" -> {', '.join(outcome.outputs)}" if outcome.outputs else ""
                terminal.detail(f"{outcome.status}: {outcome.source}{to}")
            advance(1)

        return plan.run(task, show, on_ranks)


def write_report(path: str | None, report: Report, task: Task, runner: Runner) -> None:
    """What --json asks for, if it was given."""
    about = {
        "facegen": __version__,
        **task.settings,
        "device": runner.device,
        "isa": runner.isa,
        "threads": runner.threads,
    }
    options.write_report(path, report.as_json(about))


def _is_report(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(64).startswith(b'{\n  "facegen": "')


def _summary(report: Report) -> str:
    """As "8 done, 1 failed of 9 pictures in 1.50 s (5.3 pictures/s)"; without done ones no rate."""
    counts = [f"{report.count('done'):,} done"]
    for status in ("failed", "skipped"):
        if report.count(status):
            counts.append(f"{report.count(status):,} {status}")
    total = counted(len(report.outcomes), "picture")
    done = report.count("done")
    rate = f" ({done / report.seconds:.1f} pictures/s)" if done and report.seconds else ""
    return f"{', '.join(counts)} of {total} in {report.seconds:.2f} s{rate}"
