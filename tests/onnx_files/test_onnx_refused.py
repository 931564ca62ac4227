"""What is refused: one line that names the file, and the node where there is one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import make, onnx, op, save

from facegen import FacegenError, FormatError
from facegen.cli.main import main
from facegen.onnx_files import file as onnx_file
from facegen.onnx_files import read

MAP = {"x": ["n", 4, 6, 5]}


def weight(*shape: int) -> dict[str, np.ndarray]:
    return {"w": np.ones(shape, np.float32)}


# Operators, their constants, and what is said.
NODES: dict[str, tuple[list[Any], dict[str, np.ndarray], str]] = {
    "unknown op": (
        [op("Det", "x", "y")],
        {},
        r"node 'y' \(Det\): no layer here computes Det; write",
    ),
    "erf": (
        [op("Erf", "x", "y")],
        {},
        r"node 'y' \(Erf\): no layer here computes it but as a part of GELU",
    ),
    "numbers an image": (
        [op("Flatten", "x", "f"), op("Gemm", "f w c", "y")],
        weight(120, 3) | {"c": np.ones((3, 1), np.float32)},
        r"node 'y' \(Gemm\): its vector C is of shape \(3, 1\), expected one number, or one for",
    ),
    # onnx's own inference would end the process at the Slice.
    "slice of a negative size": (
        [op("Conv", "x w", "c"), op("Slice", "c first last axes", "y")],
        weight(1, 4, 9, 1)
        | {name: np.array([i]) for i, name in enumerate(("first", "last", "axes"))},
        r"node 'c' \(Conv\): ",
    ),
    "neighbours": (
        [op("LRN", "x", "y", size=2**63 - 1)],
        {},
        r"node 'y' \(LRN\): its size is 9223372036854775807, expected an odd one from 1 to 65535",
    ),
    "groups": (
        [op("Conv", "x w", "y", group=3)],
        weight(4, 2, 1, 1),
        r"node 'y' \(Conv\): its weight of 4 rows is not for 3 groups",
    ),
    "dilated average": (
        [op("AveragePool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])],
        {},
        "its dilation must be 1: no pool here has another",
    ),
    "padded channels": (
        [op("Pad", "x p", "y")],
        {"p": np.array([0, 1, 0, 0, 0, 0, 0, 0])},
        "it pads the batch or the channels",
    ),
    "padded with": (
        [op("Pad", "x p v", "y")],
        {"p": np.zeros(8, int), "v": np.float32(2)},
        "it pads with 2: layers here pad with 0",
    ),
    "dilated pool": (
        [op("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])],
        {},
        "its dilation must be 1",
    ),
    "spread weight": (
        [op("ConvTranspose", "x w", "y", dilations=[2**20, 2**20])],
        weight(4, 1, 2, 2),
        "its dilated weight would have more than 4,194,304 numbers",
    ),
    "coordinates": (
        [op("Resize", "x - c", "y", coordinate_transformation_mode="half_pixel_symmetric")],
        {"c": np.array([1, 1, 2, 2], np.float32)},
        "its coordinates are 'half_pixel_symmetric', and layers here have half_pixel",
    ),
    "resized channels": (
        [op("Resize", "x - c", "y")],
        {"c": np.array([1, 2, 2, 2], np.float32)},
        "expected sizes of height and width alone",
    ),
    "antialias": (
        [op("Resize", "x - c", "y", mode="linear", antialias=1)],
        {"c": np.array([1, 1, 2, 2], np.float32)},
        "it smooths before it resizes",
    ),
    "bounds": (
        [op("Clip", "x v w", "y")],
        {"w": np.float32(6), "v": np.float32(7)},
        "low of a Clip must be at most high",
    ),
    "order": (
        [op("Transpose", "x", "t", perm=[0, 2, 1, 3]), op("GlobalAveragePool", "t", "y")],
        {},
        "an order that no layer here makes; export the network without",
    ),
    "batch": ([op("Transpose", "x", "y", perm=[1, 0, 2, 3])], {}, "it moves the batch"),
    "first of a batch": (
        [op("Slice", "x first last axes", "y")],
        {name: np.array([i]) for name, i in (("first", 0), ("last", 1), ("axes", 0))},
        r"node 'y' \(Slice\): it takes the first of a batch, whose size the file leaves open",
    ),
    "batch reshaped": (
        [op("Reshape", "x s", "y")],
        {"s": np.array([2, -1])},
        r"reshapes \(1, 4, 6, 5\) to \[2, 60\]",
    ),
    "product of maps": (
        [op("MaxPool", "x", "p", kernel_shape=[6, 1]), op("Mul", "x p", "y")],
        {},
        "layer 'y' of small: Mul expects two maps of one shape, or one of one pixel",
    ),
    "division by zero": ([op("Div", "x w", "y")], {"w": np.float32(0)}, "it divides by zero"),
    "power": ([op("Pow", "x w", "y")], {"w": np.float32(1.5)}, "its exponent is 1.5, and layers"),
    "number twice": (
        [op("Gather", "x i", "y", axis=1)],
        {"i": np.array([1, 1])},
        "it takes a number twice",
    ),
    "constant map": (
        [op("Add", "x w", "y")],
        weight(4, 6, 5),
        "expected one number, or one for each of 4 channels",
    ),
    "weights that are not finite": (
        [op("Conv", "x w", "y")],
        {"w": np.full((1, 4, 1, 1), np.nan, np.float32)},
        "weights must be finite",
    ),
    "a vast constant": (
        [op("ConstantOfShape", "s", "c"), op("Add", "x c", "y")],
        {"s": np.array([2**40])},
        r"node 'c' \(ConstantOfShape\): it makes a constant of more than",
    ),
    "computed weight": (
        [op("Conv", "x x", "y")],
        {},
        "its weight must be constant: export the network with constants folded",
    ),
}


@pytest.mark.parametrize("case", NODES)
def test_nodes(tmp_path: Path, case: str) -> None:
    ops, constants, message = NODES[case]
    path = save(tmp_path, make(ops, MAP, {"y": 4}, constants, opset=19))
    with pytest.raises(FormatError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def _empty(model: Any) -> bytes:
    return b""


def _truncated(model: Any) -> bytes:
    return bytes(model.SerializeToString())[:-9]


def _text(model: Any) -> bytes:
    return b"this is no ONNX model\n" * 9


def _cyclic(model: Any) -> bytes:
    model.graph.node[0].input[0] = "y"
    return bytes(model.SerializeToString())


def _control_flow(model: Any) -> bytes:
    body = make([op("Relu", "x", "y")], {}, {"y": 4}).graph
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    model.graph.node.pop()
    model.graph.node.append(node)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "c"))
    return bytes(model.SerializeToString())


def _domain(model: Any) -> bytes:
    model.graph.node[-1].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    return bytes(model.SerializeToString())


def _old(model: Any) -> bytes:
    model.opset_import[0].version = 6
    return bytes(model.SerializeToString())


def _symbolic(model: Any) -> bytes:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"
    return bytes(model.SerializeToString())


def _integers(model: Any) -> bytes:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return bytes(model.SerializeToString())


def _external(location: str, **more: str) -> Any:
    def change(model: Any) -> bytes:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=value)
        return bytes(model.SerializeToString())

    return change


FILES = {
    "empty": (_empty, "found an empty file"),
    "truncated": (_truncated, "is no ONNX model, or truncated"),
    "text": (_text, "is no ONNX model"),
    "cyclic": (_cyclic, "is no valid ONNX model"),
    "control flow": (_control_flow, "computes If; export the network without control flow"),
    "domain": (_domain, "no layer here computes com.example.Conv"),
    "old opset": (_old, "expected opset 7 or later, found 6"),
    "symbolic": (_symbolic, r"fixed number of channels, found FLOAT \(n, channels, 6, 5\)"),
    "integers": (_integers, "no valid ONNX model|expected floats"),
    "missing data": (_external("no.bin"), "which is no file"),
    "data outside": (_external("../w.bin"), "outside the folder of the model"),
    "data elsewhere": (_external("/etc/hostname"), "outside the folder of the model"),
    "short data": (_external("w.bin"), "expected 192 bytes from 0 on in 'w.bin', found 192 in a"),
    "data at no number": (_external("w.bin", offset="x"), "is no number known"),
}


def changed(folder: Path, case: str) -> Path:
    conv = [op("Relu", "x", "r"), op("Conv", "r w", "y")]
    content = FILES[case][0](make(conv, MAP, {"y": 4}, weight(3, 4, 2, 2)))
    (folder / "inner").mkdir()
    for name in ("w.bin", "inner/w.bin"):
        (folder / name).write_bytes(b"short")
    path = folder / "inner" / "changed.onnx"
    path.write_bytes(content)
    return path


def test_more_numbers_than_memory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A shape costs its file nothing; positions of all its numbers would take 8 GB."""
    model = make([op("Flatten", "x", "y")], {"x": [1, 1, 32768, 32768]}, {"y": 2})
    path = save(tmp_path, model)
    assert main(["inspect", str(path)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1, err
    assert f"{path}: node 'y' (Flatten): expected at most 67,108,864 numbers" in err


@pytest.mark.parametrize("case", FILES)
def test_files(tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = changed(tmp_path, case)
    with pytest.raises(FormatError, match=FILES[case][1]):
        read(path)
    assert main(["inspect", str(path)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and str(path) in err


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no symbolic links")
def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    path = changed(tmp_path, "short data")
    (path.parent / "w.bin").unlink()
    (tmp_path / "w.bin").write_bytes(bytes(192))
    (path.parent / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(FormatError, match="outside the folder of the model"):
        read(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "no.onnx")
    with pytest.raises(FormatError, match="found a directory"):
        read(tmp_path)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, make([op("Relu", "x", "y")], MAP, {"y": 4}))
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(FacegenError, match="needs onnx, which is missing: pip install"):
        onnx_file.load_checked(path)


@settings(max_examples=150)
@given(st.data())
def test_damaged_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever is in a file, it is read or refused."""
    ops = [
        op("Conv", "x w", "c", pads=[1, 0, 0, 1]),
        op("Flatten", "c", "f"),
        op("Softmax", "f", "y"),
    ]
    content = bytearray(make(ops, MAP, {"y": 2}, weight(3, 4, 2, 2)).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content)
    try:
        read(path)
    except FormatError as error:
        assert "\n" not in str(error)
