"""Small networks for pictures on facegen's own kernels.

>>> import facegen
>>> generator = facegen.load("network.bin")
>>> faces = generator.generate(seeds=range(16))  # (16, 64, 64, 3) float32, -1 to 1

Nothing heavy is imported until it is used: ``import facegen`` takes a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facegen.errors import DeviceError, FacegenError, FormatError

if TYPE_CHECKING:
    from facegen.loading import fetch, load, save
    from facegen.networks.classifier import Classifier
    from facegen.networks.colorizer import Colorizer
    from facegen.networks.dcgan import Generator
    from facegen.networks.graph_model import GraphModel
    from facegen.networks.lenet import DigitClassifier
    from facegen.networks.pix2pix import Pix2Pix
    from facegen.networks.segmentation import Segmenter
    from facegen.serving import Batcher

__version__ = "0.1.0"

__all__ = [
    "Batcher",
    "Classifier",
    "Colorizer",
    "DeviceError",
    "DigitClassifier",
    "FacegenError",
    "FormatError",
    "Generator",
    "GraphModel",
    "Pix2Pix",
    "Segmenter",
    "__version__",
    "fetch",
    "load",
    "save",
]

_HOME = {
    "Batcher": "facegen.serving",
    "Classifier": "facegen.networks.classifier",
    "Colorizer": "facegen.networks.colorizer",
    "DigitClassifier": "facegen.networks.lenet",
    "Generator": "facegen.networks.dcgan",
    "GraphModel": "facegen.networks.graph_model",
    "Pix2Pix": "facegen.networks.pix2pix",
    "Segmenter": "facegen.networks.segmentation",
    "fetch": "facegen.loading",
    "load": "facegen.loading",
    "save": "facegen.loading",
}
_SUBPACKAGES = {
    "colour",
    "engine",
    "files",
    "graphs",
    "hub",
    "kernels",
    "lab",
    "media",
    "networks",
    "nn",
    "numbers",
    "onnx_files",
    "parallel",
    "photos",
    "pictures",
    "serving",
    "train",
    "weights",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for (PEP 562)."""
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _SUBPACKAGES:
        value = import_module(f"facegen.{name}")
    else:
        raise AttributeError(f"module 'facegen' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBPACKAGES})
