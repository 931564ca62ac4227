"""facegen digits INPUT...: which digits images show."""

from __future__ import annotations

import os
from typing import Any

import click

from facegen.cli import options, picture_options, terminal
from facegen.cli.shared import SharedCommand
from facegen.errors import FormatError
from facegen.files.standard import is_stdout


@click.command(
    "digits",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen digits seven.png photos/",
        "facegen digits t10k-images-idx3-ubyte.gz",
        "facegen digits t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz",
        "facegen digits seven.png --network binary",
        "facegen digits seven.png --network mine.safetensors --json report.json",
        "facegen digits scans/ -r --shard auto --json 'report-{shard}.json'",
    ),
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-n", "--network", type=click.Path(), shell_complete=options.networks,
    help="File of weights; the package's own digits if not given. \"binary\": the package's own "
    "network of signs.",
)
@click.option("-r", "--recursive", is_flag=True, help="Take folders with all below them.")
@click.option(
    "--labels", type=click.Path(),
    help="The right answers (IDX, for one INPUT that is IDX too): gives the accuracy.",
)
@options.json_report
@click.option("--overwrite", is_flag=True, help="Replace a file that is no report by the report.")
@picture_options.max_pixels
@picture_options.shard_option
@options.engine
@options.common
def command(
    inputs: tuple[str, ...],
    network: str | None,
    recursive: bool,
    labels: str | None,
    json_: str | None,
    overwrite: bool,
    shard: str | None,
    engine: dict[str, Any],
) -> int:
    """Say which digit each image shows: digit, probability and name, a line each.

    INPUT is an IDX file (.gz or not) of 28x28 images as MNIST's, or a picture of one digit, a
    folder or a glob of such. Pictures may be of any size, dark on light or light on dark: the digit
    is cut out, made 20 pixels high or wide and centred in 28x28 by its mass, as MNIST's were.

    With --labels, images that are read wrongly, the accuracy, and how often each digit (row) was
    taken for each other (column). One INPUT that cannot be read fails alone. The report (--json)
    has the probabilities of all ten digits.
    """
    from facegen import DigitClassifier, __version__
    from facegen.cli import picture_run
    from facegen.cli.models import prepared
    from facegen.numbers import idx
    from facegen.pictures.digits import entries as entries_of
    from facegen.pictures.digits import judge, task
    from facegen.pictures.plan import plan_facts
    from facegen.pictures.sources import find

    found = find(inputs, recursive)
    right = None if labels is None else idx.read(labels, dimensions=1)
    if right is not None and (len(found.pictures) > 1 or not _is_idx(found.pictures[0].path)):
        raise click.UsageError("--labels are those of one INPUT that is an IDX file")
    if right is not None and shard is not None:
        raise click.UsageError("--shard shares several INPUTs, and --labels are those of one")
    part, json_ = picture_run.part_of(shard, json_)
    picture_run.check_report(json_, overwrite)
    classifier = prepared(DigitClassifier, network, engine)
    plan = plan_facts(found, part)
    done = picture_run.run_shown(plan, task(classifier), on_ranks=shard is None)
    entries = entries_of(done.outcomes)
    report: dict[str, Any] = {
        "facegen": __version__,
        "device": classifier.runner.device,
        "images": entries,
        "failed": [
            {"name": outcome.source, "reason": f"{outcome.source}: {outcome.error}"}
            for outcome in done.outcomes
            if outcome.status == "failed"
        ],
        "passed_over": list(done.passed_over),
    }
    if right is not None and not report["failed"]:
        if len(right) != len(entries):
            raise FormatError(f"{labels}: expected {len(entries):,} labels, found {len(right):,}")
        report |= judge(entries, right)
    if not is_stdout(json_):
        for entry in entries:
            if (line := text_line(entry)) is not None:
                terminal.say(line)
        if "accuracy" in report:
            for line in table(report):
                terminal.say(line)
    options.write_report(json_, report)
    return done.exit_code


def _is_idx(path: str) -> bool:
    from facegen.numbers import idx

    if not os.path.isfile(path):  # a pipe's beginning would be lost
        return False
    with open(path, "rb") as file:
        return idx.is_idx(file.read(4))


def text_line(entry: dict[str, Any]) -> str | None:
    """Digit, probability, name; None of images that are right, where that is known."""
    line = f"{entry['digit']}  {entry['probability']:.4f}  {entry['name']}"
    if "label" not in entry:
        return line
    return None if entry["digit"] == entry["label"] else f"{line}  (is {entry['label']})"


def table(report: dict[str, Any]) -> list[str]:
    """The accuracy, and a row of counts for each label."""
    count = sum(map(sum, report["confusion"]))
    rows = [
        f"{label:>5}" + "".join(f"{n or '.':>7}" for n in row)
        for label, row in enumerate(report["confusion"])
    ]
    return [
        f"{report['right']:,} of {count:,} right: {report['accuracy']:.2%}",
        f"{'label':>5}" + "".join(f"{digit:>7}" for digit in range(10)) + "  (taken for)",
        *rows,
    ]
