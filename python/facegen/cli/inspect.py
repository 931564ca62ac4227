"""facegen inspect FILE: what a file of weights holds."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.files.standard import is_stdout


@click.command(
    "inspect",
    epilog=options.examples(
        "facegen inspect network.bin",
        "facegen inspect edges2cats_AtoB.pict --json report.json",
        "facegen inspect default:lenet",
        "facegen inspect resnet18.onnx",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(), shell_complete=options.networks)
@options.json_report
@options.overwrite
@options.common
def command(file: str, json_: str | None, overwrite: bool) -> None:
    """Show which network a file holds, its tensors with their sizes and ranges, and digests.

    FILE is a file of weights in any format that facegen convert reads; the name of a fetched
    network; default, the package's own faces, or default:lenet, its digits. Of a file that has a
    graph, ONNX or facegen.save's, it shows inputs, outputs, layers, parameters and FLOPs.

    "weights" is a digest of the values alone: the same in every format.
    """
    import os

    from facegen import weights
    from facegen.files.digest import file_digest
    from facegen.loading import read_network
    from facegen.networks.files import resolve
    from facegen.networks.recognise import read_graph
    from facegen.networks.seeded import is_seeded

    options.check_report(json_, overwrite)
    file = str(resolve(file))
    graph_network = read_graph(file)
    if graph_network is not None:
        from facegen.cli.inspect_graph import inspect_graph

        inspect_graph(file, graph_network, json_)
        return
    network, tensors = read_network(file)
    kind = weights.sniff(file)
    part = kind.open(file).part
    report = {
        "file": file,
        "format": kind.name,
        "part": part or None,
        "network": network.name,
        "summary": network.summary,
        "seeded": is_seeded(tensors),
        "bytes": os.path.getsize(file),
        "values": sum(tensor.size for tensor in tensors.values()),
        "sha256": file_digest(file),
        "weights_sha256": weights.digest(tensors),
        "tensors": [
            {
                "name": name,
                "shape": list(tensor.shape),
                "values": tensor.size,
                "min": float(tensor.min()),
                "max": float(tensor.max()),
                "mean": float(tensor.mean(dtype="float64")),
            }
            for name, tensor in tensors.items()
        ],
    }
    options.write_report(json_, report)
    if is_stdout(json_):
        return
    terminal.say(f"network : {network.name} ({network.summary})")
    if report["seeded"]:
        terminal.say("seeded  : yes, for trials: what they make means nothing (facegen init)")
    terminal.say(f"format  : {report['format']}, {report['bytes']:,} bytes")
    if part:
        terminal.say(f"part    : {part}")
    terminal.say(f"values  : {report['values']:,} float32 in {len(tensors)} tensors")
    terminal.say(f"sha256  : {report['sha256']}")
    terminal.say(f"weights : {report['weights_sha256']}")
    width = max(map(len, tensors)) + 2
    terminal.say("")
    terminal.say(
        f"{'tensor':<{width}}{'shape':<16}{'values':>11}{'min':>11}{'max':>11}{'mean':>11}"
    )
    for name, tensor in tensors.items():
        shape = "x".join(map(str, tensor.shape))
        low, high, mean = tensor.min(), tensor.max(), tensor.mean(dtype="float64")
        numbers = f"{tensor.size:>11,}{low:>11.4f}{high:>11.4f}{mean:>11.4f}"
        terminal.say(f"{name:<{width}}{shape:<16}{numbers}")
