"""The files of the page: colours that can be read, and drawings to begin with."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facegen
from facegen.train.pix2pix.portraits import drawings

STATIC = Path(facegen.__file__).parent / "serve" / "static"
TEXTS = [
    *(("ink", "wall"), ("faint", "wall"), ("faint", "card")),
    *(("accent", "wall"), ("accent", "card"), ("on-accent", "accent")),
]
EDGES = [("track", "wall"), ("track", "card")]  # of fields and sliders


def brightness(colour: str) -> float:
    """Relative luminance of "#rrggbb", by WCAG 2."""
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_differ_enough_to_be_read(theme: int) -> None:
    """WCAG 2, level AA: 4.5 for text, 3 for the edges of what is worked with."""
    css = (STATIC / "base.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    colours = {name: brightness(themes[theme]) for name, *themes in found}
    for pairs, least in ((TEXTS, 4.5), (EDGES, 3.0)):
        for pair in pairs:
            darker, lighter = sorted(colours[name] for name in pair)
            assert (lighter + 0.05) / (darker + 0.05) >= least, pair


def test_drawings_to_begin_with_are_such_as_the_network_learned_from() -> None:
    text = (STATIC / "starters.js").read_text()
    starters = re.findall(r'file: "([\w-]+\.\w+)", paper: "(#\w{6})"', text)
    assert len(starters) == 5 and all((STATIC / name).is_file() for name, _ in starters)
    first = re.fullmatch(r"person-(\d+)\.png", starters[0][0])
    assert first is not None
    sheet = Image.new("RGBA", (256, 256), starters[0][1])
    sheet.alpha_composite(Image.open(STATIC / first[0]))
    expected = drawings(0, [int(first[1])], coloured=True)[0]
    # Other processors round some edges otherwise.
    assert np.abs(np.asarray(sheet)[..., :3].astype(int) - expected).mean() < 1
