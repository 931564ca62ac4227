"""Write the card of a small network out of what tools/train-small.sh has left in its folder.

    python tools/write-small-card.py FOLDER portraits|parts|colours COMMAND

NAME.json and NAME.md appear in FOLDER; all figures are from the files there.
"""

# ruff: noqa: E501  (rows of tables in Markdown are lines)

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from facegen.files import state
from facegen.files.digest import file_digest


class About(NamedTuple):
    """What no file says of a network."""

    network: str
    title: str
    ends: str
    data: str
    drawn: str  # the folder of what it learned from
    limits: tuple[str, ...]


ABOUT = {
    "portraits": About(
        "pix2pix",
        "Portraits: the package's own pix2pix",
        "A line drawing of 256x256 in, a portrait out; a U-Net of 16 channels in its first layer",
        "line drawings as by hand, half of them in coloured pencils, and portraits of rendered people (facegen.train.pix2pix.portraits); no photographs",
        "pairs",
        (
            "it knows faces seen from the front in drawings of lines, black on white or in coloured pencils on tinted paper; other drawings become blotches",
            "light is its own guess, and of black lines colours and background are, too, and near to the average",
            "what all of a picture has, such as the paper's tint, is lost where a layer normalises by the picture: backgrounds are paler than meant",
        ),
    ),
    "parts": About(
        "segmentation",
        "Parts of faces: the package's own segmentation",
        "A picture of a face in, the class of each pixel out: background, hair, skin, eyes, brows, mouth, glasses, beard, clothes",
        "rendered people and the renderer's own masks (facegen.train.segmentation.portraits); no photographs",
        "parts/pictures",
        (
            "it knows the renderer's faces and those of the package's own generator; of photographs it gets hair, skin and clothes roughly, small parts seldom",
            "classes are found at 227x227",
        ),
    ),
    "colours": About(
        "colorizer",
        "Colours: the package's own small colorizer",
        "The lightness of a photo in, its colours out; the published network's layers with a quarter of the channels",
        "free photos out of Debian's packages (tools/photos.txt has each one's author and licence) and rendered people",
        "people/pictures",
        (
            "it has seen few photographs and gives the mean of the colours that it thinks likely: skin, sky and green are pale, all else is brownish or grey",
            "the published network, facegen fetch colorizer, is far better",
        ),
    ),
}


def known(folder: Path, name: str, command: str) -> dict[str, Any]:
    """All that the card says, for programs."""
    about, network = ABOUT[name], folder / f"{name}.safetensors"
    logs = [state.read_lines(path) for path in folder.glob(f"{name}*.run/log.jsonl")]
    result = (folder / f"{name}.result.txt").read_text().splitlines()
    machine = [line for line in result if line.startswith("trains on ")]
    return {
        "name": name,
        "network": about.network,
        "sha256": file_digest(network),
        "bytes": network.stat().st_size,
        "licence": "MIT",
        "data": {"what": about.data, "rendered": len(list((folder / about.drawn).iterdir()))},
        "command": command,
        "seed": 0,
        "seconds": round(
            sum(max((entry.get("seconds", 0) for entry in log), default=0) for log in logs)
        ),
        "device": machine[-1].removeprefix("trains on ") if machine else "the CPU",
        "date": f"{datetime.fromtimestamp(network.stat().st_mtime, timezone.utc):%Y-%m-%d}",
        "evaluation": evaluation(result, folder / about.drawn),
        "limits": list(about.limits),
    }


def evaluation(result: list[str], drawn: Path) -> str:
    """What training said of those held out: of all, or of photos and rendered ones apart."""
    said = [line.partition(": ")[::2] for line in result if " held out" in line]
    if len(said) == 1:
        return said[0][1]
    kinds = [("rendered" if Path(name) == drawn else "photos", text) for name, text in said[1:]]
    return "; ".join(f"{kind}: {text}" for kind, text in kinds)


def said(card: dict[str, Any]) -> str:
    """The same for people."""
    about = ABOUT[card["name"]]
    limits = "\n".join(f"- {limit[0].upper()}{limit[1:]}." for limit in card["limits"])
    return f"""# {about.title}

{about.ends}. `{card["name"]}.json` has all of this for programs.

| | |
|---|---|
| licence | {card["licence"]}, as the package |
| data | {card["data"]["what"]}; {card["data"]["rendered"]:,} rendered |
| training | {card["seconds"]:,} s on {card["device"]}, by the package's own kernels, {card["date"]} |
| weights | float16 for layers, float32 for biases and norms; {card["bytes"] / 1e6:.1f} MB |
| again | `{card["command"]}` |
| how good it is | {card["evaluation"]} |

## Limits

{limits}
"""


def main() -> int:
    folder, name, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    card = known(folder, name, command)
    (folder / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")
    (folder / f"{name}.md").write_text(said(card))
    return 0


if __name__ == "__main__":
    sys.exit(main())
