"""facegen generate."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, latent_text, read_bmp, start
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegen import FacegenError, Generator
from facegen.cli.seeds import SeedList, Seeds
from facegen.files.digest import file_digest
from facegen.media.face_files import FaceFiles
from facegen.networks import dcgan, traits


@pytest.fixture(scope="module")
def generator(network_bin: Path) -> Generator:
    return Generator(network_bin, device="cpu")


def tiles(picture: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """(rows * 64, columns * 64, 3) -> (rows * columns, 64, 64, 3)."""
    assert picture.shape == (rows * 64, columns * 64, 3)
    return picture.reshape(rows, 64, columns, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)


@pytest.mark.parametrize(
    ("options", "columns", "rows"),
    [([], 3, 2), (["--grid", "5x1"], 5, 1), (["--grid", "2x4"], 2, 4)],
)
@pytest.mark.parametrize("name", ["faces.png", "faces.BMP"])
def test_grid(
    run: Run,
    network_bin: Path,
    generator: Generator,
    options: list[str],
    columns: int,
    rows: int,
    name: str,
) -> None:
    result = run("generate", "-n", network_bin, "--seeds", "0-3,9", *options, "-o", name)
    assert result.code == 0 and result.err == "" and "5 faces" in result.out
    picture = read_bmp(Path(name)) if name.endswith("BMP") else np.asarray(Image.open(name))
    found = tiles(picture, columns, rows)
    expected = generator.images(dcgan.latents([0, 1, 2, 3, 9]))
    np.testing.assert_array_equal(found[:5], expected)
    assert not found[5:].any()
    assert os.listdir() == [name]


def shown(folder: str) -> list[str]:
    """Names of files, without the manifest's."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def test_one_file_a_face(run: Run, network_bin: Path, generator: Generator) -> None:
    assert run("generate", "-n", network_bin, "-s", "3,17", "-o", "faces/").code == 0
    assert shown("faces") == ["seed0003.png", "seed0017.png"]
    found = np.asarray(Image.open("faces/seed0017.png"))
    np.testing.assert_array_equal(found, generator.images(dcgan.latents([17]))[0])
    # Again into the folder that now exists: other names beside, the same names refused.
    assert run("generate", "-n", network_bin, "-s", "4", "-o", "faces").code == 0
    assert len(shown("faces")) == 3
    result = run("generate", "-n", network_bin, "-s", "2-4", "-o", "faces")
    assert result.code == 2 and "faces/seed0003.png: exists" in result.err
    assert len(shown("faces")) == 3
    assert run("generate", "-n", network_bin, "-s", "2-4", "-o", "faces", "--overwrite").code == 0
    assert len(shown("faces")) == 4


def test_names_by_pattern(run: Run, network_bin: Path) -> None:
    pattern = "a/{seed}-{index:03d}.bmp"
    assert run("generate", "-n", network_bin, "-s", "10,5", "-o", pattern).code == 0
    assert shown("a") == ["10-000.bmp", "5-001.bmp"]
    assert Image.open("a/10-000.bmp").size == (64, 64)


def test_npy_of_floats(run: Run, network_bin: Path, generator: Generator) -> None:
    assert run("generate", "-n", network_bin, "-s", "0-299", "-o", "faces.npy").code == 0
    found = np.load("faces.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, generator.generate(range(300)))


@pytest.mark.parametrize("name", ["latents.txt", "latents.npy"])
def test_latents_are_saved_and_read_back(run: Run, network_bin: Path, name: str) -> None:
    generate = ("generate", "-n", network_bin, "-q")
    assert run(*generate, "-s", "0-4", "--save-latents", name, "-o", "a.png") == (0, "", "")
    assert run(*generate, "--latents", name, "-o", "b.png") == (0, "", "")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    if name.endswith(".txt"):
        assert Path(name).read_text() == latent_text(range(5))
    result = run(*generate, "-s", "1", "--save-latents", name, "-o", "c.png")
    assert result.code == 2 and f"{name}: exists" in result.err
    assert not Path("c.png").exists()


def test_names_of_faces_from_a_file(run: Run, network_bin: Path) -> None:
    Path("in.txt").write_text(latent_text([5, 6]))
    assert run("generate", "-n", network_bin, "--latents", "in.txt", "-o", "faces/").code == 0
    assert shown("faces") == ["face0000.png", "face0001.png"]
    result = run("generate", "-n", network_bin, "--latents", "in.txt", "-o", "{seed}.png")
    assert result.code == 2 and "use {index}" in result.err


def test_existing_files_are_not_replaced(run: Run, network_bin: Path) -> None:
    for name in ("faces.png", "faces.npy"):
        Path(name).write_text("precious")
        result = run("generate", "-n", network_bin, "-s", "0", "-o", name)
        assert result.code == 2 and f"{name}: exists (--overwrite" in result.err
        assert Path(name).read_text() == "precious"
        assert run("generate", "-n", network_bin, "-s", "0", "-o", name, "--overwrite").code == 0
        assert Path(name).read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("0-1,9", [0, 1, 9]),
        (" 5 , 4 ", [5, 4]),
        ("999999999999999999", [10**18 - 1]),
        ("3-3", [3]),
    ],
)
def test_lists_of_seeds(text: str, seeds: list[int]) -> None:
    assert list(Seeds().convert(text, None, None)) == seeds


@pytest.mark.parametrize(
    "text",
    ["", "a", "-1", "1-", "3-1", "1,,2", "1,1", "0-5,3", "0-1000000000", "1" * 5000, "0-3;4"],
)
def test_lists_of_seeds_that_are_refused(run: Run, network_bin: Path, text: str) -> None:
    result = run("generate", "-n", network_bin, f"--seeds={text}", "-o", "faces.png")
    assert result.code == 2 and "--seeds" in result.err and len(result.err.splitlines()) == 1
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-s", "0-3", "-o", "{sed}.png"], "{sed}.png: expected {seed} or {index} in a name"),
        (["-s", "0-3", "-o", "{seed:x}.png"], "expected {seed} or {index} in a name"),
        (["-s", "0-3", "-o", "faces.jpg"], "faces.jpg: expected a name in .png"),
        (["-s", "0-3", "-o", "faces"], "faces: expected a name in"),
        (["-s", "0-3", "-o", "no/faces.png"], "no: No such file"),
        (["-s", "0-3", "-o", "a.png", "--grid", "1x3"], "no room for 4 faces"),
        (["-s", "0-3", "-o", "a.png", "--grid", "2"], "--grid"),
        (["-s", "0-3", "-o", "a.png", "--grid", "0x4"], "--grid"),
        (["-s", "0-3", "-o", "a.png", "--grid", "9999x9999"], "larger than pictures may be"),
        (["-s", "0-99999", "-o", "a.png"], "larger than pictures may be"),
        (["-s", "0-3", "-o", "a.npy", "--grid", "2x2"], "a grid is for one picture"),
        (["-s", "0-3", "-o", "{seed}.npy"], "expected a name in .png or .bmp"),
        (["-s", "0-3", "-o", "{index:00d}{nothing}.png", "--grid", "2x2"], "a grid is for one"),
        (["-o", "a.png"], "either --seeds or --latents"),
        (["-s", "0", "--latents", "x", "-o", "a.png"], "either --seeds or --latents"),
        (["--latents", "missing.txt", "-o", "a.png"], "missing.txt: No such file"),
        (["-s", "0", "-o", "a.png", "--save-latents", "a.png"], "are the same file"),
        (["-s", "0", "-o", "a.png", "--save-latents", "no/a.txt"], "no/a.txt: No such file"),
        (["-s", "0"], "--output"),
    ],
)
def test_wrong_options(run: Run, network_bin: Path, options: list[str], message: str) -> None:
    result = run("generate", "-n", network_bin, *options)
    assert result.code == 2 and result.err.startswith("facegen: error: ")
    assert message in result.err and len(result.err.splitlines()) == 1
    assert os.listdir() == []


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 5)), min_size=1, max_size=9),
    st.integers(-9, 60),
    st.integers(-9, 60),
)
def test_seeds_are_a_list(parts: list[tuple[int, int]], start: int, stop: int) -> None:
    ranges = [range(first, first + length) for first, length in parts]
    seeds, expected = SeedList(ranges), [seed for part in ranges for seed in part]
    assert list(seeds) == expected and len(seeds) == len(expected)
    assert list(seeds[start:stop]) == expected[start:stop]
    with pytest.raises(IndexError):
        seeds[len(expected)]
    if len(set(expected)) == len(expected):
        assert list(Seeds().convert(str(seeds), None, None)) == expected


def test_more_seeds_than_memory(run: Run, network_bin: Path, generator: Generator) -> None:
    command = ["generate", "-n", network_bin, "--seeds", "0-999999999", "--device", "cpu", "-q"]
    assert run(*command, "--shard", "499999999/500000000", "-o", "{shard}.npy").code == 0
    np.testing.assert_array_equal(
        np.load("499999999.npy"), generator.generate([999_999_998, 999_999_999])
    )
    result = run(*command, "-o", "faces/")
    assert result.code == 2 and "at most 1,000,000 are written" in result.err


def test_several_faces_of_one_name() -> None:
    seeds = [11, *range(100, 109), 1]  # seed 11, index 0 and seed 1, index 10
    with pytest.raises(FacegenError, match="several faces one name"):
        FaceFiles.plan("{seed}{index}.png", seeds, len(seeds))
    assert FaceFiles.plan("{seed}-{index}.png", seeds, len(seeds)).paths[-1] == "1-10.png"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 99)), r"expected \(n, 100\) real numbers, found \(2, 99\)"),
        (np.zeros((0, 100)), "holds 0 latents"),
        (np.zeros((2, 100), complex), "expected .* real numbers, found .* of complex128"),
        (np.full((2, 100), np.nan), r"found nan at \[0, 0\]"),
        (np.full((2, 100), 1e60), r"found inf at \[0, 0\]"),
    ],
)
def test_bad_npy_latents(run: Run, network_bin: Path, values: np.ndarray, message: str) -> None:
    np.save("bad.npy", values)
    check_latents_refused(run, network_bin, message)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_npy_latents_that_are_no_npy(run: Run, network_bin: Path, data: bytes) -> None:
    Path("bad.npy").write_bytes(data)
    check_latents_refused(run, network_bin, "not a valid .npy file")


def test_npy_latents_that_are_an_object_array(run: Run, network_bin: Path) -> None:
    np.save("bad.npy", np.array([{}] * 100, object), allow_pickle=True)
    check_latents_refused(run, network_bin, "not a valid .npy file")


def test_npy_latents_that_are_cut(run: Run, network_bin: Path) -> None:
    np.save("bad.npy", np.zeros((4, 100)))
    data = Path("bad.npy").read_bytes()
    Path("bad.npy").write_bytes(data[:-1])
    check_latents_refused(run, network_bin, "not a valid .npy file")


def check_latents_refused(run: Run, network_bin: Path, message: str) -> None:
    result = run("generate", "-n", network_bin, "--latents", "bad.npy", "-o", "a.png")
    assert result.code == 2 and len(result.err.splitlines()) == 1
    assert re.search(f"bad.npy: {message}", result.err)
    assert os.listdir() == ["bad.npy"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_full_disk(run: Run, network_bin: Path) -> None:
    os.symlink("/dev/full", "faces.npy")
    result = run("generate", "-n", network_bin, "-s", "0-3", "-o", "faces.npy")
    assert result.code == 1 and "faces.npy: No space left" in result.err
    assert os.listdir() == ["faces.npy"] and os.path.islink("faces.npy")


def test_interrupt(tmp_path: Path, network_bin: Path) -> None:
    process = start(["generate", "-n", network_bin, "-s", "0-99999", "-o", "a.npy"], tmp_path)
    deadline = time.monotonic() + 60
    while not os.listdir(tmp_path):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert os.listdir(tmp_path) == []
    _, err = process.communicate()
    assert b"Traceback" not in err and err.splitlines()[-1] == b"facegen: interrupted"


def test_shards_together_are_the_whole(run: Run, network_bin: Path) -> None:
    common = ["generate", "-n", network_bin, "--seeds", "5-11", "--device", "cpu"]
    assert run(*common, "-o", "all.npy").code == 0
    for part in range(3):
        assert run(*common, "--shard", f"{part}/3", "-o", "part-{shard}.npy").code == 0
    parts = [np.load(f"part-{part}.npy") for part in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), np.load("all.npy"))
    assert run(*common, "--shard", "8/9", "-o", "part-{shard}.npy").code == 0
    assert not Path("part-8.npy").exists()  # fewer seeds than shards


ARRAY = {"SLURM_ARRAY_TASK_ID": "{task}", "SLURM_ARRAY_TASK_COUNT": "2"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "{task}"}
TORCHRUN = {"RANK": "{task}", "WORLD_SIZE": "2"}


@pytest.mark.parametrize("variables", [ARRAY, STEP, TORCHRUN], ids=["array", "srun", "torchrun"])
def test_shards_of_tasks_that_nothing_connects(
    run: Run, network_bin: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["generate", "-n", network_bin, "--seeds", "1-3", "--shard", "auto", "-o", "f/"]
    for task in range(2):
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(task=task))
        assert run(*command, "--device", "cpu").code == 0
        assert len(shown("f")) == 2 + task
    assert shown("f") == ["seed0001.png", "seed0002.png", "seed0003.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "1-3", "--shard", "0/2", "-o", "x.npy"], "put {shard} in the name"),
        (["--latents", "in.txt", "--shard", "0/2", "-o", "x{shard}.npy"], "--shard takes --seeds"),
        (["--seeds", "1-3", "--shard", "2/2", "-o", "x{shard}.npy"], "expected i/n"),
        (["--seeds", "1-3", "--shard", "auto", "-o", "x{shard}.npy"], "found no Slurm job array"),
    ],
)
def test_shards_refused(run: Run, words: list[str], message: str) -> None:
    result = run("generate", *words)
    assert result.code == 2 and message in result.err and os.listdir() == []


def test_traits(run: Run, network_bin: Path, generator: Generator, tmp_path: Path) -> None:
    """Of a file beside the network; latents that are saved have them in."""
    network = tmp_path / "own.bin"
    network.write_bytes(network_bin.read_bytes())
    arguments = ["generate", "-n", network, "--seeds", "0-2", "--save-latents", "z.npy"]
    result = run(*arguments, "--trait", "smile=1.5", "-o", "a.npy")
    assert result.code == 2 and "no such file of own.bin's traits" in result.err
    direction = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    known = traits.Traits(file_digest(network), {"smile": direction})
    traits.write(tmp_path / "own.traits.json", known)
    for words, message in (
        (["--trait", "hat=1"], "trait 'hat': expected smile"),
        (["--trait", "smile"], "'smile' is no trait and amount, as smile=1.5"),
    ):
        result = run(*arguments, *words, "-o", "a.npy")
        assert result.code == 2 and message in result.err, result.err
    assert run(*arguments, "--trait", "smile=1.5", "-o", "a.npy").code == 0
    moved = traits.directions(network).move(generator.latents(range(3)), {"smile": 1.5})
    np.testing.assert_array_equal(np.load("z.npy"), moved)
    np.testing.assert_array_equal(np.load("a.npy"), generator(moved))


def test_resuming_other_traits(run: Run, network_bin: Path, tmp_path: Path) -> None:
    """A face of other amounts is another face, which does not take its place unasked."""
    network = tmp_path / "own.bin"
    network.write_bytes(network_bin.read_bytes())
    known = traits.Traits(file_digest(network), {"smile": np.ones(100, np.float32)})
    traits.write(tmp_path / "own.traits.json", known)
    arguments = ["generate", "-n", network, "--seeds", "0", "-o", "a.png", "--resume"]
    assert run(*arguments, "--trait", "smile=1").code == 0
    assert "there already" in run(*arguments, "--trait", "smile=1").out
    result = run(*arguments, "--trait", "smile=2")
    assert result.code == 2 and "made of seeds 0, smile +1" in result.err
