"""facegen inspect of a file that has a graph: what its network is."""

from __future__ import annotations

import os

from facegen import weights
from facegen.cli import options, terminal
from facegen.files.digest import file_digest
from facegen.files.standard import is_stdout
from facegen.graphs import End, GraphNetwork, is_onnx


def inspect_graph(file: str, found: GraphNetwork, json: str | None) -> None:
    """Print inputs, outputs and layers; or write them as a report."""
    graph = found.graph
    kind = "ONNX" if is_onnx(file) else "safetensors with a graph"
    report = {
        "file": file,
        "format": kind,
        "network": found.known_as or graph.name,
        "bytes": os.path.getsize(file),
        "sha256": file_digest(file),
        "weights_sha256": weights.digest(found.weights),
        "inputs": [_end(each) for each in found.inputs],
        "outputs": [_end(each) for each in found.outputs],
        "parameters": graph.parameter_count,
        "flops": graph.flops,
        "layers": [
            {
                "name": node.name,
                "kind": type(node.layer).__name__,
                "reads": list(node.inputs),
                "output": list(node.shape),
            }
            for node in graph.nodes
            if node.layer is not None
        ],
    }
    if found.classes is not None:
        report["classes"] = list(found.classes)
    options.write_report(json, report)
    if is_stdout(json):
        return
    if found.known_as:
        terminal.say(f"network : {found.known_as}")
    terminal.say(f"format  : {kind}, {report['bytes']:,} bytes")
    terminal.say(f"inputs  : {', '.join(map(str, found.inputs))}")
    terminal.say(f"outputs : {', '.join(map(str, found.outputs))}")
    if found.classes is not None:
        terminal.say(f"classes : {', '.join(found.classes)}")
    terminal.say(f"sha256  : {report['sha256']}")
    terminal.say(f"weights : {report['weights_sha256']}")
    terminal.say("")
    for line in str(graph).splitlines():
        terminal.say(line)


def _end(end: End) -> dict[str, object]:
    return {"name": end.name, "shape": list(end.shape)}
