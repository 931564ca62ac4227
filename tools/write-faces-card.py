"""Write the card of a network of faces out of what tools/train-default.sh has left in its folder.

    python tools/write-faces-card.py FOLDER [NAME]

NAME.json and NAME.md ("faces" if not named) appear in FOLDER, all figures from the files there:
nothing is filled in by hand.
"""

# ruff: noqa: E501  (rows of tables in Markdown are lines)

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from facegen.files.digest import file_digest

LIMITS = {
    "style": "faces are illustrations, as those of the renderer; they say nothing about how people "
    "look, and shares of traits are those that the renderer draws",
    "flaws": "some are flawed at a closer look: eyes of two sizes, broken glasses, blurred beards, "
    "hair that ends in the air; turned heads more than others; none are picked out",
    "run": "one run of one setting",
}


def known(folder: Path, name: str) -> dict[str, Any]:
    """All that the card says, for programs."""
    entries = [json.loads(line) for line in _lines(folder / "run" / "log.jsonl")]
    pixels = np.load(folder / "faces.npy", mmap_mode="r")
    network = folder / f"{name}.safetensors"
    machine = [line for line in _lines(folder / "train.log") if line.startswith("trains on ")]
    count, side = pixels.shape[:2]
    return {
        "name": name,
        "network": "dcgan" if side == 64 else f"dcgan{side}",
        "sha256": file_digest(network),
        "bytes": network.stat().st_size,
        "licence": "MIT",
        "data": {
            "what": f"{count:,} synthetic faces of {side}x{side} "
            "(facegen.train.faces.synthetic), no photographs",
            "command": f"python -m facegen.train.faces.synthetic --count {count} --side {side} "
            "--seed 0 -o faces.npy",
            "sha256": file_digest(folder / "faces.npy"),
            "seconds": int((folder / "rendering_seconds.txt").read_text()),
        },
        "command": (folder / "command.txt").read_text().strip(),
        "seed": 0,
        "steps": entries[-1]["step"],
        "batch": 256,
        "seconds": round(entries[-1]["seconds"]),
        "device": machine[-1].removeprefix("trains on ") if machine else "not known",
        "date": f"{datetime.fromtimestamp(network.stat().st_mtime, timezone.utc):%Y-%m-%d}",
        "evaluation": json.loads((folder / "evaluation.json").read_text()),
        "traits": {
            trait: {key: value for key, value in each.items() if key != "direction"}
            for trait, each in _traits(folder / f"{name}.traits.json").items()
        },
        "limits": list(LIMITS.values()),
    }


def _traits(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["traits"] if path.exists() else {}
    return found


def _lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.strip()]


def said(card: dict[str, Any]) -> str:
    """The same for people."""
    e, data = card["evaluation"], card["data"]
    side = int(data["what"].split("x")[-1].split()[0])
    levels = [str(n) for n in (128, 64, 32, 16) if f"swd{n}" in e]
    swd = ", ".join(f"{e[f'swd{n}']:.1f}" for n in levels)
    kernel = ""
    if "kernel_distance" in e:
        kernel = (
            "\n\nKernel distance by SqueezeNet's features, times 1000: "
            f"{e['kernel_distance']:.2f}; of two sets of pictures {e['kernel_distance_real']:.2f}."
        )
    flaws = "\n".join(f"- {limit[0].upper()}{limit[1:]}." for limit in card["limits"])
    return f"""# Faces of {side}x{side}: the package's own network

A generator ({card["network"]}): 100 numbers, uniform in -1 to 1, in; a face of {side}x{side} RGB out.
`{card["name"]}.json` has all of this for programs.

| | |
|---|---|
| licence | {card["licence"]}, as the package |
| data | {data["what"]}, seed 0, drawn in {data["seconds"]} s; no real people |
| training | {card["steps"]:,} steps of {card["batch"]} pictures, seed 0, {card["seconds"]} s on {card["device"]}, by the package's own kernels, {card["date"]} |
| weights | moving average, batch norms measured over 4,096 latents; layers rounded to 8 significant bits, as float16 (wheels pack them smaller), float32 for biases and batch norms; {card["bytes"] / 1e6:.1f} MB |
| again | `{card["command"]}` |

## How good it is

Of {e["count"]:,} samples, by the [measures of training](../../../../docs/training-faces.md#how-good-is-it):

| | samples | pictures |
|---|---:|---:|
| distances among each other, relative (`diversity`) | {e["diversity"]:.3f} | 1 |
| distance to the nearest training picture, median | {e["nearest_fake"][1]:.2f} | {e["nearest_real"][1]:.2f} |
| the same, least | {e["nearest_fake"][0]:.2f} | {e["nearest_real"][0]:.2f} |
| least distance of any two | {e["closest_pair_fake"]:.2f} | {e["closest_pair_real"]:.2f} |

Pictures are compared at 16x16; those of the right column are training pictures, against the others. A copy
would be at 0. Sliced Wasserstein distance: {e["swd"]:.1f} ({swd} at {", ".join(levels)} pixels). On 32 walks of 60
steps from face to face, the largest change in one step was {e["largest_step"]:.1f} times the mean one.{kernel}

## Traits

{_traits_said(card["traits"])}

## Limits

{flaws}
"""


def _traits_said(traits: dict[str, Any]) -> str:
    if not traits:
        return "No directions were fitted."
    rows = "\n".join(
        f"| {name} | {t['told']:.2f} | {t['linear']:.2f} | {t['moved']:.2f} | "
        f"{t['moved_others']:.2f} |"
        for name, t in traits.items()
    )
    return f"""Directions of the latent space (`facegen generate --trait`). Of a step of one deviation, how many the
trait itself moved, and the other one that moved most:

| | told from pictures, R^2 | linear in the latent vector, R^2 | moved | another |
|---|---:|---:|---:|---:|
{rows}"""


if __name__ == "__main__":
    place = Path(sys.argv[1])
    called = sys.argv[2] if len(sys.argv) > 2 else "faces"
    card = known(place, called)
    (place / f"{called}.json").write_text(json.dumps(card, indent=2) + "\n")
    (place / f"{called}.md").write_text(said(card))
    print(place / f"{called}.md")
