"""Families of networks, whose widths, depths and sizes follow from a PyTorch state_dict.

A file each, and one line here. The file has ``network_of(shapes)``, which makes the network of a
state_dict's names and shapes, or gives None where the names are not its own. It takes sizes from
as few tensors as will do: whoever reads the others checks them, and says which one does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

from facegen.networks.network import Network
from facegen.weights.checks import Shape

FORMAT = "pytorch"  # whose names of tensors families go by


@dataclass(frozen=True)
class Family:
    """Where `network_of` is, imported when it is first asked.

    Attributes
    ----------
    name
        Of its networks, for messages; most of them have names of their own.
    module
        A file of this folder.
    model
        The name of the class that is the model of its networks.
    """

    name: str
    module: str
    model: str

    def network_of(self, shapes: Mapping[str, Shape]) -> Network | None:
        """The network of a state_dict; None of another family's.

        Raises
        ------
        ValueError
            The names are this family's, and no layers are of such sizes.
        """
        found: Network | None = import_module(f"{__name__}.{self.module}").network_of(shapes)
        return found


FAMILIES = (
    Family("dcgan-tutorial", "dcgan_tutorial", "Generator"),
    Family("resnet", "resnet", "Classifier"),
    Family("vgg", "vgg", "Classifier"),
    Family("squeezenet", "squeezenet", "Classifier"),
    Family("mobilenet_v2", "mobilenet_v2", "Classifier"),
    Family("mobilenet_v3", "mobilenet_v3", "Classifier"),
    Family("fcn, deeplabv3", "segmentation", "Segmenter"),
    Family("unet", "unet", "Pix2Pix"),
    Family("resnet generator", "resnet_generator", "Pix2Pix"),
)


def families_of(model: type) -> tuple[Family, ...]:
    """The families whose networks a class, or one that it derives from, is the model of."""
    names = {each.__name__ for each in model.__mro__}
    return tuple(family for family in FAMILIES if family.model in names)


def find(shapes: Mapping[str, Shape], families: Iterable[Family] = FAMILIES) -> Network | None:
    """The network of a state_dict, of the first family that knows its names."""
    found = (family.network_of(shapes) for family in families)
    return next((network for network in found if network is not None), None)
