"""All that it takes to go on with a run, in one safetensors file, whole or not there.

Arrays are ``part/name``, of the parts that the run has: trainers, and what else learns. Metadata
say which run it is: its step, the seconds it took, its settings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.numpy

from facegen.errors import FacegenError, FormatError
from facegen.files import state
from facegen.files.atomic import AtomicFile
from facegen.files.json_text import json_text
from facegen.weights.safetensors import Header, read_arrays

_FORMAT = "facegen.train run 1"
_TYPES = ("F32", "F64", "I64", "U64", "U8")  # NumPy has not all the others
_SMALL = 2  # numbers of what the log's means have


class Stateful(Protocol):
    """What a checkpoint holds a part of; a `Trainer` is one."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies. Their names may change as the part learns, the shapes of names do not."""

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """ValueError where it does not fit."""


@dataclass(frozen=True)
class Place:
    """How far a run is.

    Attributes
    ----------
    ended
        Before its last step: it was good enough.
    """

    step: int = 0
    seconds: float = 0.0
    ended: bool = False


def write(
    path: Path, place: Place, settings: Mapping[str, Any], parts: Mapping[str, Stateful]
) -> None:
    """Write the state of all parts; OSError leaves the file that was there."""
    about = {"step": place.step, "seconds": place.seconds, "ended": place.ended}
    arrays = {
        f"{part}/{name}": array
        for part, stateful in parts.items()
        for name, array in stateful.state_dict().items()
    }
    text = json_text({**about, "settings": dict(settings)})
    data = safetensors.numpy.save(arrays, {"format": _FORMAT, "run": text})
    output = AtomicFile(path)
    with output as file:
        file.write(data)
        output.synchronize()  # a name that is there after a power cut has its bytes


def read(path: Path, settings: Mapping[str, Any], parts: Mapping[str, Stateful]) -> Place:
    """Go on from a checkpoint.

    Raises
    ------
    FacegenError
        There is none.
    FormatError
        It is damaged, of other settings, or of other networks.
    """
    place = Place()

    def check(header: Header) -> None:
        nonlocal place
        place = _check(path, header.metadata, settings)
        for name, kind in header.types.items():
            if kind not in _TYPES:
                raise FormatError(f"{path}: {name} must be {' or '.join(_TYPES)}, not {kind}")
        _check_shapes(path, header.shapes, parts)

    try:
        arrays = read_arrays(str(path), check)
    except FileNotFoundError:
        raise FacegenError(f"{path}: there is no run to resume") from None
    states: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
    for name, array in arrays.items():
        part, _, inner = name.partition("/")
        states[part][inner] = array
    for part, stateful in parts.items():
        try:
            stateful.load_state_dict(states[part])
        except ValueError as error:
            raise FormatError(f"{path}: {part}: {error}") from None
    return place


def _check_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], parts: Mapping[str, Stateful]
) -> None:
    """That arrays are those of the parts, before there is memory for them."""
    own = {
        f"{part}/{name}": array.shape
        for part, stateful in parts.items()
        for name, array in stateful.state_dict().items()
    }
    # A part may not have all of its names yet: Adam of PyTorch makes moments in its first step.
    most = max((prod(shape) for shape in own.values()), default=0)
    for name, shape in found.items():
        if name.partition("/")[0] not in parts:
            raise FormatError(f"{path}: holds {name!r:.100}, of which this run has nothing")
        if name in own and shape != own[name]:
            raise FormatError(f"{path}: {name!r:.100} must have shape {own[name]}, not {shape}")
        if prod(shape) > max(most, _SMALL):
            raise FormatError(
                f"{path}: {name!r:.100} has shape {shape}, and nothing of this run is so large"
            )


def _check(path: Path, metadata: Mapping[str, str], settings: Mapping[str, Any]) -> Place:
    if metadata.get("format") != _FORMAT:
        found = metadata.get("format")
        raise FormatError(f"{path}: expected format {_FORMAT!r}, found {found!r:.100}")
    try:
        about = state.parse(metadata.get("run", "").encode())
        place = Place(state.whole(about.get("step")), about["seconds"], about["ended"])
        before = state.mapping(about.get("settings"))
        if type(place.seconds) is not float or not 0 <= place.seconds < math.inf:
            raise state.Damaged(f"expected seconds, found {place.seconds!r:.40}")
        if type(place.ended) is not bool:
            raise state.Damaged(f"expected whether it has ended, found {place.ended!r:.40}")
    except (state.Damaged, KeyError) as error:
        raise FormatError(f"{path}: not a checkpoint of this program: {error}") from None
    now = json.loads(json_text(dict(settings)))
    for name in sorted(now.keys() | before.keys()):
        if now.get(name) != before.get(name):
            was, here = before.get(name), now.get(name)
            raise FormatError(f"{path}: was trained with {name} {was!r:.100}, not {here!r:.100}")
    return place
