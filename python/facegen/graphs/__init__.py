"""Networks that need no description here: a graph with its weights, and what goes in and out.

One is read from an ONNX file (`facegen.onnx_files`), or from a .safetensors that has its graph as
JSON in the metadata, which `write` here makes.
"""

from facegen.graphs.file import ONNX, is_onnx, is_saved, read, write
from facegen.graphs.network import End, GraphNetwork
from facegen.graphs.resize import for_any_size, resized, resized_graph
from facegen.graphs.same import same_computation

__all__ = [
    "ONNX",
    "End",
    "GraphNetwork",
    "for_any_size",
    "is_onnx",
    "is_saved",
    "read",
    "resized",
    "resized_graph",
    "same_computation",
    "write",
]
