"""Weights that are rounded so that wheels pack them small."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from facegen import Generator
from facegen.files.digest import file_digest
from facegen.networks import dcgan
from facegen.numbers.rounding import BFloat16
from facegen.weights import write

TOOL = Path(__file__).resolve().parents[2] / "tools" / "shorten-weights.py"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="needs a checkout")


def shorten(monkeypatch: pytest.MonkeyPatch, *words: Path) -> object:
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    return ended.value.code


def test_layers_are_rounded_and_traits_go_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = dcgan.initial_weights(3)
    file, traits = tmp_path / "a.safetensors", tmp_path / "a.traits.json"
    write(file, dcgan.DCGAN, weights, half=True)
    traits.write_text(json.dumps({"network": file_digest(file), "traits": {}}))
    size = file.stat().st_size
    assert shorten(monkeypatch, file, traits) == 0
    assert file.stat().st_size == size
    assert json.loads(traits.read_text()) == {"network": file_digest(file), "traits": {}}
    found = Generator(file, device="cpu").weights
    half = weights["tconv1.weight"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found["tconv1.weight"], BFloat16()(half).astype(np.float16))
    np.testing.assert_array_equal(found["bn0.gamma"], weights["bn0.gamma"])


def test_nothing_is_written_without_the_traits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.safetensors"
    write(file, dcgan.DCGAN, dcgan.initial_weights(3), half=True)
    before = file.read_bytes()
    assert shorten(monkeypatch, file, tmp_path / "none.json") == 2
    assert file.read_bytes() == before
