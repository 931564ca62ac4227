"""facegen lab cost STACK|NETWORK...: weights, multiply-adds, maps and receptive fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from facegen.cli import options, terminal
from facegen.cli.lab import words
from facegen.files.standard import is_stdout
from facegen.nn.table import quantity

if TYPE_CHECKING:
    from facegen.lab.cost import Cost

_MIB = 2**20
_DEFAULT_CHANNELS = 64


@click.command(
    "cost",
    epilog=options.examples(
        'facegen lab cost "3x3xC x3" "7x7xC"                     27 C² against 49 C² weights',
        'facegen lab cost "3x3xC x2" "1x1xC/4, 3x3xC/4, 1x1xC"   a bottleneck',
        'facegen lab cost "7x7xC" "1x7xC, 7x1xC"                 a factoring',
        'facegen lab cost "3x3x128" "3x3xdw, 1x1x128" --channels 64   depthwise, then 1x1',
        'facegen lab cost "7x7x64 s2, pool3x3 s2 p1, 3x3x64 x2" --size 224x224 --channels 3',
        "facegen lab cost alexnet vgg16 resnet50 mobilenet_v2     networks beside each other",
        "facegen lab cost vgg16 --plot vgg16.png                  layer by layer",
        "facegen lab cost mine.onnx --json cost.json",
    ),
)
@click.argument("subjects", metavar="STACK|NETWORK...", nargs=-1, required=True)
@click.option(
    "--size",
    type=words.Size(),
    default="56x56",
    show_default=True,
    help="HEIGHTxWIDTH of the map that goes into a stack.",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 2**20),
    help="C: those that go into a stack; if not given, as many as its last layer states, or 64.",
)
@click.option("--layers", is_flag=True, help="Layer by layer also where there are several.")
@options.json_report
@words.plot
@options.overwrite
@options.common
def command(
    subjects: tuple[str, ...],
    size: tuple[int, int],
    channels: int | None,
    layers: bool,
    json_: str | None,
    plot: str | None,
    overwrite: bool,
) -> None:
    """Count what stacks of layers, or whole networks, cost: nothing is computed.

    \b
    A STACK is layers with commas between:
      3x3x64      a convolution of 3x3 to 64 channels; 3x3xC to as many as go in (2C, C/4)
      3x3xdw      depthwise: each channel by itself
      pool2x2     a max pool
      x3          behind a layer: three of them
      s2 p0 d2 g4 behind a layer: stride, padding (as keeps the size), dilation, groups

    A NETWORK is a name (alexnet, vgg16, vgg19, googlenet, resnet18 to resnet152, mobilenet_v2, any
    of facegen init) or a file, ONNX too. Multiply-adds count taps on padding, as papers do;
    "inside" leaves them out. Maps are of one image in float32: what training keeps. Of a batch
    norm, weights count mean and variance too.
    """
    from facegen.lab import stacks
    from facegen.lab.cost import cost
    from facegen.lab.named import graph_of

    if not any(stacks.is_stack(subject) for subject in subjects):
        _refuse_of_stacks("size", "channels")
    words.check_outputs(json_, plot, overwrite)
    costs: list[Cost] = []
    formulas: list[str | None] = []
    for subject in subjects:
        if not stacks.is_stack(subject):
            costs.append(cost(graph_of(subject, "a file, a stack as '3x3x64 x3'")))
            formulas.append(None)
            continue
        stack = stacks.parse(subject)
        c = channels or stack.own_channels or _DEFAULT_CHANNELS
        costs.append(cost(stack.graph(*size, c)))
        powers = stack.weights()
        formulas.append(None if powers is None else stacks.polynomial(powers))
    reports = [{**_report(c), "formula": f} for c, f in zip(costs, formulas, strict=True)]
    options.write_report(json_, {"size": list(size), "subjects": reports})
    if plot:
        from facegen.lab.plots import costs as picture

        picture.draw(costs, plot)
    if is_stdout(json_):
        return
    if layers or len(costs) == 1:
        for each in costs:
            _say_layers(each)
            terminal.say("")
    _say_totals(costs, formulas)


def _refuse_of_stacks(*names: str) -> None:
    """Options that are given though networks, whose inputs are their own, are all there is."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            expected = "a stack to give it to; networks have inputs of their own"
            raise click.UsageError(f"--{name}: expected {expected}")


def _say_layers(each: Cost) -> None:
    """Those with products or another map; what is done in place is left out."""
    terminal.say(each.name)
    headers = [
        "layer",
        "kind",
        "output",
        "weights",
        "multiply-adds",
        "FLOP/byte",
        "field",
        "map KiB",
    ]
    rows = [
        [
            layer.name,
            layer.kind,
            str(layer.output),
            f"{layer.parameters:,}" if layer.parameters else "-",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "-",
            f"{layer.intensity:.1f}" if layer.multiply_adds else "-",
            _field(layer.field),
            f"{layer.map_bytes / 1024:,.1f}",
        ]
        for layer in each.layers
        if layer.parameters or layer.map_bytes
    ]
    words.say_table(headers, rows, left=3)


def _say_totals(costs: list[Cost], formulas: list[str | None]) -> None:
    headers = [
        "",
        "weights",
        "of C",
        "ratio",
        "multiply-adds",
        "ratio",
        "inside",
        "field",
        "maps MiB",
        "depth",
    ]
    first = costs[0]
    rows = [
        [
            each.name,
            f"{each.parameters:,}",
            formula or "-",
            _times(each.parameters, first.parameters),
            quantity(each.multiply_adds).strip(),
            _times(each.multiply_adds, first.multiply_adds),
            quantity(each.inside).strip(),
            _field(each.field),
            f"{each.map_bytes / _MIB:,.2f}",
            str(each.depth),
        ]
        for each, formula in zip(costs, formulas, strict=True)
    ]
    kept = [i for i in range(len(headers)) if headers[i] != "of C" or any(formulas)]
    kept = [i for i in kept if headers[i] != "ratio" or len(costs) > 1]
    words.say_table([headers[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _times(value: int, first: int) -> str:
    return f"{value / first:.2f}x" if first else "-"


def _field(fields: Any) -> str:
    vertical, horizontal = map(str, fields)
    return vertical if vertical == horizontal == "all" else f"{vertical}x{horizontal}"


def _report(each: Cost) -> dict[str, Any]:
    return {
        "name": each.name,
        "weights": each.parameters,
        "multiply_adds": each.multiply_adds,
        "multiply_adds_inside": each.inside,
        "map_bytes": each.map_bytes,
        "depth": each.depth,
        "field": list(map(str, each.field)),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "output": list(layer.output),
                "weights": layer.parameters,
                "multiply_adds": layer.multiply_adds,
                "multiply_adds_inside": layer.inside,
                "map_bytes": layer.map_bytes,
                "flop_per_byte": layer.intensity,
                "field": list(map(str, layer.field)),
            }
            for layer in each.layers
        ],
    }
