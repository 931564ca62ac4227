"""Where the cache is; and what happens where nobody can say."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from facegen import FacegenError, hub
from facegen.cli.main import main


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's user without a name: no HOME, no entry in the list of users."""

    def nobody(user: int) -> pwd.struct_passwd:
        raise KeyError(user)

    for name in ("HOME", "FACEGEN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


def test_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.delenv("FACEGEN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert hub.folder() == Path("/home/x/.cache/facegen")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert hub.folder() == Path("/var/cache/facegen")
    monkeypatch.setenv("FACEGEN_CACHE", "~/networks")
    assert hub.folder() == Path("/home/x/networks")


@pytest.mark.usefixtures("homeless")
def test_no_home_is_an_error_where_the_cache_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FacegenError, match="set FACEGEN_CACHE"):
        hub.folder()
    with pytest.raises(FacegenError, match="set FACEGEN_CACHE"):
        hub.cached("colorizer")
    for words in (["fetch", "colorizer", "--offline"], ["inspect", "colorizer"]):
        assert main(words) == 2
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("facegen: error: ") and "FACEGEN_CACHE" in said[-1]
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path))
    assert hub.folder() == tmp_path


@pytest.mark.usefixtures("homeless")
def test_no_home_is_no_error_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (
        ["fetch"],
        ["doctor"],
        ["generate", "--seeds", "1", "-o", "face.png", "--device", "cpu"],
        ["inspect", "default"],
    ):
        assert main(words) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be taken by root alone")
def test_a_user_without_a_name() -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "facegen", *words],
            env=environment,
            cwd="/",
            preexec_fn=lambda: os.setreuid(12345, 0),  # who may still read this installation
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    result = run("--version")
    assert result.returncode == 0, result.stderr
    assert run("fetch").returncode == 0
    result = run("fetch", "colorizer", "--offline", "-q")
    assert result.returncode == 2
    assert "FACEGEN_CACHE" in result.stderr and len(result.stderr.splitlines()) == 1
