"""The networks that facegen runs: one file each, imported when asked for, and one line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from facegen.networks.network import Network

__all__ = ["NETWORKS", "Network"]

# Network -> the class that is its model, and where it is described: a module of this folder and the
# name in it. The class's name is here so that a command imports no network but its own.
_LISTED = {
    "dcgan": ("Generator", "dcgan.DCGAN"),
    "dcgan128": ("Generator", "dcgan.DCGAN_128"),
    "colorizer": ("Colorizer", "colorizer.COLORIZER"),
    "pix2pix": ("Pix2Pix", "pix2pix.PIX2PIX"),
    "segmentation": ("Segmenter", "segmentation.SEGMENTATION"),
    "squeezenet": ("Classifier", "squeezenet.SQUEEZENET"),
    "squeezenet-torchvision": ("Classifier", "squeezenet.SQUEEZENET_TORCHVISION"),
    "resnet18": ("Classifier", "resnet.RESNET18"),
    "resnet34": ("Classifier", "resnet.RESNET34"),
    "lenet": ("DigitClassifier", "lenet.LENET"),
    "lenet-binary": ("DigitClassifier", "binary_lenet.BINARY_LENET"),
}


class _Networks(Mapping[str, Network]):
    """All of them by their names, in order."""

    def __getitem__(self, name: str) -> Network:
        module, _, variable = _LISTED[name][1].partition(".")
        network: Network = getattr(import_module(f"{__name__}.{module}"), variable)
        return network

    def __contains__(self, name: object) -> bool:
        return name in _LISTED

    def __iter__(self) -> Iterator[str]:
        return iter(_LISTED)

    def __len__(self) -> int:
        return len(_LISTED)


NETWORKS: Mapping[str, Network] = _Networks()


def networks_of(model: str) -> list[Network]:
    """Those that a class, by its name, is the model of."""
    return [NETWORKS[name] for name, (its_model, _) in _LISTED.items() if its_model == model]
