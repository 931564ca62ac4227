"""What the types of the public models tell a program that is checked with mypy."""

from __future__ import annotations

from pathlib import Path

import pytest

import facegen

PROGRAM = """
from typing import Any, assert_type
import numpy as np
from PIL.Image import Image
import facegen
from facegen.networks.classifier import Guess

def check(array: np.ndarray, image: Image) -> None:
    for model in (facegen.Colorizer("f"), facegen.Pix2Pix("f")):
        assert_type(model("a.png"), Image)
        assert_type(model(image), Image)
        assert_type(model(array), np.ndarray)
        assert_type(model([array, image, "a.png"]), list[Any])
    segmenter = facegen.Segmenter("f")
    assert_type(segmenter("a.png"), np.ndarray)
    assert_type(segmenter([image]), list[np.ndarray])
    classifier = facegen.Classifier("f")
    assert_type(classifier(image, top=3), list[Guess])
    assert_type(classifier(["a.png"]), list[list[Guess]])
    assert_type(facegen.Generator().generate(range(3)), np.ndarray)
"""


@pytest.mark.slow  # mypy reads NumPy's stubs
def test_results_have_the_types_of_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    place = Path(facegen.__file__).parents[1]
    if place.name != "site-packages":  # there mypy looks by itself
        monkeypatch.setenv("MYPYPATH", str(place))
    out, err, code = api.run(["--config-file=", "--strict", "--python-version=3.12", "-c", PROGRAM])
    assert code == 0, out + err
