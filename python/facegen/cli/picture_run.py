"""From the options of a picture command to its report.

A command finds out what is to be done with `plan`, makes its model and its `Task`, and ends with
`carry_out`. One that writes no files takes its share with `take_share`, calls `check_report`, and
ends with `run_shown` and `write_report`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from facegen import __version__
from facegen.cli import options, picture_options, terminal
from facegen.cli.progress import progress
from facegen.cli.terminal import counted
from facegen.engine import Runner
from facegen.parallel import find_shard
from facegen.pictures.items import Item, is_folder, items
from facegen.pictures.passed_over import lines
from facegen.pictures.report import Outcome, Report
from facegen.pictures.results import FolderResults, OneResult, Results
from facegen.pictures.run import run
from facegen.pictures.sources import find
from facegen.pictures.task import Task
from facegen.shares import share


@dataclass(frozen=True)
class Plan:
    """What is to be done, found out before anything is loaded."""

    items: Sequence[Item]
    passed_over: Sequence[str]
    results: Results
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
) -> Plan:
    """Find the pictures, name the results, and take this process's share.

    `suffixes` are as for `facegen.pictures.items.items`, the others from `picture_options.inputs`.

    Raises
    ------
    FacegenError, OSError
        For what is wrong with names.
    """
    terminal.give_stdout_to({"--output": output, "--json": json_})
    folder = is_folder(output)
    found = find(pictures, recursive, skip=output if folder else None)
    extension = picture_options.EXTENSIONS.get(format_, format_)
    named = items(found.pictures, output, suffixes, extension)
    part, own, json_ = take_share(shard, named, json_)
    results: Results = OneResult(overwrite)
    if folder:
        results = FolderResults(output, overwrite, part, [item.source for item in named])
    check_report(json_, overwrite)
    passed_over = found.passed_over if part[0] == 0 else []  # one share says it for all
    return Plan(own, passed_over, results, output, json_, shard is not None)


def take_share(
    shard: str | None, items: Sequence[Item], json_: str | None
) -> tuple[tuple[int, int], Sequence[Item], str | None]:
    """(i, n) of --shard, the items of this share, and the name of its report."""
    if shard is None:
        return (0, 1), items, json_
    part, parts = find_shard(shard, os.environ)
    if json_ is not None and json_ != "-":
        json_ = options.of_shard(json_, part)
    own = share(len(items), part, parts)
    return (part, parts), items[own.start : own.stop], json_


def carry_out(plan: Plan, task: Task, runner: Runner) -> int:
    """Run the task, show progress, failures and a summary, write the report.

    `runner` is the model's, for what there is to say about the device. Returns the exit code: 1
    where a picture failed, else 0.
    """
    if is_folder(plan.output):
        os.makedirs(plan.output, exist_ok=True)  # where that fails, nothing has been computed
        options.check_folder(plan.output)
    try:
        report = run_shown(plan.items, task, plan.results, not plan.sharded, plan.passed_over)
    finally:
        plan.results.close()
    write_report(plan.json, report, task, runner)
    terminal.say(f"{plan.output}: {_summary(report)} on {options.device_used(runner)}")
    return report.exit_code


def check_report(path: str | None, overwrite: bool) -> None:
    """Whether --json can be written; an earlier run's report may be replaced by the same command.

    Raises
    ------
    FacegenError
        The file is something else, or its folder takes none.
    """
    options.check_report(path, overwrite or (path is not None and _is_report(path)))


def run_shown(
    items: Sequence[Item],
    task: Task,
    results: Results,
    on_ranks: bool = True,
    passed_over: Sequence[str] = (),
) -> Report:
    """`facegen.pictures.run.run`, with progress and a line on stderr for every failure.

    What was passed over is said first, and is in the report.
    """
    for line in lines(passed_over):
        terminal.progressed(f"facegen: passed over: {line}")
    with progress(len(items), "pictures") as advance:

        def show(outcome: Outcome) -> None:
            if outcome.status == "failed":
                terminal.fail(f"failed: {outcome.source}: {outcome.error}")
            else:
                to = f" -> {', '.join(outcome.outputs)}" if outcome.outputs else ""
                terminal.detail(f"{outcome.status}: {outcome.source}{to}")
            advance(1)

        report = run(items, task, results, show, on_ranks=on_ranks)
    return replace(report, passed_over=tuple(passed_over))


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
