"""Directions in a generator's latent space along which one trait of its faces changes.

They lie in a small file beside the network's: faces.safetensors has faces.traits.json. It is fitted
by ``python -m facegen.train.faces.traits`` (where the method is described) and says for each trait
a vector as long as a latent one, of which once added changes the trait by one standard deviation
of what the generator makes, and the others as little as can be.

>>> moved = directions().move(generator.latents([7]), {"smile": 1.5, "age": -1})
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError, FormatError
from facegen.files.atomic import AtomicFile
from facegen.files.digest import file_digest
from facegen.files.json_text import json_text
from facegen.networks.dcgan import LATENT
from facegen.networks.files import resolve

Floats = NDArray[np.float32]
MOST_BYTES = 4_000_000  # of a file
FURTHEST = 10.0  # standard deviations


@dataclass(frozen=True)
class Traits:
    """What such a file holds.

    Attributes
    ----------
    network
        SHA-256 of the file of the network that they are of.
    directions
        By the traits' names, in the order in which people are shown them: (latent size,) float32.
    measured
        What the fit found of each: see `facegen.train.faces.traits`.
    """

    network: str
    directions: Mapping[str, Floats]
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.directions)

    def move(self, latents: Floats, amounts: Mapping[str, float]) -> Floats:
        """Latent vectors (n, size), or one, with traits changed by so many standard deviations.

        Raises
        ------
        FacegenError
            As `shift`.
        """
        moved: Floats = np.asarray(latents, np.float32) + self.shift(amounts)
        return moved

    def shift(self, amounts: Mapping[str, float]) -> Floats:
        """What is added to a latent vector to change traits by so many standard deviations.

        Raises
        ------
        FacegenError
            There is no such trait, or an amount is not between -10 and 10.
        """
        total = np.zeros(len(next(iter(self.directions.values()))), np.float32)
        for name, amount in amounts.items():
            if name not in self.directions:
                known = ", ".join(self.directions)
                raise FacegenError(f"trait {name!r}: expected {known}")
            if not abs(amount) <= FURTHEST:
                raise FacegenError(
                    f"trait {name}: expected -{FURTHEST:g} to {FURTHEST:g}, found {amount:g}"
                )
            total += np.float32(amount) * self.directions[name]
        return total


def path_of(network: str | os.PathLike[str]) -> Path:
    """The file of a network's directions: faces.safetensors has faces.traits.json beside it."""
    path = Path(network)
    return path.with_name(f"{path.name.removesuffix(path.suffix)}.traits.json")


def directions(network: str | os.PathLike[str] | None = None, size: int = LATENT) -> Traits:
    """Those of a network's file; of the package's own faces if None.

    `size` is that of its latent vectors.

    Raises
    ------
    FacegenError
        There is no such file beside it, or it is of another network.
    FormatError
        It holds something else.
    OSError
        A file cannot be read.
    """
    file = Path(resolve(network))
    path = path_of(file)
    if not path.exists():
        raise FacegenError(
            f"{path}: there is no such file of {file.name}'s traits (python -m "
            "facegen.train.faces.traits makes one)"
        )
    traits = read(path)
    found = len(next(iter(traits.directions.values())))
    if found != size:
        raise FormatError(f"{path}: expected directions of {size} numbers, found {found}")
    if traits.network != file_digest(file):
        raise FacegenError(f"{path}: is of another network than {file}; fit its traits again")
    return traits


def read(path: str | os.PathLike[str]) -> Traits:
    """Read such a file.

    Raises
    ------
    FormatError
        It holds something else.
    OSError
        It cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise FormatError(f"{path}: expected at most {MOST_BYTES:,} bytes, found more")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(f"{path}: is no JSON, expected directions of traits") from None
    if not isinstance(found, dict) or not isinstance(found.get("traits"), dict):
        raise FormatError(f"{path}: expected an object with the traits, found something else")
    if not isinstance(found.get("network"), str):
        raise FormatError(f"{path}: expected the network's SHA-256, found none")
    known = {name: _direction(path, name, each) for name, each in found["traits"].items()}
    if len({len(each) for each in known.values()}) != 1:
        raise FormatError(f"{path}: expected directions of one length")
    measured = {name: _numbers(each) for name, each in found["traits"].items()}
    return Traits(found["network"], known, measured)


def _direction(path: Path, name: str, found: Any) -> Floats:
    numbers = found.get("direction") if isinstance(found, dict) else None
    valid = isinstance(numbers, list) and all(type(x) in (int, float) for x in numbers)
    if not valid or not numbers:
        raise FormatError(f"{path}: trait {name!r:.100}: expected a direction, a list of numbers")
    with np.errstate(over="ignore"):
        direction = np.array(numbers, np.float64).astype(np.float32)
    if not np.isfinite(direction).all():
        raise FormatError(f"{path}: trait {name!r:.100}: a number of its direction is not finite")
    return direction


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(x) for name, x in found.items() if type(x) in (int, float)}


def write(path: str | os.PathLike[str], traits: Traits) -> None:
    """Write such a file, whole or not at all."""
    listed = {
        name: {
            **traits.measured.get(name, {}),
            "direction": [float(f"{x:.6g}") for x in direction],
        }
        for name, direction in traits.directions.items()
    }
    text = json_text({"network": traits.network, "traits": listed})
    with AtomicFile(path) as file:
        file.write(text.encode() + b"\n")


def parse(words: Iterable[str]) -> dict[str, float]:
    """Amounts as people write them: "smile=1.5".

    Raises
    ------
    ValueError
        A word is none; the message says which.
    """
    amounts: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        try:
            amount = float(number)
        except ValueError:
            amount = np.nan
        if not name or not np.isfinite(amount):
            raise ValueError(f"{word!r} is no trait and amount, as smile=1.5")
        amounts[name] = amounts.get(name, 0.0) + amount
    return amounts
