"""Directions of traits: their file, and moving latent vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facegen import FacegenError, FormatError
from facegen.files.digest import file_digest
from facegen.networks import traits
from facegen.networks.traits import Traits

RANDOM = np.random.default_rng(0)
SMILE, AGE = RANDOM.standard_normal((2, 100)).astype(np.float32)


def known(network: str = "00") -> Traits:
    return Traits(network, {"smile": SMILE, "age": AGE}, {"smile": {"moved": 0.9}})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    traits.write(tmp_path / "faces.traits.json", known())
    found = traits.read(tmp_path / "faces.traits.json")
    assert found.network == "00" and found.names == ["smile", "age"]
    assert found.measured["smile"] == {"moved": 0.9} and found.measured["age"] == {}
    for name, direction in known().directions.items():
        # Six digits are written.
        np.testing.assert_allclose(found.directions[name], direction, rtol=1e-5)


def test_moving() -> None:
    z = RANDOM.uniform(-1, 1, (3, 100)).astype(np.float32)
    np.testing.assert_array_equal(known().move(z, {}), z)
    moved = known().move(z, {"smile": 1.5, "age": -1})
    # Sums of three float32.
    np.testing.assert_allclose(moved, z + 1.5 * SMILE.astype(float) - AGE, atol=1e-5)
    np.testing.assert_array_equal(known().move(z[0], {"age": 2}), z[0] + 2 * AGE)
    with pytest.raises(FacegenError, match="trait 'hat': expected smile, age"):
        known().move(z, {"hat": 1})
    with pytest.raises(FacegenError, match="trait age: expected -10 to 10, found 11"):
        known().move(z, {"age": 11})


def test_directions_are_of_one_network(tmp_path: Path) -> None:
    network, path = tmp_path / "mine.bin", tmp_path / "mine.traits.json"
    network.write_bytes(b"some network")
    with pytest.raises(FacegenError, match=r"mine\.traits\.json: there is no such file"):
        traits.directions(network)
    traits.write(path, known(file_digest(network)))
    assert traits.directions(network).names == ["smile", "age"]
    with pytest.raises(FormatError, match="expected directions of 64 numbers, found 100"):
        traits.directions(network, size=64)
    network.write_bytes(b"another network")
    with pytest.raises(FacegenError, match="is of another network"):
        traits.directions(network)


GOOD = {"network": "00", "traits": {"smile": {"direction": [1.0, 2]}}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ([], "expected an object with the traits"),
        ({"traits": {}}, "expected the network's SHA-256"),
        ({"network": "00", "traits": {}}, "of one length"),
        (GOOD | {"traits": {"smile": [1]}}, "trait 'smile': expected a direction"),
        (GOOD | {"traits": {"smile": {"direction": ["1"]}}}, "expected a direction"),
        (GOOD | {"traits": {"smile": {"direction": [1e99]}}}, "is not finite"),
        (GOOD | {"traits": {"a": {"direction": [1]}, "b": {"direction": [1, 2]}}}, "one length"),
    ],
)
def test_other_files(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "traits.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(FormatError, match=message):
        traits.read(path)


def test_amounts_as_people_write_them() -> None:
    assert traits.parse(["smile=1.5", "age=-2", "smile=1"]) == {"smile": 2.5, "age": -2}
    for word in ("smile", "=1", "smile=much", "smile=nan"):
        with pytest.raises(ValueError, match=f"'{word}' is no trait and amount"):
            traits.parse([word])
