"""facegen classify PICTURE...: what pictures show."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, picture_options
from facegen.cli.classes import print_classes
from facegen.cli.derived import DerivedOption
from facegen.cli.shared import SharedCommand
from facegen.files.standard import is_stdout


@click.command(
    "classify",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen fetch squeezenet && facegen classify cat.jpg",
        "facegen classify cat.jpg --network squeezenet_v1.0.caffemodel",
        "facegen classify photos/ -r --network network.safetensors --labels synset_words.txt",
        "facegen classify photos/*.jpg -n network.safetensors --top 1 --json report.json",
        "facegen classify photos/*.jpg -n mine.safetensors      of facegen train classifier",
    ),
)
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@click.option(
    "-n",
    "--network",
    type=click.Path(),
    shell_complete=options.networks,
    cls=DerivedOption,
    help="File of weights of {run_by[Classifier]}, the authors' or torchvision's among them, or of "
    "another ResNet, VGG, SqueezeNet or MobileNet of torchvision's; what facegen fetch squeezenet "
    "brought if not given.",
)
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Most probable classes to name.",
)
@click.option("--labels", type=click.Path(), help="Text file of the classes' names, one a line.")
@click.option("-r", "--recursive", is_flag=True, help="Take folders with all below them.")
@options.json_report
@click.option("--overwrite", is_flag=True, help="Replace a file that is no report by the report.")
@picture_options.max_pixels
@picture_options.shard_option
@options.engine
@options.common
def command(
    pictures: tuple[str, ...],
    network: str | None,
    top: int,
    labels: str | None,
    recursive: bool,
    json_: str | None,
    overwrite: bool,
    shard: str | None,
    engine: dict[str, Any],
) -> int:
    """Say what pictures show, of ImageNet's 1,000 classes or a network's own.

    PICTURE is a file, a folder or a glob ('-': standard input). For each the most probable classes
    are printed, best first: probability, number (from 0) and name, in English; --labels gives other
    names.
    The middle square of a picture is looked at. One that cannot be read fails alone.
    """
    from facegen import Classifier
    from facegen.cli import picture_run
    from facegen.cli.models import prepared
    from facegen.media import labels as label_files
    from facegen.networks.files import resolve
    from facegen.pictures.classify import task
    from facegen.pictures.plan import plan_facts
    from facegen.pictures.sources import find

    network = str(resolve(network, "squeezenet"))  # first: without one, nothing else matters
    found = find(pictures, recursive)
    part, json_ = picture_run.part_of(shard, json_)
    picture_run.check_report(json_, overwrite)
    classifier = prepared(Classifier, network, engine)
    names = classifier.names
    if labels is not None:
        names = tuple(label_files.read(labels, classifier.classes))
    work = task(classifier, top, names)
    report = picture_run.run_shown(plan_facts(found, part), work, on_ranks=shard is None)
    if not is_stdout(json_):
        for outcome in report.outcomes:
            if outcome.status == "done":
                print_classes(outcome.source, outcome.facts["classes"])
    picture_run.write_report(json_, report, work, classifier.runner)
    return report.exit_code
