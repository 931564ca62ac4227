"""ONNX files: read into a graph of this package's layers with their weights.

What no layer here computes is refused by the node that asks for it.
"""

from facegen.onnx_files.read import is_onnx, read

__all__ = ["is_onnx", "read"]
