"""Commands whose network is not named: the package's own small one, said in a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image, ImageDraw

from facegen.networks import default
from facegen.networks.traits import directions

OWN = {
    "pix2pix": ("portraits", "portraits from line drawings, by the package's own small network"),
    "segment": ("parts", "parts of a face, by the package's own small network"),
    "colorize": ("colours", "colours for grey photos, by the package's own small network"),
}


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A face as a child draws it; nothing was fetched."""
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path / "cache"))
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 40, 196, 220), outline="black", width=2)
    for box in ((95, 105, 115, 118), (141, 105, 161, 118), (105, 165, 151, 185)):
        draw.ellipse(box, outline="black", width=2)
    image.save("face.png")
    return "face.png"


@pytest.mark.parametrize("command", OWN)
def test_the_package_has_one(run: Run, picture: str, command: str) -> None:
    name, words = OWN[command]
    result = run(command, picture, "-o", "made.png", "--device", "cpu")
    assert result.code == 0 and f"facegen: {words}" in result.err
    made = np.asarray(Image.open("made.png"))
    assert made.shape[:2] == (256, 256) and made.std() > 0
    # Named, or asked to be quiet, it needs no words.
    again = run(command, picture, "-n", name, "-o", "again.png", "--device", "cpu")
    assert again.code == 0 and words not in again.err
    np.testing.assert_array_equal(np.asarray(Image.open("again.png")), made)
    quiet = run(command, picture, "-o", "quiet.png", "-q", "--device", "cpu")
    assert quiet == (0, "", "")


def test_what_is_refused_needs_no_introduction(run: Run, picture: str) -> None:
    """The error is alone, whatever it is of: words, names, files, the device."""
    Path("there.png").write_bytes(b"")
    for words in (
        ("pix2pix", picture, "-o", "made.png", "--size", "257"),
        ("pix2pix", picture, "-o", "made.heic"),
        ("pix2pix", "missing.png", "-o", "made.png"),
        ("pix2pix", picture, "-o", "there.png"),
        ("pix2pix", picture, "-o", "made.png", "--device", "cuda:9"),
        ("segment", picture, "-o", "made.jpg"),
        ("segment", "missing.png", "-o", "made.png"),
    ):
        result = run(*words)
        assert result.code != 0 and "own small network" not in result.err, words
        assert "error: " in result.err.splitlines()[0] or "failed: " in result.err, result.err


def test_a_colorizer_of_the_package_opens_its_part_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path))  # nothing was fetched
    from facegen.cli.serve_models import models_of

    engine = {"device": "cpu", "threads": 1, "precision": "float32", "algorithm": "auto"}
    models = models_of([], engine)
    assert models.generator is not None and models.generator.network.name == "dcgan128"
    assert models.traits is not None
    smile = directions("faces128").directions["smile"]
    np.testing.assert_array_equal(models.traits.directions["smile"], smile)
    assert models.colorizer is not None
    assert models.hints["colorize"].startswith("Colours for grey photos, by the package's own")


def test_without_one_it_is_said_how_to_get_one(
    run: Run, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an installation that has not got it."""
    monkeypatch.delitem(default.FILES, "colorizer")
    result = run("colorize", picture, "-o", "made.png")
    assert result.code == 2 and "get it with facegen fetch colorizer" in result.err


def test_parts_have_names(run: Run, picture: str) -> None:
    assert run("segment", picture, "-o", "out", "--areas", "--device", "cpu").code == 0
    areas = json.loads(Path("out/face_areas.json").read_text())["classes"]
    names = ["background", "hair", "skin", "eyes", "brows", "mouth", "glasses", "beard", "clothes"]
    assert all(names[area["id"]] == area["name"] for area in areas)


@pytest.mark.parametrize("name", default.FILES.values())
def test_cards(name: str) -> None:
    """Every network's says how it was made and how good it is, and its file is what it says."""
    assert default.path(name).stat().st_size < 13_000_000
    card = default.card(name)
    for key in ("network", "data", "command", "licence", "limits", "date", "evaluation"):
        assert card[key] not in (None, "", [], {}), key
    assert default._folder().joinpath(f"{name}.md").read_text().startswith("# ")


@pytest.mark.parametrize("command", OWN)
def test_a_folder_of_its_name_is_no_network(run: Run, picture: str, command: str) -> None:
    """As results that were written to parts/ before."""
    name, _ = OWN[command]
    assert run(command, picture, "-n", name, "-o", f"{name}/", "--device", "cpu").code == 0
    result = run(command, picture, "-n", name, "-o", f"{name}/", "--device", "cpu")
    assert result.code == 0 and "1 skipped" in result.out
