#!/usr/bin/env python3
"""Gathers free photos out of Debian's packages, for a small colorizer to learn from.

    tools/gather-photos.py FOLDER [--side 320]

tools/photos.txt names them: a package, a path in it, licence and author on each line. All the
licences allow use, change and distribution. Writes 000.jpg and so on, upright; stamps lie on a
light ground.
"""

from __future__ import annotations

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps

LIST = Path(__file__).with_name("photos.txt")
GROUND = (214, 214, 214, 255)
ARCHIVE = ".rcc/"
ZLIB, FOLDER = 1, 2  # flags of what an archive has


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=320, help="of the shorter side, at most")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, list[str]] = defaultdict(list)
    licences: Counter[str] = Counter()
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            package, path, licence, _ = line.split("\t")
            paths[package].append(path)
            licences[licence] += 1
    count = 0
    for package, wanted in paths.items():
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True, stdout=2)
            (file,) = Path(work).glob(f"{package}_*.deb")
            subprocess.run(["dpkg", "-x", file, work], check=True)
            for photo in pictures(Path(work), wanted):
                made = shown(photo, options.side)
                made.save(options.folder / f"{count:03d}.jpg", quality=90)
                count += 1
        print(f"{file.name}: {len(wanted)}", file=sys.stderr)
    print(", ".join(f"{n} {licence}" for licence, n in licences.most_common()), file=sys.stderr)
    return 0


def pictures(root: Path, wanted: list[str]) -> Iterator[io.BytesIO]:
    """The files of a package that is unpacked, those in archives too."""
    archives: dict[str, dict[str, bytes]] = {}
    for path in wanted:
        archive, found, inner = path.partition(ARCHIVE)
        if not found:
            yield io.BytesIO((root / path).read_bytes())
            continue
        if archive not in archives:
            archives[archive] = dict(files((root / f"{archive}.rcc").read_bytes()))
        yield io.BytesIO(archives[archive][inner])


def files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file in an archive of Qt (rcc): a tree of nodes, breadth first."""
    magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
    if magic != b"qres":
        raise SystemExit(f"expected an archive of Qt, found one that begins with {magic!r}")
    node_bytes = 22 if version >= 2 else 14  # since 2 there is a date

    def below(node: int, path: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_bytes
        name, flags, first, second = struct.unpack_from(">IHII", data, at)
        if node:  # the root has no name
            (length,) = struct.unpack_from(">H", data, names + name)
            start = names + name + 6  # behind the length and a hash
            text = data[start : start + 2 * length].decode("utf-16-be")
            path = f"{path}/{text}" if path else text
        if flags & FOLDER:
            for child in range(second, second + first):
                yield from below(child, path)
            return
        (size,) = struct.unpack_from(">I", data, contents + second)
        start = contents + second + 4
        content = data[start : start + size]
        yield path, zlib.decompress(content[4:]) if flags & ZLIB else content

    return below(0, "")


def shown(file: io.BytesIO, side: int) -> Image.Image:
    """A photo in RGB, its shorter side at most so long."""
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    scale = min(1.0, side / min(image.size))
    width, height = (round(size * scale) for size in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    return Image.alpha_composite(Image.new("RGBA", image.size, GROUND), image).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
