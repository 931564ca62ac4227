"""facegen train classifier FOLDER: a classifier of one's own classes, by transfer learning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal, training
from facegen.cli.terminal import counted
from facegen.cli.train import check_file_of_classes

if TYPE_CHECKING:
    from facegen.networks import Network
    from facegen.train.classifier.network import Start
    from facegen.train.classifier.pictures import ClassPictures
    from facegen.train.classifier.train import Trained

_SHOWN = 10  # files that cannot be read and are named


@click.command(
    "classifier",
    cls=training.OnRanks,
    epilog=options.examples(
        "facegen train classifier pictures/                    pictures/cat/*, pictures/dog/*, ...",
        "facegen train classifier pictures/ --from resnet18.onnx -o mine.safetensors",
        "facegen train classifier pictures/ --layers few --epochs 20",
        "facegen train classifier pictures/ -o mine.safetensors --resume",
        "facegen train classifier pictures/ -o mine.safetensors --layers all --device cuda",
        "mpirun -n 2 facegen train classifier pictures/ --layers all --threads 1",
        "facegen classify -n mine.safetensors photos/*.jpg",
    ),
)
@click.argument("folder", metavar="FOLDER", type=click.Path())
@click.option(
    "--from", "start", type=click.Path(), default="squeezenet", show_default=True,
    shell_complete=options.networks,
    help="What knows pictures already: a fetched network's name, a file of weights, ONNX, or a "
    "classifier that this command has made.",
)
@click.option(
    "-o", "--output", type=click.Path(), default="classifier.safetensors", show_default=True,
    help="The network with its graph, the classes' names and how pictures are prepared.",
)
@options.half
@click.option(
    "--layers", type=click.Choice(["auto", "last", "few", "all"]), default="auto",
    show_default=True,
    help="What is trained: the last layer alone (seconds), the last quarter, or all (hours without "
    "many pictures teach little); auto by the number of pictures.",
)
@click.option(
    "--held-out", type=options.FiniteRange(0, 0.9, min_open=True), default=0.2, show_default=True,
    help="Share of each class that is not trained on, but measured by.",
)
@click.option("--epochs", type=click.IntRange(1), help="At most; by --layers if not given.")
@click.option(
    "--patience", type=click.IntRange(1),
    help="Epochs without a better result after which training ends; by --layers if not given.",
)
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True)
@training.seed
@click.option(
    "--learning-rate", type=options.FiniteRange(0, min_open=True),
    help="Of the new layer; old ones have a tenth. 0.001 if not given.",
)
@training.threads
@training.device
@click.option(
    "--folder", "run_folder", type=click.Path(),
    help="For the checkpoint, log.jsonl and pictures of how it went; the output's name with .run "
    "if not given.",
)
@training.sync
@training.shares
@training.resume
@options.overwrite
@options.common
def command(
    folder: str,
    start: str,
    output: str,
    half: bool,
    threads: int | None,
    device: str,
    sync: str,
    run_folder: str | None,
    resume: bool,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Train a classifier on FOLDER, which has a folder of pictures for each class.

    It begins with a network that knows pictures (ImageNet's), whose last layer is replaced. A share
    of every class is held out: training ends when they get no better, and the best weights are
    kept. How many of them are right is printed last; the run's folder has the confusion matrix
    and the learning curves as PNG. `facegen classify -n OUTPUT` names the classes then. Several
    ranks of mpirun or srun share every batch, and the result is that of one; or see --sync. With
    --device cuda each has a GPU, also those of `facegen launch` and torchrun.
    """
    from facegen import FacegenError
    from facegen.loading import write_graph
    from facegen.train import finished
    from facegen.train import ranks as train_ranks
    from facegen.train.classifier.train import ClassifierSettings, train

    with training.ranks(sync) as ranks:
        with train_ranks.alike(ranks):
            device = training.choose_device(device, ranks)
            check_file_of_classes(output, overwrite)
            training.tell_device(device)
            begin, pictures = _read(start, folder)
        settings = ClassifierSettings(**choices)
        reports = training.reports(
            output, run_folder, least_seconds=2.0, ranks=ranks, log_every=10**9
        )
        try:
            trained = train(
                pictures, begin, settings, threads, reports, resume, overwrite, ranks, device
            )
        except ValueError as error:
            if isinstance(error, FacegenError):
                raise
            raise FacegenError(f"{start}: {error}") from None
    if ranks is not None and not ranks.first:
        return
    write_graph(output, trained.network, half)
    _draw(reports.log, trained)
    finished(reports)
    right, count = int(trained.counts.trace()), int(trained.counts.sum())
    epoch = f"best of epoch {trained.epoch:g}"
    terminal.say(f"{output}: {right:,} of {count:,} held out right ({right / count:.1%}), {epoch}")
    training.next_step("facegen classify PICTURE -n FILE", output)


def _read(start: str, folder: str) -> tuple[Start, ClassPictures]:
    """What training begins with, and the pictures."""
    from facegen.cli.progress import progress
    from facegen.train.classifier.pictures import read_classes

    known = _start(start, 2)  # before the pictures: without one, nothing else matters
    with progress(None, "pictures") as advance:
        pictures = read_classes(folder, known.preparation, advance)
    for reason in pictures.skipped[:_SHOWN]:
        terminal.warn(f"skipped {reason}")
    names = f"{len(pictures.names)} classes"
    skipped = f", {len(pictures.skipped):,} skipped" if pictures.skipped else ""
    terminal.progressed(f"{counted(len(pictures), 'picture')} of {names}{skipped}")
    if not known.known:
        how = "pictures are prepared as torchvision does, as the file says nothing about it"
        terminal.warn(f"{start}: {how}")
    return _start(start, len(pictures.names)), pictures


def _start(name: str, classes: int) -> Start:
    """What training begins with, of a name or a file."""
    from facegen import FormatError
    from facegen.graphs import GraphNetwork
    from facegen.networks import NETWORKS
    from facegen.networks.classifier import Classifier
    from facegen.networks.families import FAMILIES
    from facegen.networks.files import resolve
    from facegen.networks.recognise import known_network, read_any, read_graph
    from facegen.train.classifier import network

    file = resolve(name)
    found = read_graph(file)
    known: Network | None
    if found is None:
        known, tensors = read_any(file, NETWORKS.values(), FAMILIES)
        if known.model is not Classifier:
            raise FormatError(f"{name}: holds a {known.name} network, expected a classifier")
        found = GraphNetwork.of(known.graph(), tensors, known.name)
    else:
        own = known_network(found, NETWORKS.values(), FAMILIES)
        known = own if own is not None and own.model is Classifier else None
    try:
        return network.start(found, known, classes)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None


def _draw(log: Path | None, trained: Trained) -> None:
    """The confusion matrix and the learning curves, beside the log."""
    from facegen.files import state
    from facegen.media import pictures
    from facegen.train import charts

    if log is None:
        return
    names = trained.network.classes or ()
    entries = list(state.read_lines(log, follow=True))
    panels = [("loss", "held_out_loss"), ("accuracy",)]
    for name, drawn in (
        ("confusion.png", charts.confusion_matrix(trained.counts, names)),
        ("curves.png", charts.curves(entries, panels)),
    ):
        path = os.path.join(log.parent, name)
        pictures.save(path, drawn)
        terminal.progressed(path)
