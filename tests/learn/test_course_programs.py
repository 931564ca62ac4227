"""How programs of the course are found, built and run, and what is said where that fails."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from facegen.errors import FacegenError
from facegen.learn import build as building
from facegen.learn.build import BuildError, build
from facegen.learn.compilers import find_compiler, flags_of
from facegen.learn.course import find_rung, folder, rungs
from facegen.learn.run import Result, build_and_run, run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "course"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str) -> Path:
    """One that writes a program which runs `made`, and notes how often it was called."""
    calls = tmp_path / "calls"
    made_file = tmp_path / "made"
    made_file.write_text(f"#!/bin/sh\n{made}\n")
    body = f'[ "$1" = --version ] && exit 0\necho "$@" >> {calls}\n'
    body += f'for out; do :; done\ncp {made_file} "$out" && chmod +x "$out"'
    monkeypatch.setenv("CXX", str(script(tmp_path / "compiler", body)))
    return calls


def test_rungs_are_listed_in_order() -> None:
    found = rungs("cpu")
    assert [rung.name[:2] for rung in found] == [f"{i + 1:02}" for i in range(len(found))]
    assert all(rung.title for rung in found)
    with pytest.raises(FacegenError, match="cpu, gpu, found 'tpu'"):
        rungs("tpu")


def test_every_rung_is_short_and_names_itself() -> None:
    for rung in rungs("cpu"):
        text = rung.source.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 200
        assert f'kName = "{rung.name}"' in text
        assert f" {rung.source.name} -o rung && ./rung" in text
        assert "// Changes " in text and "// Predicted " in text


def test_a_rung_is_found_by_its_beginning() -> None:
    assert find_rung("cpu/02").name == find_rung("02_loop").name == "02_loop_order"
    with pytest.raises(FacegenError, match="cpu/01_naive, gpu/01_naive"):
        find_rung("01_naive")  # of both staircases
    with pytest.raises(FacegenError, match="begin so: none"):
        find_rung("99")
    with pytest.raises(FacegenError, match="cpu/01_naive, cpu/02"):
        find_rung("cpu/0")


def test_the_flags_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.cpp"
    file.write_text("// Rung 1: x.\n//\n//   g++ -O2 -I. x.cpp -lm -o rung && ./rung\n")
    assert flags_of(file) == ["-O2", "-I.", "-lm"]
    file.write_text("int main() {}\n")
    assert "-std=c++17" in flags_of(file)
    words = "// g++ doesn't like this\n// g++ isn't happy with -o either\n"
    file.write_text(words)
    assert "-std=c++17" in flags_of(file)
    file.write_text(f"{words}//   g++ -O2 x.cpp -o rung && ./rung\n")
    assert flags_of(file) == ["-O2"]


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FacegenError, match=r"none of g\+\+, clang\+\+.*install g\+\+.*CXX"):
        find_compiler(Path("a.cpp"))
    monkeypatch.setenv("CXX", "no-such-compiler -m32")
    with pytest.raises(FacegenError, match="CXX names no-such-compiler"):
        find_compiler(Path("a.cpp"))
    monkeypatch.setenv("CXX", "it's")
    with pytest.raises(FacegenError, match="CXX: expected a command, found No closing"):
        find_compiler(Path("a.cpp"))
    with pytest.raises(FacegenError, match=r"a\.txt: expected a file of C\+\+"):
        find_compiler(Path("a.txt"))


def test_a_file_that_does_not_compile(tmp_path: Path, own_cache: Path) -> None:
    file = tmp_path / "bad.cpp"
    file.write_text("int main() { return x; }\n")
    with pytest.raises(BuildError, match="does not compile") as raised:
        build(file)
    assert "x" in raised.value.output and not list(own_cache.iterdir())
    with pytest.raises(FacegenError, match="there is no such file"):
        build(tmp_path / "none.cpp")


def test_what_was_built_is_kept(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = a_compiler(tmp_path, monkeypatch, "true")
    file = tmp_path / "x.cpp"
    file.write_text("//   g++ -O2 x.cpp -o rung\n")
    first = build(file)
    assert build(file) == first and len(calls.read_text().splitlines()) == 1
    assert calls.read_text().split()[0] == "-O2"
    assert build(file, ["-O1"]) != first
    file.write_text("//   g++ -O2 x.cpp -o rung \n")
    assert build(file) != first
    monkeypatch.setattr(building, "_KEPT", 2)
    file.write_text("//   g++ -O3 x.cpp -o rung\n")
    latest = build(file)
    assert latest in (kept := list(own_cache.iterdir())) and len(kept) == 2
    (own_cache / "emulated").mkdir()
    os.utime(own_cache / "emulated", (0, 0))  # a folder is no old program
    file.write_text("//   g++ -O4 x.cpp -o rung\n")
    build(file)
    assert (own_cache / "emulated").is_dir() and len(list(own_cache.iterdir())) == 3


def test_a_compiler_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = script(tmp_path / "slow", '[ "$1" = --version ] || exec sleep 60')
    monkeypatch.setenv("CXX", str(command))
    (tmp_path / "x.cpp").write_text("")
    with pytest.raises(FacegenError, match=r"compiling took more than 0\.2 s"):
        build(tmp_path / "x.cpp", seconds=0.2)


LINE = '{"rung": "r", "problem": "tconv2", "verified": true, "ms": 2.0, "mine": 1}'


def test_results_are_read(tmp_path: Path) -> None:
    program = script(tmp_path / "rung", f"echo words; echo '{LINE}'")
    (result,) = run(program, [])
    assert isinstance(result, Result) and result.verified and result.ms == 2.0
    assert result.gflops is None and result.fields["mine"] == 1
    wrong = script(tmp_path / "wrong", f"echo '{LINE.replace('true', 'false')}'; exit 1")
    assert run(wrong, [])[0].verified is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kill -SEGV $$", r"crashed \(signal 11, Segmentation fault\)"),
        ("echo bad >&2; exit 2", "ended with exit code 2: bad"),
        ("true", "printed no result"),
        ("echo '{}'", "printed no result"),
        ("echo '{\"rung\" no json'", "expected a line of JSON"),
        ("echo '{\"rung\": 1}'", "rung: expected a word, found 1"),
        (f"echo '{LINE}'; echo '{LINE}'", "printed 2 results of tconv2, expected 1"),
        (f"echo '{LINE.replace('2.0', '0')}'", "ms: expected a number above 0, found 0"),
        (f"echo '{LINE.replace('2.0', 'NaN')}'", "ms: expected a number above 0, found nan"),
        (f"echo '{LINE.replace('2.0', '[]')}'", r"ms: expected a number above 0, found \[\]"),
        (f"echo '{LINE.replace('true', '1')}'", "verified: expected true, false or null, found 1"),
        (f"echo '{LINE.replace('tconv2', 'x')}'", "problem: expected conv3x3 or tconv2, found 'x'"),
        ("exec yes", "printed more than 1,048,576 bytes"),
        ("exec sleep 60", "more than 0.5 s"),
    ],
)
def test_programs_that_fail(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FacegenError, match=message):
        run(script(tmp_path / "rung", text), [], timeout=0.5)


def test_nothing_outlives_a_program(tmp_path: Path) -> None:
    child = tmp_path / "child"
    run(script(tmp_path / "rung", f"sleep 60 & echo $! > {child}; echo '{LINE}'"), [], timeout=30)
    with pytest.raises(FacegenError, match="more than 0.5 s"):
        run(script(tmp_path / "slow", f"sleep 60 & echo $! >> {child}; wait"), [], timeout=0.5)
    # The terminal is closed while it runs: this process is to end it, and does not end itself.
    slow = script(
        tmp_path / "hangup", f"sleep 60 & echo $! >> {child}; sleep 0.2; kill -HUP $PPID; wait"
    )
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # it is not under nohup
        with pytest.raises(SystemExit, match=str(128 + signal.SIGHUP)):
            run(slow, [], timeout=30)
    for pid in child.read_text().split():
        for _ in range(100):  # who adopts it takes it away in a moment
            state = Path(f"/proc/{pid}/stat")
            if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"{pid} is still there")


def test_what_run_prints_itself_is_not_in_the_way(tmp_path: Path) -> None:
    source = (folder() / "cpu" / "01_naive.cpp").read_text(encoding="utf-8")
    loop = "for (int image"
    assert source.count(loop) == 1
    file = tmp_path / "mine.cpp"
    file.write_text(source.replace(loop, f'std::printf("mine {{");\n{loop}'))
    (result,) = build_and_run(
        file, problem="tconv2", tiny=True, seconds=0.001, more_flags=["-O1", "-w"]
    )
    assert result.verified is True


def test_ones_own_file_meets_the_headers(tmp_path: Path) -> None:
    """Built elsewhere; and what never writes an output is found out."""
    source = (folder() / "cpu" / "01_naive.cpp").read_text(encoding="utf-8")
    file = tmp_path / "mine.cpp"
    file.write_text(source.replace("*output++ = sum", "sum"))
    results = build_and_run(file, tiny=True, seconds=0.001, more_flags=["-O1", "-w"])
    assert [result.problem for result in results] == ["conv3x3", "tconv2"]
    for result in results:
        assert result.verified is False and "image 0, y 0, x 0" in result.wrong
        assert result.ms is None
    (result,) = build_and_run(file, problem="tconv2", images=3, tiny=True, more_flags=["-O1", "-w"])
    assert result.images == 3
    with pytest.raises(FacegenError, match="usage: .*--problem conv3x3"):
        build_and_run(file, problem="conv5x5", more_flags=["-O1", "-w"])
