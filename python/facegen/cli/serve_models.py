"""The networks of ``facegen serve``: named ones, fetched ones, and the package's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facegen import Colorizer, DigitClassifier, FacegenError, Generator, Pix2Pix, Segmenter
from facegen.cli.first_aid import words_of
from facegen.cli.models import prepared
from facegen.loading import load_known
from facegen.networks import traits
from facegen.networks.files import resolve
from facegen.networks.model import Model
from facegen.serve.models import Models

# The part of the page, the field of `Models`, the class, the network of the package's own weights.
_KINDS = (
    ("faces", "generator", Generator, "dcgan128"),
    ("draw", "pix2pix", Pix2Pix, "pix2pix"),
    ("colorize", "colorizer", Colorizer, "colorizer"),
    ("segment", "segmenter", Segmenter, "segmentation"),
    ("digits", "digits", DigitClassifier, "lenet"),
)


def models_of(networks: Sequence[str], engine: Mapping[str, Any]) -> Models:
    """The model of each file, the package's own of other kinds, and hints of what those are.

    Raises
    ------
    FacegenError, OSError
        A file is none of a network that the page has a use for, or is a second one of its kind.
    """
    models: dict[str, Model] = {}
    files: dict[str, str] = {}
    for path in networks:
        model = prepared(load_known, path, engine)
        known = ((part, field) for part, field, kind, _ in _KINDS if type(model) is kind)
        part, field = next(known, (None, None))
        if field is None:
            name = model.network.name
            raise FacegenError(f"{path}: the page has no use for a {name} network")
        if field in models:
            raise FacegenError(f"{path}: is a second network of the part {part}, which takes one")
        models[field], files[field] = model, path
    hints = {}
    for part, field, kind, network in _KINDS:
        if field in models:
            continue
        file = str(resolve(None, network))  # a fetched one, or the package's own
        models[field], files[field] = prepared(kind, file, engine), file
        words = words_of(file, network)
        if words is not None:
            hints[part] = f"{words[0].upper()}{words[1:]}."
    found = _traits(files["generator"], models["generator"])
    return Models(**models, traits=found, hints=hints)  # type: ignore[arg-type]


def _traits(path: str, generator: Any) -> traits.Traits | None:
    """Those of the file beside the network, if there is one."""
    if not traits.path_of(resolve(path)).exists():
        return None
    return traits.directions(path, generator.latent_size)
