"""What is printed, where, and how much of it; nothing that could steer a terminal."""

from __future__ import annotations

import ast
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run

import facegen
from facegen.cli import terminal
from facegen.cli.progress import progress
from facegen.cli.terminal import Loudness, visible

# Turns text red, sets the window's title, clears the screen by C1, moves up a line, ends a line.
HOSTILE = "a\x1b[31m\x1b]0;title\x07\x9b2J\rb\nc"
STEERING = set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_at_the_beginning() -> Iterator[None]:
    yield
    terminal.reset()


def test_control_characters_are_made_visible() -> None:
    assert visible("a\x1b[31m\r\n\t\x7f\x9b") == r"a\x1b[31m\r\n\t\x7f\x9b"
    assert visible("a\u202eb\u2066\u2028") == r"a\u202eb\u2066\u2028"
    assert visible(os.fsdecode(b"a\xff\xc3")) == r"a\xff\xc3"  # bytes that are no text
    for harmless in ("photos/Zoë – 東京 (1)\\new.jpg", "👩\u200d🚀", ""):
        assert visible(harmless) == harmless


@pytest.mark.parametrize("stream", ["out", "err"])
def test_every_function_makes_them_visible(
    stream: str, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal.choose(Loudness.VERBOSE)
    terminal.give_stdout_to({"OUTPUT": "-" if stream == "err" else None})
    for function in (terminal.say, terminal.detail, terminal.progressed, terminal.warn):
        function(HOSTILE)
    terminal.fail(HOSTILE)
    terminal.result(HOSTILE)
    out, err = capfd.readouterr()
    assert not STEERING & {*out, *err}
    assert len((out + err).splitlines()) == 6 and (out + err).count(visible(HOSTILE)) == 6
    assert len(out.splitlines()) == {"out": 2, "err": 1}[stream]


def test_names_of_files_reach_no_terminal_raw(run: Run) -> None:
    """Each says the name, in an error or as what it made."""
    Path(HOSTILE).mkdir()
    for words in (
        [f"{HOSTILE}.bin", "in.txt", "out.txt", "out.bmp"],
        ["demo", HOSTILE],
        ["demo", f"{HOSTILE}.png"],
        ["digits", HOSTILE],
        ["digits", f"{HOSTILE}.png"],
        ["classify", f"{HOSTILE}.png", "-n", HOSTILE],
        ["inspect", HOSTILE],
        ["init", HOSTILE, "a.bin"],
        ["init", "lenet", f"{HOSTILE}.npz"],
        ["inspect", f"{HOSTILE}.npz", "-v"],
        ["compare", HOSTILE, HOSTILE],
        ["fetch", HOSTILE],
        ["train", HOSTILE],
        [HOSTILE],
        ["serve", f"--{HOSTILE}"],
        ["colorizer", HOSTILE],
    ):
        result = run(*words)
        text = result.out + result.err
        assert text and not STEERING & {*text}, words


def test_warnings_and_tracebacks_reach_no_terminal_raw(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        import warnings

        warnings.warn(HOSTILE, stacklevel=1)
        raise ValueError(HOSTILE)

    monkeypatch.setattr("facegen.comparison.compare", fails)
    for flags in ([], ["--debug"]):
        result = run("compare", "a", "b", *flags)
        assert result.code == 1 and "warning: a\\x1b[31m" in result.err
        assert not STEERING & {*result.err}
        assert ("Traceback" in result.err) == bool(flags)


def test_commands_print_by_these_functions_alone() -> None:
    folder = Path(facegen.__file__).parent / "cli"
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and path.name != "terminal.py":
                called = ast.unparse(node.func)
                assert called not in ("print", "click.echo", "click.secho"), f"{path}: {called}"


def test_progress_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for total, loudness, shown in (
        (7, Loudness.NORMAL, True),
        (7, Loudness.QUIET, False),
        (None, Loudness.NORMAL, False),
    ):
        terminal.reset()
        terminal.choose(loudness)
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        with progress(total, "faces") as advance:
            advance(3)
            advance(4)
        assert ("7/7" in stream.getvalue()) == shown and bool(stream.getvalue()) == shown
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress(7, "faces") as advance:
        advance(7)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_lines_go_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    line = f"failed: {HOSTILE} [red]:smile: " + "long " * 100
    with progress(7, "faces") as advance:
        advance(3)
        terminal.fail(line)
        advance(4)
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    # The bar's line is wiped, then comes the line, whole and as it is, then the bar again.
    assert re.search(rf"\x1b\[2Kfacegen: {re.escape(visible(line).rstrip())} *\n", text)
    terminal.fail("afterwards")
    assert sys.stderr.getvalue().endswith("facegen: afterwards\n")  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [["init", "lenet"], ["init", "lenet", "--seed", "1"]])
def test_quiet_and_verbose(run: Run, words: list[str]) -> None:
    plain = run(*words, "a.npz")
    assert plain.code == 0 and plain.out and not plain.err
    command, *rest = words
    for flag in ("-q", "--quiet"):
        assert run(*words, "a.npz", "--overwrite", flag) == (0, "", "")
        assert run(flag, *words, "a.npz", "--overwrite") == (0, "", "")
    for flag in ("-v", "--verbose"):
        loud = run(flag, *words, "a.npz", "--overwrite")
        assert loud.code == 0 and loud.out == plain.out and re.search(r"took \d", loud.err)
    both = run(*words, "b.npz", "-q", "-v")
    assert both.code == 2 and "--quiet and --verbose: name one" in both.err
    assert not Path("b.npz").exists()


def test_options_of_all_commands_before_the_name_of_one(run: Run) -> None:
    for words in (["colorizer", "main"], ["train", "digits"], ["train"], ["inspect"]):
        shown = run(*words, "--help")
        assert shown.code == 0
        for i in range(len(words)):
            assert run(*words[:i], "-q", *words[i:], "--help") == shown
    assert "no such option" in run("--nothing", "inspect", "a").err.lower()


def test_verbose_says_what_was_chosen(run: Run, network_bin: Path) -> None:
    words = ["generate", "-n", network_bin, "-s", "1", "-o", "a.png", "--device", "cpu"]
    result = run(*words, "--threads", "1", "-v")
    assert result.code == 0
    assert f"facegen: network {network_bin} (dcgan)" in result.err
    assert re.search(r"facegen: on cpu \(\w+, 1 thread\), float32, ready in \d", result.err)
    shown = run("digits", "a.png", "-v", "--device", "cpu")
    assert "facegen: done: a.png\n" in shown.err and "digits.safetensors (lenet)" in shown.err


def test_outputs_that_do_not_go_to_standard_output(run: Run) -> None:
    """'-' becomes no file of that name."""
    for words in (
        ["generate", "-s", "1", "-o", "-"],
        ["generate", "-s", "1", "-o", "a.png", "--save-latents", "-"],
        ["demo", "-"],
        ["convert", "default", "-"],
        ["init", "lenet", "-"],
        ["colorizer", "net2bin", "a.pth", "-"],
    ):
        result = run(*words)
        assert result.code == 2 and len(result.err.splitlines()) == 1
        assert os.listdir() == []
