"""The networks that facegen runs: one file each, and one line here."""

from __future__ import annotations

from facegen.networks.colorizer import COLORIZER
from facegen.networks.dcgan import DCGAN
from facegen.networks.lenet import LENET
from facegen.networks.network import Network
from facegen.networks.pix2pix import PIX2PIX
from facegen.networks.resnet import RESNET18, RESNET34
from facegen.networks.segmentation import SEGMENTATION
from facegen.networks.squeezenet import SQUEEZENET, SQUEEZENET_TORCHVISION

__all__ = ["NETWORKS", "Network"]

_ALL = (
    DCGAN,
    COLORIZER,
    PIX2PIX,
    SEGMENTATION,
    SQUEEZENET,
    SQUEEZENET_TORCHVISION,
    RESNET18,
    RESNET34,
    LENET,
)
NETWORKS: dict[str, Network] = {network.name: network for network in _ALL}
