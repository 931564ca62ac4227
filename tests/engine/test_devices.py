"""Device strings, and what is said where a GPU is not usable. No GPU needed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from facegen import kernels
from facegen.cli.main import main
from facegen.engine import Device, devices, parse_device
from facegen.engine.cuda import why_no_cuda
from facegen.engine.device import Kind
from facegen.errors import DeviceError


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_cpu():
    assert parse_device("cpu") == Device("cpu") and str(Device("cpu")) == "cpu"


@pytest.mark.parametrize(
    "text", ["", "gpu", "cuda:", "cuda:x", "cuda:0,", "cuda:-1", "cpu:0", None, 0]
)
def test_other_texts_are_refused(text):
    with pytest.raises(DeviceError, match='device must be "auto", "cpu", "cuda"'):
        parse_device(text)


def test_auto_falls_back(no_gpu):
    assert parse_device("auto") == Device("cpu")


@pytest.mark.parametrize("text", ["cuda", "cuda:0", "cuda:1,0", "all"])
def test_an_explicit_gpu_never_falls_back(text, no_gpu):
    with pytest.raises(DeviceError, match=f"device '{text}': .+") as raised:
        parse_device(text)
    assert str(raised.value).endswith(why_no_cuda())


def test_the_ops_refuse_too(no_gpu):
    with pytest.raises(DeviceError, match="device 'cuda'"):
        kernels.relu(np.zeros((1, 1, 1, 1), np.float32), device="cuda")


def test_computing_on_the_cpu_loads_no_cuda():
    code = (
        "import sys, numpy as np; from facegen import kernels;"
        "kernels.relu(np.zeros((1, 1, 1, 1), np.float32), device='cpu');"
        "sys.exit('facegen._cuda' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_cuda_module_that_is_gone(monkeypatch):
    """A damaged installation says so; "auto" is the CPU."""
    monkeypatch.setattr("facegen._native.WHY_NO_CUDA", "")
    monkeypatch.setitem(sys.modules, "facegen._cuda", None)
    monkeypatch.delattr("facegen._cuda", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "the CUDA engine cannot be loaded, install again" in why_no_cuda()
    assert parse_device("auto").kind == "cpu"


class Recorder:
    """An engine of a kind of GPUs that no machine has."""

    threads, isa, batch = 1, "gfx90a", 1

    def __init__(self, program, device, threads, precision, max_batch):
        self.device = str(device)

    def empty(self, shape, dtype):
        return np.empty(shape, np.float32)

    def run(self, inputs, outputs, count):
        outputs[0][:] = 7


@pytest.fixture
def hip(monkeypatch):
    """A kind of devices is a line in GPU_KINDS: all that names devices follows."""
    kind = Kind(
        name="hip",
        engine=Recorder,
        why_unusable=lambda: "",
        usable=lambda: (0, 2),
        describe=lambda index: "Instinct (gfx90a, 64 GiB)",
    )
    monkeypatch.setattr(devices, "GPU_KINDS", (*devices.GPU_KINDS, kind))


def test_a_new_kind_is_named_and_runs(no_gpu, hip):
    for text in ("auto", "hip", "hip:0"):
        assert parse_device(text) == Device("hip", (0,))
    assert str(parse_device("all")) == "hip:0,2" and parse_device("cpu") == Device("cpu")
    for text, message in (
        ("hip:1", "there is no usable hip:1, only hip:0, hip:2"),
        ("hip:2,2", "names a GPU twice"),
        ("tpu", '"cuda:0,1", "hip", "hip:0,1" or "all", not \'tpu\''),
        ("cuda", "CUDA_VISIBLE_DEVICES hides every GPU"),
    ):
        with pytest.raises(DeviceError, match=message):
            parse_device(text)
    x = np.zeros((1, 1, 1, 1), np.float32)
    assert kernels.relu(x, device="hip:2")[0, 0, 0, 0] == 7


def test_commands_know_a_new_kind(no_gpu, hip, capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "hip:2 Instinct (gfx90a, 64 GiB)" in shown and "used: auto is hip:0" in shown
    assert main(["classify", "--help"]) == 0
    assert "cuda:0,1, hip, hip:0,1 or all" in " ".join(capsys.readouterr().out.split())
