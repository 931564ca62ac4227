#!/usr/bin/env python3
"""Gathers free photos out of Debian's packages, for a small colorizer to learn from.

    tools/gather-photos.py FOLDER [--side 512]

tools/photos.txt names them: a package and a path in it on each line. Their copyright files allow
use, change and distribution. Writes 000.jpg and so on; stamps lie on a light ground.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from PIL import Image

LIST = Path(__file__).with_name("photos.txt")
GROUND = (214, 214, 214, 255)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=512, help="of the longer side, at most")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, list[str]] = defaultdict(list)
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            package, path = line.split(" ", 1)
            paths[package].append(path)
    for package, found in paths.items():
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True, stdout=2)
            (file,) = Path(work).glob(f"{package}_*.deb")
            subprocess.run(["dpkg", "-x", file, work], check=True)
            for path in found:
                image = Image.open(Path(work) / path).convert("RGBA")
                image.thumbnail((options.side, options.side))
                ground = Image.new("RGBA", image.size, GROUND)
                name = f"{len(list(options.folder.iterdir())):03d}.jpg"
                photo = Image.alpha_composite(ground, image).convert("RGB")
                photo.save(options.folder / name, quality=90)
        print(f"{file.name}: {len(found)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
