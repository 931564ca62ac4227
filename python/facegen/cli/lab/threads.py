"""facegen lab threads: how much faster a layer and a network are on more threads."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal
from facegen.cli.lab import words
from facegen.files.standard import is_stdout


@click.command(
    "threads",
    epilog=options.examples(
        "facegen lab threads",
        "facegen lab threads --threads 1,2,4,8 --network resnet18 --batch 4 --plot threads.png",
        "facegen lab threads --size 14 --channels 512 --kernel 3",
        "facegen lab threads -n mine.onnx --json threads.json",
    ),
)
@click.option(
    "-n",
    "--network",
    default="dcgan",
    show_default=True,
    help="As facegen lab cost names them: a name (weights are seeded), or a file.",
)
@click.option("--size", type=words.Size(), default="56x56", show_default=True, help="Of the layer.")
@click.option("--channels", type=click.IntRange(1, 8192), default=64, show_default=True)
@click.option("--kernel", type=click.IntRange(1, 63), default=3, show_default=True)
@click.option("--batch", type=click.IntRange(1, 4096), default=4, show_default=True)
@click.option(
    "--threads",
    type=words.Numbers(1, 1024),
    help="A sweep, up to the machine's processors, at least to 16; 1, 2, 4, ... up to those that "
    "this process may use, if not given.",
)
@words.seconds
@options.json_report
@words.plot
@options.overwrite
@options.common
def command(
    network: str, size: tuple[int, int], channels: int, kernel: int, batch: int,
    threads: tuple[int, ...] | None, seconds: float, json_: str | None, plot: str | None,
    overwrite: bool,
) -> None:  # fmt: skip
    """Measure strong scaling: the same work on more and more threads.

    \b
    speed-up      times as fast as on the least number of threads in the list
    efficiency    speed-up by threads: 100% if all were of use; only if the list has 1
    serial        share of the work that Amdahl's law would put on one thread (Karp and Flatt);
                  over 100% where more threads are slower; only if the list has 1
    peak, copy    what the machine itself gives so many threads: multiply-adds in registers, copies
                  in memory. Where those stop growing, nothing else can go on.
    """
    words.check_outputs(json_, plot, overwrite)
    counts = words.sweep_of_threads(threads)
    from facegen.lab import scaling
    from facegen.lab.machine import describe
    from facegen.lab.named import with_weights
    from facegen.networks.seeded import seeded_weights

    layer = scaling.layer_graph(*size, channels, kernel)
    graph, weights = with_weights(network)
    subjects = [(layer, seeded_weights(layer.parameters, 0)), (graph, weights)]
    found = {}
    with words.progress(2, "subject") as advance:
        for each, its_weights in subjects:
            found[each.name] = scaling.measure(each, its_weights, batch, counts, seconds)
            advance(1)
    machine = describe(max(counts))
    options.write_report(
        json_,
        {
            "machine": machine,
            "batch": batch,
            "subjects": {name: [_report(p) for p in points] for name, points in found.items()},
        },
    )
    if plot:
        from facegen.lab.plots import rates

        rates.draw_scaling(found, plot)
    if is_stdout(json_):
        return
    words.say_machine(machine)
    for name, points in found.items():
        terminal.say("")
        terminal.say(f"{name}, {batch} at a time")
        headers = ["threads", "ms", "spread", "speed-up", "efficiency", "serial", "GFLOP/s",
                   "peak", "copy GB/s"]  # fmt: skip
        rows = [
            [
                str(p.threads),
                *words.time_cells(p.times),
                f"{p.speed_up:.2f}x",
                _percent(p.efficiency),
                _percent(p.serial_share),
                f"{p.gflops:.1f}",
                f"{p.peak_gflops:.1f}",
                f"{p.copy_gbs:.1f}",
            ]
            for p in points
        ]
        words.say_table(headers, rows, left=0)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}%"


def _report(point: Any) -> dict[str, Any]:
    return {
        "threads": point.threads,
        **words.times_report(point.times),
        "speed_up": point.speed_up,
        "efficiency": point.efficiency,
        "serial_share": point.serial_share,
        "gflops": point.gflops,
        "peak_gflops": point.peak_gflops,
        "copy_gb_per_s": point.copy_gbs,
    }
