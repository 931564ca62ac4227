"""The networks behind the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facegen.networks.colorizer import Colorizer
    from facegen.networks.dcgan import Generator
    from facegen.networks.lenet import DigitClassifier
    from facegen.networks.pix2pix import Pix2Pix
    from facegen.networks.segmentation import Segmenter
    from facegen.networks.traits import Traits

AnyModel = TypeVar("AnyModel")


@dataclass(frozen=True)
class Models:
    """What the page has to play with; what is None is not offered.

    Attributes
    ----------
    traits
        Of the generator; its sliders have no names without.
    hints
        A line for people, by the part of the page that it stands below: how to get a network that
        is absent, or a better one.
    """

    generator: Generator | None = None
    pix2pix: Pix2Pix | None = None
    colorizer: Colorizer | None = None
    segmenter: Segmenter | None = None
    digits: DigitClassifier | None = None
    traits: Traits | None = None
    hints: Mapping[str, str] = field(default_factory=dict)


def offered(model: AnyModel | None, what: str) -> AnyModel:
    """The model; 404 where the server has none."""
    if model is None:
        raise HTTPException(404, f"the server was started without a {what} network")
    return model
