"""ONNX files: read into a graph of this package's layers with their weights, and run by them.

What no layer here computes is refused by the node that asks for it.
"""

from facegen.onnx_files.model import OnnxModel
from facegen.onnx_files.read import OnnxNetwork, is_onnx, read

__all__ = ["OnnxModel", "OnnxNetwork", "is_onnx", "read"]
