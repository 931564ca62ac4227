"""Data goes one way: nothing in the package imports what is built on top of it.

And pictures come in by one door, facegen.photos.photo, which knows their depths, profiles,
orientations and alpha.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import facegen
from facegen.networks import NETWORKS
from package_modules import MODULES, PACKAGE

# From the ground up; each may import those before it.
ORDER = (
    *("_native", "_cuda", "system", "errors", "extras", "cached", "shares", "pipeline"),
    *("launchers", "processors", "nn", "files", "numbers", "colour", "photos", "media"),
    *("comparison", "hub", "weights", "engine", "kernels", "graphs", "onnx_files", "networks"),
    *("loading", "parallel"),
    *("pictures", "runs", "train", "serving", "serve", "lab", "learn", "cli", "__main__"),
)
PARTS = sorted({path.relative_to(PACKAGE).parts[0] for path in MODULES})


def imports(tree: ast.AST) -> Iterator[str]:
    """Names of what is imported at run time, here or within a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


@pytest.mark.parametrize("part", [part for part in PARTS if part != "__init__.py"])
def test_imports_go_one_way(part: str) -> None:
    below = ORDER[: ORDER.index(part.removesuffix(".py")) + 1]
    path = PACKAGE / part
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        for name in imports(ast.parse(file.read_text(encoding="utf-8"))):
            _, *inner = facegen._HOME.get(name.removeprefix("facegen."), name).split(".")
            if name.startswith("facegen.") and inner[0] not in facegen.__all__:
                assert inner[0] in below, f"{file} imports {name}"


@pytest.mark.parametrize("file", sorted((PACKAGE / "weights").glob("*.py")), ids=lambda f: f.stem)
def test_formats_know_no_network(file: Path) -> None:
    """Not even for their types, and by no network's name."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [module for module in modules if module.startswith("facegen.networks")]
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not words & set(NETWORKS)


@pytest.mark.parametrize("part", [part.removesuffix(".py") for part in PARTS])
def test_the_command_line_alone_parses_and_prints(part: str) -> None:
    """Runs tell how far they are by callbacks; the programs of tasks are commands themselves."""
    if part in ("cli", "train"):
        return
    path = PACKAGE / part
    for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        roots = {name.partition(".")[0] for name in imports(tree)}
        assert not roots & {"click", "rich"}, file
        if part in ("runs", "pictures", "networks"):
            calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            assert "print" not in map(ast.unparse, calls), file


# Who opens files with Pillow, who turns pictures, who tells images from paths. Masks hold classes,
# not colours, and have a rule of their own.
DOORS = {
    "Image.open(": ["photos/photo.py", "train/segmentation/masks.py"],
    ".transpose(turn)": ["photos/photo.py"],
    "exif_transpose(": [],  # loses a picture whose EXIF is damaged
    ", Image.Image)": ["photos/kinds.py"],
}


@pytest.mark.parametrize("call", DOORS)
def test_pictures_come_in_by_one_door(call: str) -> None:
    found = [file for file in MODULES if call in file.read_text(encoding="utf-8")]
    assert [file.relative_to(PACKAGE).as_posix() for file in found] == DOORS[call]
