"""facegen NETWORK INPUT OUTPUT IMAGE."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, latent_text, read_bmp, start

from facegen import Generator
from shared_data import SHARED_DATA


def test_steps_values_and_picture(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text(range(5)))
    result = run(network_bin, "in.txt", "out.txt", "out.bmp", "--threads", 1)
    assert result.code == 0 and result.err == ""
    for word in ("network.bin", "in.txt", "5 faces", "out.txt", "out.bmp", "cpu", "1 thread)"):
        assert word in result.out
    assert re.fullmatch(r"Elapsed time : \d+\.\d{6} sec", result.out.splitlines()[-1])

    faces = Generator(network_bin, device="cpu").generate(range(5))
    lines = Path("out.txt").read_text().splitlines(keepends=True)
    assert lines[0] == "5\n" and len(lines) == 6
    for line, face in zip(lines[1:], faces, strict=True):
        assert line == "".join(f"{value:.4f} " for value in face.ravel()) + "\n"
    picture = read_bmp(Path("out.bmp"))
    assert picture.shape == (3 * 64, 3 * 64, 3)
    pixels = ((faces + np.float32(1)) / np.float32(2) * np.float32(255)).astype(np.uint8)
    for i in range(9):
        y, x = 64 * (i // 3), 64 * (i % 3)
        expected = pixels[i] if i < 5 else 0
        np.testing.assert_array_equal(picture[y : y + 64, x : x + 64], expected)
    assert sorted(os.listdir()) == ["in.txt", "out.bmp", "out.txt"]


def test_more_faces_than_a_chunk(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text(range(300)))
    assert run(network_bin, "in.txt", "out.txt", "out.bmp").code == 0
    Path("one.txt").write_text(latent_text([299]))
    assert run(network_bin, "one.txt", "one-out.txt", "one.bmp").code == 0
    lines = Path("out.txt").read_text().splitlines()
    assert len(lines) == 301 and lines[300] == Path("one-out.txt").read_text().splitlines()[1]


def test_the_inputs_of_the_course(run: Run, network_bin: Path) -> None:
    source = SHARED_DATA / "course-facegen" / "input1.txt"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    assert run(network_bin, source, "out.txt", "out.bmp").code == 0
    assert Path("out.txt").read_text().startswith("10\n")
    assert run("compare", "out.txt", "out.txt").code == 0


def test_quiet_and_options_in_front(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text([1]))
    result = run("--quiet", "--device", "cpu", network_bin, "in.txt", "out.txt", "out.bmp")
    assert result == (0, "", "")
    assert Path("out.txt").exists() and Path("out.bmp").exists()


def test_standard_output_carries_the_values_alone(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text([1, 2]))
    assert run(network_bin, "in.txt", "out.txt", "out.bmp").code == 0
    result = run(network_bin, "in.txt", "-", "again.bmp")
    assert result.code == 0 and "Elapsed time" in result.err
    assert result.out == Path("out.txt").read_text()


def test_standard_input(tmp_path: Path, network_bin: Path) -> None:
    process = start([network_bin, "-", "out.txt", "out.bmp"], tmp_path, stdin=subprocess.PIPE)
    _, err = process.communicate(latent_text([3]).encode(), timeout=60)
    assert process.returncode == 0, err
    assert (tmp_path / "out.txt").read_text().startswith("1\n")


def test_null_devices_take_output(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text([1]))
    assert run(network_bin, "in.txt", "/dev/null", "/dev/null").code == 0
    assert os.listdir() == ["in.txt"]


def test_more_numbers_than_announced_is_a_warning(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text([1]) + " 0.5 0.25\n")
    result = run(network_bin, "in.txt", "out.txt", "out.bmp")
    assert result.code == 0
    assert result.err.startswith("facegen: warning: in.txt: 2 more numbers")
    assert len(result.err.splitlines()) == 1


def test_long_lines_and_odd_white_space(run: Run, network_bin: Path) -> None:
    text = latent_text([1, 2])
    Path("plain.txt").write_text(text)
    Path("in.txt").write_text("\n\n" + " " * 100_000 + text.replace("\n", " \t\r\f ") + "\n" * 9)
    assert run(network_bin, "plain.txt", "plain-out.txt", "plain.bmp").code == 0
    assert run(network_bin, "in.txt", "out.txt", "out.bmp").code == 0
    assert Path("out.txt").read_bytes() == Path("plain-out.txt").read_bytes()


GOOD = latent_text([1, 2])
BAD_TEXTS: dict[str, tuple[str, str]] = {  # text, what the message says
    "empty": ("", "empty"),
    "white space": (" \n \n", "empty"),
    "words": ("hello world\n", "line 1, column 1"),
    "a word among numbers": (GOOD.replace(" ", " seven ", 1), "line 2, column .*'seven'"),
    "truncated": (GOOD[: len(GOOD) // 2], "before the end"),
    "cut after the count": ("3\n", "announces 3"),
    "negative count": ("-3\n" + GOOD, "'-3'"),
    "count with a fraction": ("2.5\n" + GOOD, "'2.5'"),
    "count of 0": ("0\n", "announces 0"),
    "absurd count": ("2000000000\n" + GOOD, "announces 2,000,000,000"),
    "count beyond an int": ("99999999999999999999999\n" + GOOD, "'99999999999999999999999'"),
    "NaN": (GOOD.replace(" ", " nan ", 1), "line 2"),
    "infinity": (GOOD.replace(" ", " -inf ", 1), "line 2"),
    "overflow": (GOOD.replace(" ", " 1e99 ", 1), "line 2"),
    "binary": ("\x00\x01\x02" * 1000, "line 1, column 1"),
    "one long word": ("1" * 1_000_000, "line 1, column 1"),
    "a long word among numbers": ("1\n" + "x" * 1_000_000, "line 2, column 1"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_text(run: Run, network_bin: Path, case: str) -> None:
    text, message = BAD_TEXTS[case]
    Path("in.txt").write_text(text)
    check_refused(run(network_bin, "in.txt", "out.txt", "out.bmp"), f"in.txt: .*{message}")
    assert os.listdir() == ["in.txt"]


@pytest.mark.parametrize("count", [3, 65])
def test_input_of_a_pipe_that_ends_early(network_bin: Path, tmp_path: Path, count: int) -> None:
    """Nothing behind the count, or one chunk less than announced; no newline at the end."""
    text = latent_text(range(64 if count == 65 else 0)).partition("\n")[2].strip()
    process = start([network_bin, "-", "out.txt", "out.bmp"], tmp_path, stdin=subprocess.PIPE)
    out, err = process.communicate(f"{count}\n{text}".strip().encode())
    message = f"/dev/stdin: expected {100 * count:,} numbers .* before the end in line"
    check_refused((process.returncode, out.decode(), err.decode()), message)
    assert os.listdir(tmp_path) == []


def check_refused(result: tuple[int, str, str], message: str, code: int = 2) -> None:
    """One clear line and the right exit code."""
    found, _, err = result
    assert len(err.splitlines()) == 1 and len(err) < 500, err
    assert re.match(f"facegen: error: .*{message}", err), err
    assert found == code


def missing(folder: Path) -> Path:
    return folder / "missing.bin"


def dangling(folder: Path) -> Path:
    (folder / "dangling").symlink_to("nowhere")
    return folder / "dangling"


def loop(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def a_folder(folder: Path) -> Path:
    (folder / "folder").mkdir()
    return folder / "folder"


def under_a_file(folder: Path) -> Path:
    (folder / "file").write_text("x")
    return folder / "file" / "x"


def long_name(folder: Path) -> Path:
    return folder / ("x" * 300)


UNREADABLE = [missing, dangling, loop, a_folder, under_a_file, long_name]


@pytest.mark.parametrize("make", UNREADABLE)
def test_unreadable_network(run: Run, make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    Path("in.txt").write_text(GOOD)
    before = sorted(os.listdir())
    check_refused(run(path, "in.txt", "out.txt", "out.bmp"), re.escape(str(path)))
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("make", UNREADABLE)
def test_unreadable_input(
    run: Run, network_bin: Path, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    before = sorted(os.listdir())
    check_refused(run(network_bin, path, "out.txt", "out.bmp"), re.escape(str(path)))
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("make", [a_folder, under_a_file, long_name, loop])
@pytest.mark.parametrize("which", ["OUTPUT", "IMAGE"])
def test_output_that_cannot_be_written(
    run: Run, network_bin: Path, make: Callable[[Path], Path], which: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    Path("in.txt").write_text(GOOD)
    before = sorted(os.listdir())
    outputs = ("out.txt", path) if which == "IMAGE" else (path, "out.bmp")
    check_refused(run(network_bin, "in.txt", *outputs), re.escape(str(path)))
    assert sorted(os.listdir()) == before


def test_output_in_a_missing_folder(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(GOOD)
    check_refused(run(network_bin, "in.txt", "no/out.txt", "out.bmp"), "no/out.txt: No such file")
    check_refused(run(network_bin, "in.txt", "out.txt", "no/out.bmp"), "no/out.bmp: No such file")
    assert os.listdir() == ["in.txt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("outputs", [("/dev/full", "out.bmp"), ("out.txt", "/dev/full")])
def test_full_disk(run: Run, network_bin: Path, outputs: tuple[str, str]) -> None:
    Path("in.txt").write_text(GOOD)
    check_refused(run(network_bin, "in.txt", *outputs), "/dev/full: No space left", code=1)
    # Nothing half written: no picture, and no text or one that is complete.
    assert set(os.listdir()) <= {"in.txt", "out.txt"}
    if Path("out.txt").exists():
        assert run("compare", "out.txt", "out.txt").code == 0


def test_network_of_another_size(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(GOOD)
    data = network_bin.read_bytes()
    for size in (0, 1000, len(data) - 1, len(data) + 1):
        Path("bad.bin").write_bytes((data + b"\0")[:size])
        result = run("bad.bin", "in.txt", "out.txt", "out.bmp")
        check_refused(result, f"bad.bin: .*{size:,} bytes.*20,549,132")
    assert sorted(os.listdir()) == ["bad.bin", "in.txt"]


def test_network_with_nan(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(GOOD)
    data = bytearray(network_bin.read_bytes())
    data[4_000_000:4_000_004] = np.float32(np.nan).tobytes()
    Path("bad.bin").write_bytes(data)
    result = run("bad.bin", "in.txt", "out.txt", "out.bmp")
    check_refused(result, r"bad.bin: tensor 'tconv1.weight' holds nan at .*\(byte 4000000\)")
    assert sorted(os.listdir()) == ["bad.bin", "in.txt"]


def test_picture_too_large_is_found_before_computing(tmp_path: Path, network_bin: Path) -> None:
    process = start([network_bin, "-", "out.txt", "out.bmp"], tmp_path, stdin=subprocess.PIPE)
    _, err = process.communicate(b"400000\n", timeout=60)  # and no numbers
    check_refused((process.returncode, "", err.decode()), "out.bmp: a BMP of 400,000 faces")
    assert os.listdir(tmp_path) == []


def test_the_same_file_twice(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(GOOD)
    check_refused(run(network_bin, "in.txt", "out", "out"), "OUTPUT and IMAGE are the same file")
    check_refused(run(network_bin, "in.txt", "./in.txt", "out"), "INPUT and OUTPUT are the same")
    os.symlink(network_bin, "link")
    check_refused(run(network_bin, "in.txt", "out", "link"), "NETWORK and IMAGE are the same file")
    assert Path("in.txt").read_text() == GOOD


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cpu"], "INPUT and OUTPUT and IMAGE missing"),
        (["a"], "found INPUT a; OUTPUT and IMAGE missing"),
        (["a", "b"], "found INPUT a, OUTPUT b; IMAGE missing"),
        (["a", "b", "c", "d", "e"], "found 5 names"),
    ],
)
def test_wrong_number_of_arguments(run: Run, arguments: list[str], message: str) -> None:
    expected = rf"expected \[NETWORK\] INPUT OUTPUT IMAGE, {message} \(see facegen --help\)"
    check_refused(run(*arguments), expected)


def test_a_network_is_known_by_its_content(run: Run, network_bin: Path) -> None:
    """Where a name is left out behind it, it is not taken for INPUT."""
    Path("in.txt").write_text(GOOD)
    network = f"NETWORK {network_bin} .which holds a dcgan network."
    check_refused(run(network_bin), rf".*found {network}; INPUT and OUTPUT and IMAGE missing")
    check_refused(run(network_bin, "in.txt"), rf".*found {network}, INPUT in.txt; OUTPUT and IMAGE")
    check_refused(
        run(network_bin, "in.txt", "out.txt"),
        rf".*found {network}, INPUT in.txt, OUTPUT out.txt; IMAGE missing",
    )
    assert Path("in.txt").read_text() == GOOD


def test_names_of_other_kinds_of_files(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(GOOD)
    for image in ("out.png", "out.JPG", "out.heic"):
        check_refused(
            run(network_bin, "in.txt", "out.txt", image),
            f"IMAGE {image}: is written as BMP, expected a name in .bmp .for PNG, facegen generate "
            "--latents in.txt -o out.png",
        )
    check_refused(
        run(network_bin, "in.txt", "out.bmp", "out.txt"),
        "OUTPUT out.bmp: is named as a picture, and gets text",
    )
    assert os.listdir() == ["in.txt"]
    assert run(network_bin, "in.txt", "out", "picture.raw").code == 0  # as the course's program
    assert Path("picture.raw").read_bytes()[:2] == b"BM"


def test_the_picture_on_standard_output(tmp_path: Path, network_bin: Path) -> None:
    (tmp_path / "in.txt").write_text(GOOD)
    outputs = {}
    for image in ("-", "out.bmp"):
        process = start([network_bin, "in.txt", "out.txt", image], tmp_path)
        outputs[image], err = process.communicate(timeout=120)
        assert process.returncode == 0
        assert (b"Elapsed time" in err) == (image == "-")
    assert outputs["-"] == (tmp_path / "out.bmp").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["in.txt", "out.bmp", "out.txt"]


def test_standard_output_takes_one_output(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(GOOD)
    check_refused(run(network_bin, "in.txt", "-", "-"), "OUTPUT and IMAGE cannot both be '-'")
    Path("a.png").touch()
    result = run("colorize", "a.png", "-o", "-", "--json", "-", "-n", network_bin)
    assert result.code == 2 and "--output and --json cannot both be '-'" in result.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--threads", "0"], "--threads"),
        (["--threads", "two"], "--threads"),
        (["--device", "tpu"], "tpu"),
        (["--precision", "float8"], "float8"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_options(run: Run, network_bin: Path, option: list[str], message: str) -> None:
    Path("in.txt").write_text(GOOD)
    check_refused(run(network_bin, "in.txt", "out.txt", "out.bmp", *option), message)
    assert os.listdir() == ["in.txt"]


def test_a_command_behind_its_options(run: Run) -> None:
    result = run("--device", "cpu", "generate", "a", "b", "c")
    check_refused(result, "options go after the command: facegen generate")


def test_unknown_instruction_set(
    run: Run, network_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.txt").write_text(GOOD)
    monkeypatch.setenv("FACEGEN_ISA", "mmx")
    check_refused(run(network_bin, "in.txt", "out.txt", "out.bmp"), ".*mmx")
    assert os.listdir() == ["in.txt"]


@pytest.mark.parametrize("times", [1, 3])  # the files are removed all the same
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt(tmp_path: Path, network_bin: Path, number: int, code: int, times: int) -> None:
    process = start([network_bin, "-", "out.txt", "out.bmp"], tmp_path, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"1000\n 0.5 ")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while len(os.listdir(tmp_path)) < 2:  # both outputs, under temporary names
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    for _ in range(times):
        time.sleep(0.05)
        process.send_signal(number)
    try:
        assert process.wait(30) == code
    finally:
        process.kill()
    assert os.listdir(tmp_path) == []
    err = process.stderr.read().decode() if process.stderr else ""
    assert "Traceback" not in err and len(err.splitlines()) <= 2, err
    assert ("interrupted" if number == signal.SIGINT else "terminated") in err
    process.stdin.close()


def test_a_broken_pipe_is_quiet(tmp_path: Path, network_bin: Path) -> None:
    (tmp_path / "in.txt").write_text(latent_text(range(64)))
    process = start([network_bin, "in.txt", "-", "out.bmp"], tmp_path)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait(60) == 1
    assert "error" not in err and "Traceback" not in err
    assert os.listdir(tmp_path) == ["in.txt"]


def test_debug_shows_where(run: Run) -> None:
    result = run("missing.bin", "in.txt", "out.txt", "out.bmp", "--debug")
    assert result.code == 2
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("facegen: error: missing.bin")
