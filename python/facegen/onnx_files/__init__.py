"""ONNX files: read into a graph of this package's layers with their weights, and written of one.

What no layer here computes is refused by the node that asks for it.
"""

from facegen.onnx_files.read import read
from facegen.onnx_files.write import write

__all__ = ["read", "write"]
