"""facegen digits."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, encode_idx
from PIL import Image, ImageDraw

from facegen import DigitClassifier
from facegen.engine import Runner
from facegen.media import digits as pictures
from shared_data import SHARED_DATA


@pytest.fixture
def network(run: Run) -> str:
    assert run("init", "lenet", "n.safetensors", "-q").code == 0
    return "n.safetensors"


@pytest.fixture
def images(tmp_path: Path) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (25, 28, 28), dtype=np.uint8)
    (tmp_path / "images.idx.gz").write_bytes(gzip.compress(encode_idx(values)))
    return values


def draw_one(path: str) -> None:
    picture = Image.new("RGB", (90, 120), "white")
    ImageDraw.Draw(picture).line([(50, 20), (45, 100)], "navy", 9)
    picture.save(path)


def test_an_idx_file(
    run: Run, network: str, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "chunk", 10)
    guesses = DigitClassifier(network, device="cpu")(images)
    result = run("digits", "images.idx.gz", "-n", network, "--device", "cpu")
    assert result.code == 0 and result.err == ""
    lines = result.out.splitlines()
    assert len(lines) == 25
    for i, line in enumerate(lines):
        digit, probability, name = line.split()
        assert int(digit) == guesses.digits[i] and name == f"images.idx.gz[{i}]"
        assert float(probability) == pytest.approx(guesses.probabilities[i].max(), abs=6e-5)
    assert run("digits", "images.idx.gz", "-n", network, "-q") == (0, "", "")


def test_labels(run: Run, network: str, images: np.ndarray) -> None:
    guesses = DigitClassifier(network, device="cpu")(images).digits
    labels = guesses.copy()
    labels[3] = (guesses[3] + 1) % 10
    Path("labels.idx").write_bytes(encode_idx(labels))
    arguments = ("digits", "images.idx.gz", "-n", network, "--labels", "labels.idx")
    result = run(*arguments)
    wrong, accuracy, _, *rows = result.out.splitlines()
    assert wrong.startswith(f"{guesses[3]}  0.") and wrong.endswith(f"[3]  (is {labels[3]})")
    assert accuracy == "24 of 25 right: 96.00%"
    counts = [[0 if n == "." else int(n) for n in row.split()[1:]] for row in rows]
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (labels, guesses), 1)
    np.testing.assert_array_equal(counts, expected)
    report = json.loads(run(*arguments, "--json", "-").out)
    assert report["accuracy"] == 0.96 and report["confusion"] == expected.tolist()
    assert run(*arguments, "--json", "report.json") == result
    assert json.loads(Path("report.json").read_text()) == report
    assert run(*arguments, "-q") == (0, "", "")
    assert report["images"][3]["label"] == labels[3] and report["failed"] == []


def test_pictures(run: Run, network: str) -> None:
    draw_one("one.png")
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n....")
    result = run("digits", ".", "-n", network, "--json", "-")
    assert result.code == 1
    reason = "./broken.png: not a picture, or of a format that is not read"
    passed_over = "facegen: passed over: 1 .safetensors (first ./n.safetensors)"
    assert result.err == f"{passed_over}\nfacegen: failed: {reason}\n"
    report = json.loads(result.out)
    assert report["failed"] == [{"name": "./broken.png", "reason": reason}]
    assert report["passed_over"] == ["./n.safetensors"]
    (entry,) = report["images"]
    guesses = DigitClassifier(network, device="cpu")(pictures.read("one.png"))
    assert entry["name"] == "./one.png" and entry["digit"] == guesses.digits[0]
    np.testing.assert_array_equal(
        np.float32(entry["probabilities"]), guesses.probabilities[0]
    )


def test_one_file_that_cannot_be_read(run: Run, network: str) -> None:
    Path("small.idx").write_bytes(encode_idx(np.zeros((2, 27, 28))))
    Path("short.idx").write_bytes(encode_idx(np.zeros((2, 28, 28)))[:-1])
    Path("labels.idx").write_bytes(encode_idx(np.zeros(2)))
    for arguments, message in (
        (["small.idx"], "small.idx: expected images of 28x28, found 27x28"),
        (["short.idx"], "short.idx: announces 2 x 28 x 28 = 1,568 bytes, more than the file holds"),
        (["small.idx", "--labels", "labels.idx"], "small.idx: expected images of 28x28"),
    ):
        result = run("digits", *arguments, "-n", network)
        assert result.code == 1 and result.out == ""
        assert result.err.startswith(f"facegen: failed: {message}")


def test_pictures_and_idx_files_in_one_run(run: Run, network: str, images: np.ndarray) -> None:
    draw_one("one.png")
    words = ["digits", "one.png", "images.idx.gz", "-n", network, "--device", "cpu"]
    lines = run(*words).out.splitlines()
    assert [line.split()[2] for line in lines] == ["one.png"] + [
        f"images.idx.gz[{i}]" for i in range(25)
    ]
    guesses = DigitClassifier(network, device="cpu")(pictures.prepare(["one.png", "images.idx.gz"]))
    assert [int(line[0]) for line in lines] == guesses.digits.tolist()


def test_shares_are_the_whole(run: Run, network: str, images: np.ndarray) -> None:
    for name in ("one.png", "ten.png"):
        draw_one(name)
    words = ["digits", "images.idx.gz", ".", "-n", network, "--device", "cpu"]
    parts = [run(*words, "--shard", f"{part}/2").out for part in range(2)]
    assert "".join(parts) == run(*words).out and all(parts)
    assert run(*words, "--shard", "1/2", "--json", "part-{shard}.json").code == 0
    again = run(*words, "--shard", "1/2", "--json", "part-{shard}.json")  # an array, once more
    assert (again.code, again.err) == (0, "")
    report = json.loads(Path("part-1.json").read_text())
    assert [entry["name"] for entry in report["images"]] == ["./ten.png"]
    for more, message in (
        (["--json", "report.json"], "report.json: all shards would write it"),
        (["--labels", "labels.idx"], "--labels are those of one"),
    ):
        Path("labels.idx").write_bytes(encode_idx(np.zeros(25)))
        result = run("digits", "images.idx.gz", "-n", network, "--shard", "0/2", *more)
        assert result.code == 2 and message in result.err


def test_bad_input(run: Run, network: str, images: np.ndarray) -> None:
    Path("labels.idx").write_bytes(encode_idx(np.zeros(24)))
    Path("eleven.idx").write_bytes(encode_idx(np.full(25, 11)))
    draw_one("one.png")
    os.mkfifo("pipe.png")
    images_and_labels = ["images.idx.gz", "--labels"]
    for arguments, message in (
        (["missing"], "missing: No such file"),
        ([*images_and_labels, "labels.idx"], "labels.idx: expected 25 labels, found 24"),
        ([*images_and_labels, "eleven.idx"], "labels: expected 0 to 9, found 11"),
        ([*images_and_labels, "images.idx.gz"], "expected 1 dimensions at byte 3, found 3"),
        (["one.png", "--labels", "labels.idx"], "--labels are those of one INPUT"),
        (["pipe.png", "--labels", "labels.idx"], "--labels are those of one INPUT"),
        (["images.idx.gz", "one.png", "--labels", "labels.idx"], "--labels are those of one"),
        ([], "Missing argument 'INPUT...'"),
    ):
        result = run("digits", *arguments, "-n", network)
        assert result.code == 2 and result.out == ""
        assert message in result.err and len(result.err.splitlines()) == 1


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="../shared/data is not there")
def test_mnist_with_the_packages_own_network(run: Run) -> None:
    files = sorted((SHARED_DATA / "mnist").glob("*.gz"))
    report = json.loads(run("digits", files[0], "--labels", files[1], "--json", "-").out)
    assert report["accuracy"] > 0.99 and sum(map(sum, report["confusion"])) == 10_000
