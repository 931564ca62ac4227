"""facegen train segmentation PICTURES MASKS: fine-tune the segmentation network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from facegen.cli import options, terminal, training
from facegen.cli.derived import DerivedOption
from facegen.cli.terminal import counted
from facegen.cli.train import check_file_of_classes, check_network_file


def _names(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """The names of --classes."""
    if value is None:
        return None
    from facegen.graphs.pictures import LONGEST_NAME
    from facegen.networks.recognise import MOST_CLASSES

    names = tuple(name.strip() for name in value.split(","))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise click.BadParameter(f"expected 2 to {MOST_CLASSES} names, found {len(names)}")
    if not all(0 < len(name) <= LONGEST_NAME and name.isprintable() for name in names):
        raise click.BadParameter(f"expected names of 1 to {LONGEST_NAME} printable characters")
    if len(set(names)) < len(names):
        raise click.BadParameter("expected names, each once")
    return names


@click.command(
    "segmentation",
    cls=training.OnRanks,
    epilog=options.examples(
        "facegen fetch squeezenet",
        "facegen train segmentation JPEGImages/ SegmentationClass/ --from squeezenet",
        "facegen train segmentation pictures/ masks/ --from mine.safetensors --epochs 5",
        "facegen train segmentation pictures/ masks/ --from squeezenet --all-layers",
        "facegen train segmentation pictures/ masks/ --from squeezenet --classes sky,sea,ship",
        "facegen train segmentation pictures/ masks/ --from squeezenet --resume",
        "facegen train segmentation pictures/ masks/ --from squeezenet --device cuda",
        "mpirun -n 2 facegen train segmentation pictures/ masks/ --from squeezenet --threads 1",
        "facegen segment street.jpg -n segmentation.safetensors -o out/ --overlay",
    ),
)
@click.argument("pictures", metavar="PICTURES", type=click.Path())
@click.argument("masks", metavar="MASKS", type=click.Path())
@click.option(
    "--from", "start", metavar="NETWORK", type=click.Path(), required=True,
    shell_complete=options.networks,
    help="What is known already: squeezenet, which facegen fetch got, another file of its weights, "
    "or a segmentation network's.",
)
@click.option(
    "--classes", metavar="NAMES", callback=_names,
    help="Of the classes, from 0 on, which is the background: NAME,NAME,... [default: VOC's 21]",
)
@click.option(
    "-o", "--output", type=click.Path(), default="segmentation.safetensors", show_default=True,
    cls=DerivedOption,
    help="The network: {written[segmentation]} by its extension; .safetensors with --classes.",
)
@options.half
@click.option(
    "--all-layers", is_flag=True, help="Train the encoder too; it stays as it is if not given."
)
@click.option(
    "--held-out", type=click.IntRange(1),
    help="Pairs that are not trained on, to measure; a tenth if not given.",
)
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True)
@training.seed
@click.option(
    "--learning-rate", type=options.FiniteRange(0, min_open=True), default=1e-4, show_default=True
)
@click.option("--log", type=click.Path(), help="Write each epoch's loss and IoU, as lines of JSON.")
@training.backend
@training.threads
@training.sync
@training.shares
@training.folder
@training.resume
@options.overwrite
@options.common
def command(
    pictures: str,
    masks: str,
    start: str,
    classes: tuple[str, ...] | None,
    output: str,
    half: bool,
    all_layers: bool,
    held_out: int | None,
    log: str | None,
    backend: str,
    device: str,
    threads: int | None,
    sync: str,
    folder: str | None,
    resume: bool,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Fine-tune the segmentation network on a folder of pictures and one of masks.

    MASKS holds NAME.png for PICTURES/NAME.jpg (or another format): indexed PNG whose pixels are
    classes, 0 to 20 or as many as --classes names, and 255 for what belongs to none. The encoder
    stays as it is in --from, the decoder is trained. The mean IoU of the pairs held out is printed
    last. Ctrl-C saves the state in the run's folder, from where --resume goes on. Several ranks of
    mpirun or srun share every batch, and the result is that of one; or see --sync. With --device
    cuda each has a GPU, also those of `facegen launch` and torchrun.
    """
    from facegen import FacegenError, weights
    from facegen.graphs import GraphNetwork
    from facegen.loading import read_network, write_graph
    from facegen.media import voc
    from facegen.networks import NETWORKS, segmentation
    from facegen.train import finished
    from facegen.train import ranks as train_ranks
    from facegen.train.segmentation.learner import Learner
    from facegen.train.segmentation.masks import read_pairs
    from facegen.train.segmentation.train import (
        SegmentationSettings,
        check,
        first_weights,
        iou_of_engine,
        native,
        train,
    )

    count = len(classes or voc.NAMES)
    with training.ranks(sync) as ranks:
        with train_ranks.alike(ranks):
            where = training.choose_backend(backend, device, ranks)
            if classes is None:
                check_network_file(output, "segmentation", half, overwrite)
            else:
                check_file_of_classes(output, overwrite)
            if log is not None:
                options.check_output(log, overwrite)
                if Path(log).absolute() == Path(output).absolute():
                    raise click.UsageError(f"--log {log}: is the output, too")
            network, tensors = read_network(start)
            try:
                first = first_weights(network.name, tensors, count)
            except FacegenError as error:
                raise FacegenError(f"{start}: {error}") from None
            pairs = read_pairs(pictures, masks, count)
            held_out = held_out or max(1, len(pairs) // 10)
            settings = SegmentationSettings(
                held_out=held_out, freeze_encoder=not all_layers, **choices
            )
            check(pairs, settings)
            if backend == "native":
                training.tell_device(where)
        reports = training.reports(
            output, folder, lambda entry: _line(entry, settings.epochs), ranks=ranks
        )
        learner: Learner
        if backend == "torch":
            from facegen.train.segmentation.torch_learner import TorchLearner
            from facegen.train.torch_device import torch_device

            chosen, frozen = torch_device(where), settings.freeze_encoder
            reports.note(f"trains on {chosen}, by PyTorch")
            learner = TorchLearner(pairs, first, settings.rate(pairs), frozen, chosen)
        else:
            learner = native(pairs, first, settings, threads, reports, ranks, where)
        trained = train(pairs, learner, settings, reports, resume, overwrite, ranks)
    if ranks is not None and not ranks.first:
        return
    if log is not None:
        _write_log(log, reports.log)
    if classes is None:
        weights.write(output, NETWORKS["segmentation"], trained, half)
    else:
        graph = GraphNetwork.of(segmentation.graph(count), trained)
        write_graph(output, replace(graph, classes=classes), half)
    finished(reports)
    if not terminal.is_quiet():
        on = where if backend == "native" else "cpu"
        iou, counts = iou_of_engine(trained, pairs, held_out, on)
        there = int((counts.sum(axis=1) > 0).sum())
        seen = "1 class" if there == 1 else f"{there} classes"
        kept = f"{counted(held_out, 'pair')} held out"
        terminal.say(f"{output}: mean IoU {iou:.3f} of {seen}, {kept}")
        training.next_step("facegen segment PICTURE -n FILE -o out/ --overlay", output)


def _line(entry: Mapping[str, Any], epochs: int) -> str | None:
    """An entry of the log after an epoch."""
    if "iou" not in entry:
        return None
    loss = f", loss {entry['loss']:.4f}" if "loss" in entry else ""
    return f"epoch {entry['epoch']:g}/{epochs}{loss}, IoU {entry['iou']:.3f}"


def _write_log(path: str, run: Path | None) -> None:
    """What --log asks for, of the run's own."""
    from facegen.files import state
    from facegen.files.atomic import AtomicFile
    from facegen.files.json_text import json_text

    with AtomicFile(path) as file:
        for entry in state.read_lines(run, follow=True) if run is not None else ():
            if "iou" in entry:
                chosen = {name: entry[name] for name in ("epoch", "iou", "loss") if name in entry}
                file.write(json_text(chosen).encode() + b"\n")
