"""The networks that can be fetched: where they are, what they are for, and under which terms.

None of them is part of this package, nor of what its licence covers.
"""

from __future__ import annotations

from dataclasses import dataclass

_MB = 10**6


@dataclass(frozen=True)
class Published:
    """A file that somebody published.

    Attributes
    ----------
    name
        As ``facegen fetch NAME`` and ``--network NAME`` have it.
    network
        Key of `facegen.networks.NETWORKS`.
    summary
        One line for people.
    url
        https address of the file.
    licence
        What is stated of it where it is published.
    sha256
        The digest, or its beginning, where it is published; None where it is not: then the first
        download decides, and later ones must be the same.
    about_bytes
        Its size, roughly; a quarter more is refused.
    """

    name: str
    network: str
    summary: str
    url: str
    licence: str
    sha256: str | None
    about_bytes: int

    @property
    def short_name(self) -> str:
        """The name without the direction: edges2cats for edges2cats_AtoB."""
        return self.name.partition("_")[0]

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def max_bytes(self) -> int:
        return self.about_bytes * 5 // 4


_COLORIZER = Published(
    name="colorizer",
    network="colorizer",
    summary="grey pictures to colour, by the authors of the paper (eccv16)",
    url="https://colorizers.s3.us-east-2.amazonaws.com/colorization_release_v2-9b330a0b.pth",
    licence=(
        "BSD 2-Clause, copyright (c) 2016 Richard Zhang, Phillip Isola, Alexei A. Efros "
        "(github.com/richzhang/colorization)"
    ),
    sha256="9b330a0b",  # the file's name has it
    about_bytes=129 * _MB,
)

_RAW = "https://raw.githubusercontent.com"
_SQUEEZENET = Published(
    name="squeezenet",
    network="squeezenet",
    summary="what a picture shows, by the authors of the paper (SqueezeNet v1.0)",
    url=(
        f"{_RAW}/forresti/SqueezeNet/51147dc0681638c28aad593b9e923f3500117125/SqueezeNet_v1.0/"
        "squeezenet_v1.0.caffemodel"
    ),
    licence="BSD 2-Clause (github.com/forresti/SqueezeNet)",
    sha256=None,
    about_bytes=5 * _MB,
)
_SQUEEZENET_TORCHVISION = Published(
    name="squeezenet-torchvision",
    network="squeezenet-torchvision",
    summary="the same as torchvision trained it (squeezenet1_0)",
    url="https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
    licence="none stated for the file; torchvision, which trained it, is BSD 3-Clause",
    sha256="b66bff10",  # the file's name has it
    about_bytes=5 * _MB,
)
_HESSE = f"{_RAW}/affinelayer/pix2pix-tensorflow-models/68fd4e2cf7fbf42ea82a379d49045416ebb857ec"
_HESSE_TERMS = (
    "none stated in github.com/affinelayer/pix2pix-tensorflow-models; the program that trained "
    "them, pix2pix-tensorflow, is MIT, copyright (c) 2017 Christopher Hesse"
)
_ML5 = f"{_RAW}/ml5js/pix2pix_models"
_ML5_TERMS = "none stated in github.com/ml5js/pix2pix_models"


def _pix2pix(name: str, summary: str, folder: str, licence: str) -> Published:
    return Published(
        name, "pix2pix", summary, f"{folder}/{name}.pict", licence, None, about_bytes=54 * _MB
    )


PUBLISHED: dict[str, Published] = {
    published.name: published
    for published in (
        _COLORIZER,
        _SQUEEZENET,
        _SQUEEZENET_TORCHVISION,
        _pix2pix("edges2cats_AtoB", "drawn edges to cats", _HESSE, _HESSE_TERMS),
        _pix2pix("edges2shoes_AtoB", "drawn edges to shoes", _HESSE, _HESSE_TERMS),
        _pix2pix("edges2handbags_AtoB", "drawn edges to handbags", _HESSE, _HESSE_TERMS),
        _pix2pix("facades_BtoA", "coloured boxes to fronts of houses", _HESSE, _HESSE_TERMS),
        _pix2pix("maps_BtoA", "maps to pictures from above", f"{_ML5}/master", _ML5_TERMS),
        _pix2pix(
            "edges2pikachu_AtoB",
            "drawn edges to Pikachu",
            f"{_ML5}/68d7bc4288c1f8aa23e17d0f2b222689380a22a1",
            _ML5_TERMS,
        ),
    )
}
