"""facegen run MODEL INPUT...: a network of any kind on arrays or pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from facegen.cli import options, picture_options, run_options, terminal
from facegen.cli.classes import print_classes
from facegen.cli.shared import SharedCommand
from facegen.files.standard import is_stdout, is_stream

if TYPE_CHECKING:
    from facegen.graphs import End
    from facegen.loading import Size
    from facegen.networks.graph_model import GraphModel
    from facegen.photos.preparation import Preparation
    from facegen.runs.network_rows import Rows

NPY = ".npy"


@click.command(
    "run",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen run network.onnx input.npy -o output.npy                  arrays in, arrays out",
        "facegen run network.onnx left=a.npy right=b.npy -o results/       several inputs, outputs",
        "facegen run style.onnx photos/ -r -o out/ --range 0,255           pictures of pictures",
        "facegen run style.onnx cat.jpg -o cat.png --range -1,1",
        "facegen run resnet18.onnx cat.jpg --labels names.txt --fit crop \\",
        "  --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225                classes, best first",
        "facegen run segmentation.onnx photos/ -o out/ --size own          each at its own size",
        "facegen run network.safetensors photos/*.jpg -o features.npy      one row a picture",
    ),
)
@click.argument("model_file", metavar="MODEL", type=click.Path(), shell_complete=options.networks)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE.npy|DIR|PICTURE",
    help="One .npy of all results; a folder; or, for one picture, a picture. Without it the "
    "classes with the largest scores are printed.",
)
@click.option(
    "--layout",
    type=click.Choice(["NCHW", "NHWC"]),
    default="NCHW",
    show_default=True,
    help="Of arrays, in and out: (n, channels, height, width), or channels last.",
)
@run_options.pictures
@click.option("--labels", type=click.Path(), help="Text file of the classes' names, one a line.")
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to print."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["npy", *picture_options.EXTENSIONS]),
    help="Of results in a folder, and of one for standard output; png where the output is a map of "
    "1 or 3 channels, else npy.",
)
@click.option("-r", "--recursive", is_flag=True, help="Take folders with all below them.")
@options.overwrite
@options.json_report
@picture_options.max_pixels
@picture_options.shard_option
@options.engine
@options.common
def command(
    model_file: str,
    inputs: tuple[str, ...],
    output: str | None,
    layout: str,
    size: Size | None,
    labels: str | None,
    top: int,
    format_: str | None,
    recursive: bool,
    overwrite: bool,
    json_: str | None,
    shard: str | None,
    engine: dict[str, Any],
    **preparation: Any,
) -> int:
    """Run a network of any kind on arrays or pictures.

    MODEL is an ONNX file, what facegen.save wrote, or any file of weights that facegen knows.
    facegen inspect shows its inputs and outputs.

    INPUT... are arrays, a .npy for each input of the network, in their order or as NAME=FILE.npy;
    or pictures, folders and globs, where the network has one input of 1 or 3 channels. Pictures get
    the input's size and its range: see how the network was trained, and name --range, --mean and
    --std accordingly. Any number of rows or pictures is computed in batches.

    Scores of a network without a softmax at its end are printed as a softmax makes them. A picture
    whose results are not finite fails alone; in an array they are kept, and said. The exit code is
    1 then.
    """
    from facegen import GraphModel
    from facegen.loading import at_size, read_whole
    from facegen.runs.network_rows import rows_of_arrays, rows_of_pictures

    if output is not None:
        _refuse("are for classes, which are printed without -o", "labels", "top")
    network = at_size(read_whole(model_file), size, model_file)
    arrays = [word.lower().endswith(NPY) for word in inputs]
    if any(arrays):
        if not all(arrays):
            raise click.UsageError("expected arrays (.npy) or pictures, found both")
        if json_ is not None or shard is not None or recursive or format_ is not None:
            raise click.UsageError("--json, --shard, --recursive and --format are for pictures")
        _refuse("are for pictures", "range_", "mean", "std", "bgr", "fit")
        files = _by_name(inputs, network.inputs)
        if output is None:
            _check_scores(network.outputs)
        model = GraphModel(network, **engine)
        with rows_of_arrays(model, files, layout) as rows:
            return _run_rows(rows, output, overwrite, labels, top)

    prepare = run_options.preparation(network.inputs, size == "any", **preparation)
    if output is not None and output.lower().endswith(NPY):
        if size == "any":
            raise click.UsageError("results of --size own are of several sizes; name a folder")
        if json_ is not None or shard is not None or format_ is not None:
            raise click.UsageError("--json, --shard and --format go with a folder of results")
        rows = rows_of_pictures(GraphModel(network, **engine), inputs, recursive, prepare, layout)
        return _run_rows(rows, output, overwrite, labels, top)
    if output is None:
        _check_scores(network.outputs)
    return _run_pictures(
        GraphModel(network, **engine), inputs, output, layout, labels, top, format_, recursive,
        overwrite, json_, shard, prepare,
    )  # fmt: skip


def _refuse(why: str, *parameters: str) -> None:
    """Options that would have no effect, if any of them was given."""
    context = click.get_current_context()
    given = [
        option.opts[-1]
        for option in context.command.params
        if option.name in parameters
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: such options {why}")


def _by_name(words: Sequence[str], ends: Sequence[End]) -> list[str]:
    """The file of each input, in their order."""
    names = [end.name for end in ends]
    named: dict[str, str] = {}
    for word in words:
        # A name may have "=" in it, and begin as another does: the longest is meant.
        fitting = [name for name in names if word.startswith(f"{name}=")]
        if fitting and not os.path.exists(word):
            name = max(fitting, key=len)
            if name in named:
                raise click.UsageError(f"{word}: the input {name} is there twice")
            named[name] = word[len(name) + 1 :]
    if named and len(named) == len(words) == len(ends):
        return [named[name] for name in names]
    if named and len(words) == len(ends):
        raise click.UsageError(
            f"expected every input by its name, or none; found {', '.join(named)} named alone"
        )
    if len(words) != len(ends):
        raise click.UsageError(
            f"expected an array for each input of the network, {', '.join(map(str, ends))}; "
            f"found {len(words)}"
        )
    return list(words)


def _check_scores(ends: Sequence[End]) -> None:
    from facegen.pictures.any_network import is_scores

    if len(ends) != 1 or not is_scores(ends[0]):
        found = ", ".join(map(str, ends))
        raise click.UsageError(
            f"-o names where results go; these are no scores of classes: {found}"
        )


def _run_rows(
    rows: Rows, output: str | None, overwrite: bool, labels: str | None, top: int
) -> int:
    """Files of all rows, or the classes of each."""
    from facegen.cli.progress import progress
    from facegen.runs import network_rows

    model = rows.model
    if output is None:
        code = 0
        for name, classes in network_rows.classes(rows, top, _names(labels, model.outputs)):
            if isinstance(classes, Exception):
                terminal.fail(f"failed: {name}: {classes}")
                code = 1
            else:
                print_classes(name, classes)
        return code

    outputs = network_rows.files_of_outputs(output, model.outputs)
    inputs = {f"input {i}": path for i, path in enumerate(rows.files)}
    options.check_distinct(inputs, {f"output {path}": path for path in outputs})
    if output not in outputs:
        os.makedirs(output, exist_ok=True)
    for path in outputs:
        options.check_output(path, overwrite)
    not_finite = network_rows.write(rows, outputs, progress)
    item = rows.unit.removesuffix("s")
    device = options.device_used(model.runner)
    terminal.say(f"{output}: {terminal.counted(rows.count, item)} on {device}")
    for path, found in not_finite.items():
        terminal.fail(
            f"{path}: output {outputs[path].name} is not finite in "
            f"{found.count:,} of {terminal.counted(rows.count, item)}, first in "
            f"{rows.name(found.first)}"
        )
    return 1 if not_finite else 0


def _run_pictures(
    model: GraphModel,
    inputs: Sequence[str],
    output: str | None,
    layout: str,
    labels: str | None,
    top: int,
    format_: str | None,
    recursive: bool,
    overwrite: bool,
    json_: str | None,
    shard: str | None,
    prepare: Preparation,
) -> int:
    """A file, or several, for each picture; or its classes."""
    from facegen.cli import picture_run
    from facegen.pictures.any_network import Wanted, file_names, is_picture, task
    from facegen.pictures.items import is_folder
    from facegen.pictures.plan import plan_facts
    from facegen.pictures.sources import find

    if output is None:
        _refuse("are for arrays", "layout")
        found = find(inputs, recursive)
        part, json_ = picture_run.part_of(shard, json_)
        picture_run.check_report(json_, overwrite)
        work = task(model, prepare, Wanted(top=top, names=_names(labels, model.outputs)))
        report = picture_run.run_shown(plan_facts(found, part), work, on_ranks=shard is None)
        if not is_stdout(json_):
            for outcome in report.outcomes:
                if outcome.status == "done":
                    print_classes(outcome.source, outcome.facts["classes"])
        picture_run.write_report(json_, report, work, model.runner)
        return report.exit_code

    pictures = len(model.outputs) == 1 and is_picture(model.outputs[0])
    if format_ == "npy" and (is_folder(output) or is_stream(output)):
        pictures = False
    elif not pictures and (format_ is not None or not is_folder(output)):
        found_ends = ", ".join(map(str, model.outputs))
        raise click.UsageError(
            f"{output}: pictures are written of one output of 1 or 3 channels, found "
            f"{found_ends}; a folder, or a {NPY}, takes arrays"
        )
    if pictures:
        _refuse("are for arrays", "layout")
    names = file_names(model.outputs)
    several = [NPY] if len(names) == 1 else [f"_{name}{NPY}" for name in names]
    suffixes = [""] if pictures else several
    asked = picture_run.plan(
        suffixes, inputs, output, recursive, format_ or "png", overwrite, json_, shard
    )
    work = task(model, prepare, Wanted(pictures=pictures, layout=layout))
    return picture_run.carry_out(asked, work, model.runner)


def _names(labels: str | None, ends: Sequence[End]) -> list[str] | None:
    from facegen.media import labels as label_files

    return None if labels is None else label_files.read(labels, ends[0].shape[0])
