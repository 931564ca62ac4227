"""What a shell offers while a line is typed: click's completion, with the values of ours."""

from __future__ import annotations

import pytest
from command_line import Run

from facegen.cli.main import COMMANDS
from facegen.hub import PUBLISHED
from facegen.networks import NETWORKS


@pytest.fixture
def offered(run: Run, monkeypatch: pytest.MonkeyPatch):
    def offered(line: str) -> list[str]:
        """Words, and "FILE" where the shell looks for files."""
        monkeypatch.setenv("_FACEGEN_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", f"facegen {line}")
        monkeypatch.setenv("COMP_CWORD", str(len(f"facegen {line}".split(" ")) - 1))
        result = run()
        assert (result.code, result.err) == (0, "")
        kinds = [entry.split(",", 1) for entry in result.out.splitlines()]
        return ["FILE" if kind == "file" else word for kind, word in kinds]

    return offered


def test_commands_and_files(offered) -> None:
    assert set(COMMANDS) <= set(offered(""))
    assert offered("col") == ["colorizer", "colorize"]
    assert offered("netw") == offered("network.bin in") == ["FILE"]  # the course's form
    assert offered("colorizer b") == ["bin2img"]
    assert {"--device", "--overwrite"} <= set(offered("colorize --"))


@pytest.mark.parametrize(
    "line, words",
    [
        ("colorize --device ", ["auto", "cpu", "cuda", "all"]),
        ("network.bin --device c", ["cpu", "cuda"]),
        ("train segmentation --device ", ["auto", "cpu", "cuda"]),
        ("generate --precision ", ["float32", "strict", "bfloat16", "tf32", "float16"]),
        ("generate --algorithm ", ["auto", "direct"]),
        ("colorize --network ", ["FILE", "default", *PUBLISHED]),
        ("segment -n network.s", ["FILE"]),
        ("digits -n d", ["FILE", "default"]),
        ("convert edges2c", ["FILE", "edges2cats_AtoB"]),
        ("fetch ", list(PUBLISHED)),
        ("fetch colorizer edges2s", ["edges2shoes_AtoB"]),
        ("init ", list(NETWORKS)),
        ("init seg", ["segmentation"]),
        ("colorize --format ", ["png", "jpg", "webp", "tiff", "bmp", "gif", "same"]),
    ],
)
def test_values(offered, line: str, words: list[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_reads(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_FACEGEN_COMPLETE", f"{shell}_source")
    result = run()
    assert result.code == 0 and f"_FACEGEN_COMPLETE={shell}_complete" in result.out
