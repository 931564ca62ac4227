"""What commands begin with: a GPU is woken early, and nothing is imported that is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import latent_text
from PIL import Image

import facegen
from facegen.cli.start import begin, wake_gpu
from facegen.networks import default

# The module of each network.
MODULES = {
    name: f"facegen.networks.{place.partition('.')[0]}"
    for name, (_, place) in facegen.networks._LISTED.items()
}
# What takes its time to import, and what the commands below have no use for.
UNWANTED = (
    *("facegen._cuda", "facegen.onnx_files", "facegen.serve", "facegen.serving"),
    *("facegen.train", "facegen.weights.torch_pickle", "facegen.weights.zips"),
    *("numpy.testing", "onnx", "scipy", "socket", "torch", "zipfile"),
)
# What photos take, and faces do not.
OF_PHOTOS = ("PIL", "concurrent.futures", "facegen.photos.photo", "numpy.ma")
COMMANDS = {
    "faces": ("dcgan", "{network} latents.txt values.txt faces.bmp"),
    "generate": ("dcgan", "generate --network {network} --seeds 0 -o faces.npy"),
    "digits": ("lenet", "digits --network {network} one.png"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_what_it_needs(command: str, tmp_path: Path) -> None:
    name, words = COMMANDS[command]
    (tmp_path / "latents.txt").write_text(latent_text([1]))
    one = Image.new("L", (28, 28))
    one.paste(255, (12, 4, 16, 24))
    one.save(tmp_path / "one.png")
    code = """
import sys
from facegen.__main__ import main
assert main() == 0
print(*sys.modules, file=sys.stderr)
"""
    network = default.path(default.FILES[name])
    run = subprocess.run(
        [sys.executable, "-c", code, *words.format(network=network).split(), "--device", "cpu"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(run.stderr.splitlines()[-1].split())
    # A file of digits may be of either network.
    alike = [MODULES["lenet-binary"]] if command == "digits" else []
    assert {m for m in MODULES.values() if m in loaded} == {MODULES[name], *alike}
    unwanted = UNWANTED if command == "digits" else (*UNWANTED, *OF_PHOTOS)
    assert {module for module in unwanted if module in loaded} == set()


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The GPUs that are woken: a build with CUDA, in a process by itself."""
    indices: list[int | None] = []
    module = SimpleNamespace(open_context=indices.append)
    monkeypatch.setattr("facegen._native.WHY_NO_CUDA", "")
    monkeypatch.setitem(sys.modules, "facegen._cuda", module)
    monkeypatch.setattr(facegen, "_cuda", module, raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("FACEGEN_RANKS", "off")
    return indices


def wake(device: str) -> None:
    thread = wake_gpu(device)
    if thread is not None:
        thread.join()


@pytest.mark.parametrize(
    ("device", "index"),
    [("auto", None), ("all", None), ("cuda", None), ("cuda:0", 0), ("cuda:2,1", 2)],
)
def test_the_gpu_that_is_meant_is_woken(
    woken: list[int | None], device: str, index: int | None
) -> None:
    wake(device)
    assert woken == [index]


@pytest.mark.parametrize("device", ["cpu", "cuda:", "cuda:x", "cuda:0,", "cuda:-1", "tpu", ""])
def test_other_devices_wake_none(woken: list[int | None], device: str) -> None:
    wake(device)
    assert woken == []


@pytest.mark.parametrize(
    "variables",
    [
        {"CUDA_VISIBLE_DEVICES": ""},
        {"CUDA_VISIBLE_DEVICES": "-1"},
        {"FACEGEN_RANKS": "2", "FACEGEN_RANK": "0"},
        {"FACEGEN_RANKS": "", "RANK": "1", "WORLD_SIZE": "2"},
        {"FACEGEN_RANKS": "", "RANK": "2", "WORLD_SIZE": "2"},
    ],
    ids=["hidden", "none", "launched", "torchrun", "impossible"],
)
def test_none_is_woken_where_it_is_hidden_or_chosen_later(
    woken: list[int | None], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    wake("cuda")
    assert woken == []


def test_none_is_woken_where_the_build_has_no_cuda(
    woken: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "facegen._cuda", None)
    monkeypatch.delattr(facegen, "_cuda")
    wake("cuda")
    monkeypatch.setattr("facegen._native.WHY_NO_CUDA", "nvcc was not found")
    wake("cuda")
    assert woken == []


def test_numpy_starts_no_threads_and_the_environment_stays() -> None:
    code = f"""
import os, sys
sys.path = {sys.path}
from facegen.cli.start import begin
before = dict(os.environ)
begin("cpu")
assert "numpy" in sys.modules and os.environ == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    begin("cpu")  # NumPy is there: nothing to do


def test_the_environment_is_not_changed_beside_the_driver(
    woken: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's thread finds the variable set, and nobody removes it while it may read."""
    found: list[str | None] = []
    name = "OPENBLAS_NUM_THREADS"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)  # and both are undone
    monkeypatch.delitem(sys.modules, "numpy")

    def wake(device: str) -> object:
        found.append(os.environ.get(name))
        monkeypatch.setitem(sys.modules, "numpy", np)
        return object()

    monkeypatch.setattr("facegen.cli.start.wake_gpu", wake)
    begin("cuda")
    assert found == ["1"] and os.environ[name] == "1"
