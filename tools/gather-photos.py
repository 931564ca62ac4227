#!/usr/bin/env python3
"""Gathers free photos out of Debian's packages: what the small colorizer was trained on.

    tools/gather-photos.py FOLDER [--side 512]

Takes Debian 12's packages of wallpapers and of stamps for children, whose copyright files allow
use, change and distribution (docs/small-networks.md lists them). Of each package those pictures are
taken that have colours and are no near copy of another. Writes JPEG files and SOURCES.txt, a line a
picture: its name, package, version and path there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGES = (
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
    "tuxpaint-data",
    "tuxpaint-stamps-default",
)
KINDS = (".jpg", ".jpeg", ".png", ".webp")
LEAST_SIDE, LEAST_BYTES = 240, 15_000
LEAST_COLOUR = 6.0
"""Mean distance of R, G and B from their mean; less is grey."""
LEAST_DETAIL = 2.0
"""Mean change from pixel to pixel at 64x64; less is a gradient or a flat drawing."""
NEAR = 9.0
"""Mean distance at 16x16, of 255, under which two pictures are one."""


def unpack(package: str, folder: Path) -> str:
    """Download and unpack; the version."""
    subprocess.run(["apt-get", "download", "-q", package], cwd=folder, check=True, stdout=2)
    (file,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", file, folder / package], check=True)
    return file.name.split("_")[1].replace("%3a", ":")


def photo(path: Path, side: int) -> Image.Image | None:
    """The picture on its own or on a soft ground; None where it is no photo in colours."""
    try:
        image: Image.Image = Image.open(path)
        if min(image.size) < LEAST_SIDE:
            return None
        image.draft("RGB", (2 * side, 2 * side))
        image.thumbnail((side, side) if image.width > image.height else (side, side))
        image = image.convert("RGBA")
    except (OSError, ValueError):
        return None
    alpha = np.asarray(image)[..., 3]
    if (alpha < 128).mean() > 0.8:
        return None
    ground = Image.new("RGBA", image.size, (214, 214, 214, 255))
    image = Image.alpha_composite(ground, image).convert("RGB")
    small = np.asarray(image.resize((64, 64)), np.float32)
    colour = np.abs(small - small.mean(axis=2, keepdims=True)).mean()
    detail = np.abs(np.diff(small.mean(axis=2), axis=1)).mean()
    return image if colour >= LEAST_COLOUR and detail >= LEAST_DETAIL else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=512, help="of the longer side")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    known: list[np.ndarray] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        for package in PACKAGES:
            version = unpack(package, Path(work))
            root = Path(work) / package
            files = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
            for path in files:
                if path.suffix.lower() not in KINDS or path.stat().st_size < LEAST_BYTES:
                    continue
                image = photo(path, options.side)
                if image is None:
                    continue
                tiny = np.asarray(image.resize((16, 16)), np.float32)
                if any(np.abs(tiny - other).mean() < NEAR for other in known):
                    continue
                known.append(tiny)
                name = f"{len(known) - 1:04d}.jpg"
                image.save(options.folder / name, quality=90)
                lines.append(f"{name} {package} {version} {path.relative_to(root)}\n")
            print(f"{package} {version}: {len(known)} so far", file=sys.stderr)
    (options.folder / "SOURCES.txt").write_text("".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
