"""facegen run MODEL INPUT...: a network of any kind on arrays or pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from facegen.cli import options, picture_options, terminal
from facegen.cli.shared import SharedCommand
from facegen.files.standard import is_stdout

if TYPE_CHECKING:
    from facegen.graphs import End
    from facegen.loading import Size
    from facegen.networks.graph_model import GraphModel
    from facegen.photos.preparation import Preparation

NPY = ".npy"


class Numbers(click.ParamType):
    """Finite numbers with commas between them, as "0.485,0.456,0.406"."""

    name = "numbers"

    def __init__(self, *counts: int) -> None:
        self._counts = counts

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        import math

        try:
            numbers = tuple(float(word) for word in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in self._counts or not all(map(math.isfinite, numbers)):
            wanted = " or ".join(map(str, self._counts))
            self.fail(f"expected {wanted} numbers with commas between them, found {value!r}")
        return numbers


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
@click.option(
    "--range",
    "range_",
    metavar="LOW,HIGH",
    type=Numbers(2),
    default="0,1",
    show_default=True,
    help="What black and white are, of pictures in and out; mostly 0,1, -1,1 or 0,255.",
)
@click.option(
    "--mean",
    type=Numbers(1, 3),
    default="0",
    help="Subtracted from inputs then: 1 number, or R,G,B.",
)
@click.option(
    "--std",
    type=Numbers(1, 3),
    default="1",
    help="And what they are divided by: 1 number, or R,G,B.",
)
@click.option("--bgr", is_flag=True, help="The network has blue first, in and out.")
@click.option(
    "--fit",
    type=click.Choice(["stretch", "crop"]),
    default="stretch",
    show_default=True,
    help="Pictures of another form: all of them, stretched, or the largest part in the middle.",
)
@click.option(
    "--size",
    metavar="HEIGHT,WIDTH|own",
    callback=lambda context, option, word: None if word is None else _size(word),
    help="Of the maps that go in, where the network's layers are for any; own: that of each "
    "picture. The file's if not given.",
)
@click.option("--labels", type=click.Path(), help="Text file of the classes' names, one a line.")
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to print."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["npy", *picture_options.EXTENSIONS]),
    help="Of results in a folder; png where the output is a map of 1 or 3 channels, else npy.",
)
@click.option("-r", "--recursive", is_flag=True, help="Take folders with all below them.")
@options.overwrite
@options.json_report
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

    Scores of a network without a softmax at its end are printed as a softmax makes them.
    """
    from facegen import GraphModel
    from facegen.loading import at_size, read_whole

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
        _run_arrays(model, files, output, layout, overwrite, labels, top)
        return 0

    prepare = _preparation(network.inputs, size == "any", **preparation)
    if output is not None and output.lower().endswith(NPY):
        if size == "any":
            raise click.UsageError("results of --size own are of several sizes; name a folder")
        if json_ is not None or shard is not None or format_ is not None:
            raise click.UsageError("--json, --shard and --format go with a folder of results")
        model = GraphModel(network, **engine)
        _run_to_array(model, inputs, recursive, prepare, output, layout, overwrite)
        return 0
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
        name, equals, file = word.partition("=")
        if equals and name in names and not os.path.exists(word):
            if name in named:
                raise click.UsageError(f"{word}: the input {name} is there twice")
            named[name] = file
    if named and len(named) == len(words) == len(ends):
        return [named[name] for name in names]
    if named or len(words) != len(ends):
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


def _size(word: str) -> Size:
    if word == "own":
        return "any"
    sides = word.split(",")
    if len(sides) != 2 or not all(side.isdecimal() and 0 < int(side) < 2**15 for side in sides):
        raise click.BadParameter(f"expected HEIGHT,WIDTH or own, found {word!r}")
    return int(sides[0]), int(sides[1])


def _preparation(
    ends: Sequence[End],
    own_size: bool,
    range_: tuple[float, float],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    bgr: bool,
    fit: str,
) -> Preparation:
    """How pictures become the one input."""
    from facegen import FacegenError
    from facegen.photos.preparation import Preparation

    if len(ends) != 1 or len(ends[0].shape) != 3 or ends[0].shape[0] not in (1, 3):
        found = ", ".join(map(str, ends))
        raise FacegenError(
            f"pictures are for networks of one input (n, 3 or 1, height, width); this has {found}, "
            f"and takes arrays ({NPY})"
        )
    channels, height, width = ends[0].shape
    try:
        return Preparation(height, width, channels, *range_, mean, std, bgr, fit, own_size)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _run_arrays(
    model: GraphModel,
    files: Sequence[str],
    output: str | None,
    layout: str,
    overwrite: bool,
    labels: str | None,
    top: int,
) -> None:
    from facegen.runs.arrays import ArrayInputs

    with ArrayInputs(files, model.inputs, layout) as arrays:
        model = model.at(*arrays.shapes)
        chunks = arrays.chunks(model.runner.chunk)
        if output is not None:
            _write_arrays(model, chunks, arrays.count, output, layout, overwrite, "rows", files)
            return
        names = _names(labels, model.outputs)
        row = 0
        for chunk in chunks:
            for scores in model(*chunk, layout=layout):
                _print(f"{files[0]}[{row}]", _classes(model, scores, top, names))
                row += 1


def _run_to_array(
    model: GraphModel,
    inputs: Sequence[str],
    recursive: bool,
    prepare: Preparation,
    output: str,
    layout: str,
    overwrite: bool,
) -> None:
    """All pictures' results as one array, a row a picture, in the order of their names."""
    from facegen.pictures.sources import find
    from facegen.runs.arrays import picture_chunks

    paths = [source.path for source in find(inputs, recursive).pictures]
    chunks = picture_chunks(paths, prepare, layout, model.runner.batch)
    _write_arrays(model, chunks, len(paths), output, layout, overwrite, "pictures", paths)


def _write_arrays(
    model: GraphModel,
    chunks: Any,
    count: int,
    output: str,
    layout: str,
    overwrite: bool,
    unit: str,
    files: Sequence[str],
) -> None:
    from facegen import FacegenError
    from facegen.cli.progress import progress
    from facegen.pictures.items import is_folder
    from facegen.runs.arrays import run

    if output.lower().endswith(NPY):
        if len(model.outputs) != 1:
            names = ", ".join(end.name for end in model.outputs)
            raise FacegenError(f"{output}: is one file, and there are several outputs ({names})")
        paths = [output]
    elif is_folder(output):
        os.makedirs(output, exist_ok=True)
        paths = [os.path.join(output, name + NPY) for name in _file_names(model.outputs)]
    else:
        raise FacegenError(f"{output}: expected a {NPY} or a folder")
    inputs = {f"input {i}": path for i, path in enumerate(files)}
    options.check_distinct(inputs, {f"output {path}": path for path in paths})
    for path in paths:
        options.check_output(path, overwrite)
    with progress(count, unit) as advance:
        run(model, chunks, layout, dict(zip(paths, model.outputs, strict=True)), count, advance)
    device = options.device_used(model.runner)
    terminal.say(f"{output}: {terminal.counted(count, unit.removesuffix('s'))} on {device}")


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
    from facegen.pictures.any_network import Wanted, is_picture, task
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
                    _print(outcome.source, outcome.facts["classes"])
        picture_run.write_report(json_, report, work, model.runner)
        return report.exit_code

    pictures = len(model.outputs) == 1 and is_picture(model.outputs[0])
    if format_ not in (None, "npy") or not is_folder(output):
        if not pictures:
            found_ends = ", ".join(map(str, model.outputs))
            raise click.UsageError(
                f"{output}: pictures are written of one output of 1 or 3 channels, found "
                f"{found_ends}; a folder, or a {NPY}, takes arrays"
            )
    elif format_ == "npy":
        pictures = False
    if pictures:
        _refuse("are for arrays", "layout")
    names = _file_names(model.outputs)
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


def _classes(model: GraphModel, scores: Any, top: int, names: Any) -> list[dict[str, Any]]:
    from facegen.pictures.any_network import top_classes

    return top_classes(model, scores, top, names)


def _print(source: str, classes: Sequence[dict[str, Any]]) -> None:
    terminal.say(source)
    for found in classes:
        name = f"  {found['name']}" if "name" in found else ""
        terminal.say(f"  {found['probability']:6.1%}  {found['id']:3d}{name}")


def _file_names(ends: Sequence[End]) -> list[str]:
    """Outputs' names as files', each another one: of "a/b" and "a_b" the second is a_b.2."""
    import re

    names: list[str] = []
    for end in ends:
        plain = re.sub(r"[^\w.-]", "_", end.name).lstrip(".") or "output"
        name, count = plain, 1
        while name in names:
            count += 1
            name = f"{plain}.{count}"
        names.append(name)
    return names
