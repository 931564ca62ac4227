"""What a message says about a missing package is what pyproject.toml says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from facegen import extras
from package_modules import MODULES

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    extras.install.cache_clear()
    yield
    extras.install.cache_clear()


EXTRAS = ["heif", "hub", "mpi", "nccl", "onnx", "serve", "torch", "video"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_the_packages(extra: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (stated,) = re.findall(rf"^{extra} = \[(.*)\]$", text, re.M)
    packages = [f"'{package}'" for package in re.findall(r'"(.+?)"', stated)]
    assert extras.install(extra) == f"pip install {' '.join(packages)}"


def test_of_a_wheel_with_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        if name == "facegen":
            raise metadata.PackageNotFoundError(name)
        return ["numpy>=1.24", "av >= 14 ; extra == 'video'", 'x; extra == "video2"']

    monkeypatch.setattr(metadata, "requires", requires)
    assert extras.install("video") == "pip install 'av >= 14'"


def test_where_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert extras.install("video") == "pip install '.[video]' in facegen's source"


@pytest.mark.parametrize("damage", [b"Name: facegen\nRequires-Dist: \xff\n", None])
def test_where_what_is_stated_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    """A message about a missing package is no place for another fault."""
    stated = tmp_path / "facegen-1.dist-info" / "METADATA"
    stated.parent.mkdir()
    if damage is None:
        stated.symlink_to(stated.name)  # a loop
    else:
        stated.write_bytes(damage)
    monkeypatch.syspath_prepend(tmp_path)
    assert extras.install("video") == "pip install '.[video]' in facegen's source"


def test_nothing_speaks_of_an_index() -> None:
    """No index has the package: "pip install facegen[...]" would get none, or another's."""
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *MODULES]:
        assert "facegen[" not in path.read_text(encoding="utf-8"), path
