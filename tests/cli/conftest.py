from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Result, Run

from facegen.cli import models
from facegen.cli.main import main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, in an empty folder.

    Seeded weights stand for trained ones; test_cli_seeded has what is said of them.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "is_seeded", lambda weights: False)

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def network_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "network.bin"
    assert main(["init", "dcgan", "--seed", "1", str(path), "--quiet"]) == 0
    return path
