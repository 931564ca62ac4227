from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

from facegen import Classifier
from facegen.cli.main import main
from facegen.networks.classifier import imagenet_names
from shared_data import SHARED_DATA

WEIGHTS = SHARED_DATA / "squeezenet" / "squeezenet_v1_0_imagenet.npz"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classify") / "network.safetensors"
    assert main(["init", "squeezenet", "--seed", "1", str(path), "--quiet"]) == 0
    return path


def save(path: str, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_the_most_probable_classes_are_printed(run: Run, network: Path) -> None:
    pixels = save("a.png")
    Path("names.txt").write_text("".join(f"thing {i}\n" for i in range(1000)))
    options = ["-n", network, "--top", 2, "--labels", "names.txt", "--device", "cpu"]
    result = run("classify", "a.png", *options)
    first, second = Classifier(network, device="cpu")(pixels, top=2)
    assert result.code == 0
    assert result.out.splitlines() == [
        "a.png",
        f"  {first.probability:6.1%}  {first.class_id:3d}  thing {first.class_id}",
        f"  {second.probability:6.1%}  {second.class_id:3d}  thing {second.class_id}",
    ]
    assert [path.name for path in Path().iterdir() if path.suffix == ".png"] == ["a.png"]
    assert run("classify", "a.png", *options, "-q") == (0, "", "")


def test_a_report_of_a_folder(run: Run, network: Path) -> None:
    Path("in").mkdir()
    for i in range(3):
        save(f"in/{i}.png", i)
    Path("in/bad.png").write_bytes(b"no picture")
    options = ["--device", "cpu", "--algorithm", "direct"]
    result = run("classify", "in", "-n", network, "--json", "-", *options)
    assert result.code == 1 and "in/bad.png: not a picture" in result.err
    report = json.loads(result.out)
    assert (report["precision"], report["algorithm"]) == ("float32", "direct")
    assert report["counts"] == {"in": 4, "done": 3, "failed": 1, "skipped": 0, "passed_over": 0}
    items = {item["source"]: item for item in report["items"]}
    classes = items["in/1.png"]["classes"]
    assert len(classes) == 5 and set(classes[0]) == {"id", "name", "probability"}
    probabilities = [found["probability"] for found in classes]
    assert probabilities == sorted(probabilities, reverse=True)


def test_shards(run: Run, network: Path) -> None:
    for i in range(3):
        save(f"{i}.png", i)
    command = ["classify", "0.png", "1.png", "2.png", "-n", network, "--device", "cpu", "-q"]
    assert run(*command, "--json", "all.json").code == 0
    shares = []
    for part in range(2):
        assert run(*command, "--shard", f"{part}/2", "--json", "{shard}.json").code == 0
        shares += json.loads(Path(f"{part}.json").read_text())["items"]
    assert shares == json.loads(Path("all.json").read_text())["items"]
    assert run(*command, "--shard", "1/2", "--json", "{shard}.json").code == 0  # once more
    result = run(*command, "--shard", "0/2", "--json", "one.json")
    assert result.code == 2 and "all shards would write it" in result.err


def test_any_classifier_that_is_listed(run: Run) -> None:
    """ResNet-18: written, converted, inspected, and told by its file."""
    pixels = save("a.png")
    assert run("init", "resnet18", "a.npz", "--seed", "1", "-q").code == 0
    assert "resnet18, 102 tensors" in run("convert", "a.npz", "resnet18.safetensors").out
    assert "network : resnet18 (" in run("inspect", "resnet18.safetensors").out
    result = run("classify", "a.png", "-n", "resnet18.safetensors", "--top", 1, "--device", "cpu")
    (guess,) = Classifier("resnet18.safetensors", device="cpu")(pixels, top=1)
    assert result.code == 0
    line, name = result.out.splitlines()[1], imagenet_names()[guess.class_id]
    assert line == f"  {guess.probability:6.1%}  {guess.class_id:3d}  {name}"
    assert run("init", "resnet18", "a.bin").code == 2
    assert run("init", "lenet", "digits.npz", "-q").code == 0
    result = run("classify", "a.png", "-n", "digits.npz")
    assert result.code == 2 and "digits.npz: holds a lenet network, expected a " in result.err
    assert "or a resnet18 or a resnet34 network" in result.err
    shown = " ".join(run("classify", "--help").out.split()).replace("- ", "-")
    assert "squeezenet, squeezenet-torchvision, resnet18 or resnet34" in shown


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the trained weights of SqueezeNet are not here")
def test_a_cat(run: Run) -> None:
    data = pytest.importorskip("skimage.data")
    Image.fromarray(data.chelsea()).save("cat.png")
    result = run("classify", "cat.png", "-n", WEIGHTS, "--top", 1, "--device", "cpu")
    assert result.code == 0 and result.out.splitlines() == [
        "cat.png",
        "   53.2%  285  Egyptian cat",
    ]
    converted = run("convert", WEIGHTS, "network.safetensors")
    assert converted.code == 0 and "verified" in converted.out
    again = run("classify", "cat.png", "-n", "network.safetensors", "--top", 1, "--device", "cpu")
    assert again.out == result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png"], "get it with facegen fetch squeezenet"),
        (["a.png", "-n", "{network}", "--top", "0"], "0 is not in the range"),
        (["a.png", "-n", "{network}", "--labels", "a.png"], "a.png: no UTF-8 text"),
        (["a.png", "-n", "{network}", "--labels", "short.txt"], "expected 1,000 lines"),
        (["none.png", "-n", "{network}"], "none.png: No such file"),
        (["a.png", "-n", "{network}", "--json", "short.txt"], "short.txt: exists"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, network: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("FACEGEN_CACHE", "none")
    save("a.png")
    Path("short.txt").write_text("one\n")
    result = run("classify", *[word.format(network=network) for word in arguments])
    assert result.code == 2 and message in result.err and not result.out
