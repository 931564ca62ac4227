"""Hostile pickles: a clear error, nothing is run, and time and memory have their bounds."""

from __future__ import annotations

import os
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints as make
import numpy as np
import pytest

from facegen import FormatError
from facegen.weights import pytorch
from facegen.weights.torch_pickle import MOST_BYTES, MOST_OPCODES

CALL = b"(" + make.text("made-by-a-pickle") + b"tR"
# Everything that imports or calls, in every way that pickles have.
RUNS = {
    "os.mkdir": b"cos\nmkdir\n" + CALL,
    "posix.mkdir": b"cposix\nmkdir\n" + CALL,
    "builtins.eval": b"cbuiltins\neval\n" + CALL,
    "builtins.getattr": b"cbuiltins\ngetattr\n" + CALL,
    "builtins.__import__": b"cbuiltins\n__import__\n" + CALL,
    "torch.load": b"ctorch\nload\n" + CALL,
    "torch._utils.os.mkdir": b"ctorch._utils\nos.mkdir\n" + CALL,
    "collections.abc.Mapping": b"ccollections.abc\nMapping\n)R",
    "collections.OrderedDict.fromkeys": b"ccollections\nOrderedDict.fromkeys\n" + CALL,
    "numpy.core.multiarray.fromfile": b"cnumpy.core.multiarray\nfromfile\n" + CALL,
    "pickle.loads": b"cpickle\nloads\n" + CALL,
    "facegen.weights.write": b"cfacegen.weights\nwrite\n" + CALL,
    "subprocess.Popen": b"csubprocess\nPopen\n)\x81",
    "os.system": b"(ios\nsystem\n",
}


def refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=f"x.pth: .*{message}") as error:
        dict(pytorch.read(path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 900


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("bare", [False, True], ids=["zip", "bare"])
def test_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bare: bool
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    content = make.state(a=RUNS[name])
    data = make.bare(content, [], b"") if bare else make.packed(content)
    modules = set(sys.modules)
    refused(tmp_path, data, "opcode" if b"(i" in content else f"'{name}' is not allowed in a file")
    assert os.listdir() == []
    imported = {module.partition(".")[0] for module in set(sys.modules) - modules}
    assert imported <= {"encodings"}  # a zip's names are in cp437


def test_plain_data_beside_weights_is_not_called(tmp_path: Path) -> None:
    """What is passed over stays a name, whatever it is called with, built of or filled with."""
    path = tmp_path / "x.pth"
    beside = [
        b"cbuiltins\nset\n(](" + make.number(1) + b"et\x52",
        b"c__builtin__\nbytearray\n" + make.numbers(1 << 60) + b"R",
        b"c__builtin__\nlist\n(" + make.text("abc") + b"tR" + make.number(1) + b"a",
        b"ccollections\ndefaultdict\n(cbuiltins\nint\ntR" + make.text("a") + make.number(1) + b"s",
        b"cargparse\nNamespace\n)\x81}" + make.text("lr") + make.number(1) + b"sb",
        b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n" + make.text("f8") + b"tR",
        b"ctorch\nfloat32\n",
    ]
    entries = {f"entry{i}": entry for i, entry in enumerate(beside)}
    model = b"}" + make.text("a") + make.tensor() + b"s"
    path.write_bytes(make.packed(make.state(**entries, model=model)))
    assert list(pytorch.read(path)) == ["a"]


@pytest.mark.parametrize("entry", [b"cargparse\nNamespace\n)\x81", make.number(3), make.text("x")])
def test_it_is_no_weight(tmp_path: Path, entry: bytes) -> None:
    data = make.packed(make.state(a=make.tensor(), b=entry))
    refused(tmp_path, data, "'b': expected a tensor, found (argparse.Namespace|int|str)$")


SIZE = "expected a size, an offset or a stride"
TENSORS = {
    "beyond": (make.tensor(shape=make.numbers(2, 4)), "beyond its storage's end"),
    "offset": (make.tensor(offset=make.number(1)), "beyond its storage's end"),
    "far stride": (make.tensor(stride=make.numbers(4, 1)), "beyond its storage's end"),
    "negative offset": (make.tensor(offset=make.number(-1)), SIZE),
    "negative size": (make.tensor(shape=make.numbers(-1, 3)), SIZE),
    "negative stride": (make.tensor(stride=make.numbers(3, -1)), SIZE),
    "huge size": (make.tensor(shape=make.numbers(1 << 1000, 0)), SIZE),
    "overflow": (make.tensor(shape=make.numbers(1 << 61, 1 << 61)), "beyond its storage's end"),
    "no number": (make.tensor(offset=make.text("0")), SIZE),
    "bool": (make.tensor(offset=b"\x88"), SIZE),
    "no tuple": (make.tensor(shape=b"]"), "expected a tuple of up to 16"),
    "dimensions": (make.tensor(shape=make.numbers(*[1] * 17)), "expected a tuple of up to 16"),
    "strides": (make.tensor(stride=make.numbers(1)), "2 dimensions with 1 strides"),
    "no storage": (make.tensor(make.text("storage")), "of other arguments"),
    "no arguments": (make.TENSOR + b")R", "of other arguments"),
    "of a list": (make.TENSOR + b"]R", "calls torch.*v2 with list"),
    "unknown dtype": (
        b"ctorch._utils\n_rebuild_tensor_v3\n(" + make.storage() + make.number(0) + b"))\x89}NtR",
        "of an unknown type",
    ),
    "parameter": (b"ctorch._utils\n_rebuild_parameter\n(NtR", "parameter that is no tensor"),
    "size": (b"ctorch\nSize\n)R", "expected a tuple"),
    "filled dict": (b"ccollections\nOrderedDict\n(]tR", "OrderedDict with arguments"),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_cannot_be(tmp_path: Path, case: str) -> None:
    value, message = TENSORS[case]
    refused(tmp_path, make.packed(make.state(a=value)), message)


ID = "a persistent id that is no storage's"
STORAGES = {
    "text": (make.text("storage") + b"Q", ID),
    "short": (b"(" + make.text("storage") + b"tQ", ID),
    "module": (b"(" + make.text("module") + b"NNNNtQ", ID),
    "type": (make.storage(kind="N"), ID),
    "other type": (make.storage(kind="ctorch._utils\n_rebuild_parameter\n"), ID),
    "view": (make.storage()[:-2] + b"(NNNttQ", ID),
    "negative": (make.storage(count=-6), SIZE),
    "two sizes": (b"(" + make.storage() + make.storage(count=5) + b"t", "two types or sizes"),
    "two types": (
        b"(" + make.storage() + make.storage(kind="ctorch\nIntStorage\n") + b"t",
        "two types or sizes",
    ),
    "missing": (make.tensor(make.storage("1")), "storage '1' of 24 bytes is missing"),
    "path": (make.tensor(make.storage("../data.pkl")), "storage '../data.pkl' .*missing"),
    "other size": (make.tensor(make.storage(count=7)), "storage '0' of 28 bytes has 24"),
    "huge": (make.tensor(make.storage(count=1 << 61)), "bytes has 24"),
}  # fmt: skip


@pytest.mark.parametrize("case", STORAGES)
def test_storages_that_cannot_be(tmp_path: Path, case: str) -> None:
    value, message = STORAGES[case]
    refused(tmp_path, make.packed(make.state(a=value)), message)


OPCODES = {
    "empty": (b"", "it ends too early"),
    "no end": (make.START + b"}", "it ends too early"),
    "protocol": (b"\x80\x04}.", "found protocol 4, expected 2"),
    "text": (b"I1\n.", "found opcode b'I', expected those of protocol 2"),
    "extension": (b"\x82\x01.", "opcode"),
    "stack global": (make.text("os") + make.text("system") + b"\x93.", "opcode"),
    "frame": (b"\x95" + bytes(8) + b".", "opcode"),
    "big buffer": (b"\x96" + b"\xff" * 8 + b".", "opcode"),
    "long number": (b"\x8b\xff\xff\xff\x7f.", "opcode"),
    "long text": (b"X\xff\xff\xff\xff.", "it ends too early"),
    "no UTF-8": (b"X\1\0\0\0\xff.", "'utf-8' codec can't decode"),
    "far memo": (b"}r\xff\xff\xff\xff.", "remembers value 4,294,967,295 after 0"),
    "no memo": (b"h\0.", "recalls value 0 of 0"),
    "memo of nothing": (b"q\0.", "nothing on its stack"),
    "no mark": (b"t.", "no mark on its stack"),
    "under the mark": (b"}(s.", "nothing on its stack"),
    "key alone": (b"}(" + make.text("a") + b"u.", "a key without a value"),
    "items of text": (make.text("a") + b"NNs.", "sets items of str"),
    "append to a dict": (b"}Na.", "appends to dict"),
    "state of text": (make.text("a") + b"Nb.", "sets attributes of str"),
    "call of text": (make.text("a") + b")R.", "calls str with tuple"),
    "object of text": (make.text("a") + b")\x81.", "makes an object of str"),
    "endless name": (b"c" + b"a" * 5000, "a name without an end"),
    "whole model": (b"cmy.net\nNet\n)\x81.", r"holds a whole model \('my.net.Net'\)"),
    "list": (b"].", "expected a state_dict, found list"),
    "tensor": (make.tensor() + b".", "expected a state_dict, found Tensor"),
}  # fmt: skip


@pytest.mark.parametrize("case", OPCODES)
def test_pickles_that_cannot_be(tmp_path: Path, case: str) -> None:
    content, message = OPCODES[case]
    refused(tmp_path, make.packed(content), message)


def bomb_of(opcodes: bytes) -> bytes:
    times = min(MOST_OPCODES, MOST_BYTES // len(opcodes) - 1)
    return make.packed(make.START + opcodes * times + b".")


RECALLED = make.numbers(*[1] * 16) + b"q\0" + make.storage() + b"q\1"
BOMBS: dict[str, Callable[[], bytes]] = {
    "dicts": lambda: bomb_of(b"}"),
    "nested lists": lambda: make.packed(
        make.START + b"]" * 300_000 + b"a" * 299_999 + b"."
    ),
    "nested tuples as a key": lambda: make.packed(
        make.START + b"})" + b"\x85" * 500_000 + b"Ns."
    ),
    "a dict in itself": lambda: make.packed(
        make.START + b"}q\0" + (make.text("a") + b"h\0s") * 100_000 + b"."
    ),
    "dicts that share": lambda: make.packed(
        make.START + b"}q\0" + b"".join(
            b"}r" + struct.pack("<I", i) + b"(" + make.text("a") + b"j" + struct.pack("<I", i - 1)
            + make.text("b") + b"j" + struct.pack("<I", i - 1) + b"u" for i in range(1, 20_000)
        ) + b"."
    ),
    "colliding keys": lambda: make.packed(
        make.START + b"}(" + b"".join(
            make.number(i * ((1 << 61) - 1)) + b"N" for i in range(1, 300_000)
        ) + b"u."
    ),
    "tensors of one tuple": lambda: make.packed(
        make.START + RECALLED + make.TENSOR + b"q\2(h\1K\0h\0h\0tq\3" + b"h\2h\3R" * 100_000 + b"."
    ),
    "remembered": lambda: bomb_of(b"N" + b"r\0\0\0\0"),
    "long names": lambda: bomb_of(b"c" + b"a" * 990 + b"\nb\n"),
    "long texts": lambda: bomb_of(b"X\0\0\1\0" + "\U0001f600".encode() * 16384),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_bombs(tmp_path: Path, case: str) -> None:
    """In the memory that docs/formats.md promises, and soon."""
    path = tmp_path / "x.pth"
    path.write_bytes(BOMBS[case]())
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as error:
            pytorch.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * path.stat().st_size + (200 << 20)
    assert len(str(error.value)) < 900


def test_a_pickle_too_large(tmp_path: Path) -> None:
    data = make.packed(make.START + bytes(MOST_BYTES) + b".")
    refused(tmp_path, data, "a pickle of 16,777,219 bytes, at most 16,777,216 expected")


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data and len(old) == len(new)
    return data.replace(old, new)


def directory(data: bytes, name: bytes, at: int, value: int) -> bytes:
    """With another number in a member's entry of the directory."""
    entry = data.rindex(b"PK\1\2", 0, data.rindex(name)) + at
    return data[:entry] + struct.pack("<I", value) + data[entry + 4 :]


GOOD = make.packed(make.state(a=make.tensor()))
TWO = make.packed(make.state(a=make.tensor()), {"data/0": bytes(24), "data/1": bytes(24)})
ZIPS = {
    "within another": (directory(TWO, b"x/data/1", 42, TWO.index(b"PK\3\4", 9) + 20), "overlaps"),
    "same place": (directory(TWO, b"x/data/1", 42, TWO.index(b"PK\3\4", 9)), "overlaps another"),
    "no member": (directory(GOOD, b"x/data/0", 42, 3), "overlaps another|not where"),
    "far": (directory(GOOD, b"x/data/0", 42, 0x7FFFFFFF), "overlaps another, or lies beyond"),
    "large": (directory(directory(GOOD, b"x/data/0", 24, 999), b"x/data/0", 20, 999), "not where"),
    "twice": (changed(TWO, b"x/data/1", b"x/data/0"), "member 'x/data/0' is there twice"),
    "two pickles": (
        make.packed(make.state(), {"y/data.pkl": b""}), "expected one data.pkl, found 2"
    ),
    "behind": (GOOD + b"x", "something lies behind"),
    "damaged": (changed(GOOD, bytes(24), b"x" * 24), "damaged: the 24 bytes .* CRC-32"),
}  # fmt: skip


@pytest.mark.parametrize("case", ZIPS)
def test_zips_that_cannot_be(tmp_path: Path, case: str) -> None:
    refused(tmp_path, *ZIPS[case])


def test_a_file_without_checksums(tmp_path: Path) -> None:
    """As torch.save makes one after torch.serialization.set_crc32_options(False)."""
    path = tmp_path / "x.pth"
    path.write_bytes(directory(directory(GOOD, b"x/data/0", 16, 0), b"x/data.pkl", 16, 0))
    assert pytorch.read(path)["a"].tobytes() == bytes(24)


@pytest.mark.parametrize("how", ["zip", "bare"])
def test_every_truncation(tmp_path: Path, how: str) -> None:
    content = make.state(a=make.tensor())
    data = GOOD if how == "zip" else make.bare(content, ["0"], struct.pack("<q", 6) + bytes(24))
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    assert dict(pytorch.read(path))["a"].shape == (2, 3)
    for size in range(16, len(data)):
        refused(tmp_path, data[:size], "")


COUNT = struct.pack("<q", 6)
BARES: dict[str, tuple[list[Any], bytes, str]] = {
    "other count": (["0"], struct.pack("<q", 5) + bytes(24), "elements of another storage"),
    "negative": (["0"], struct.pack("<q", -6) + bytes(24), "elements of another storage"),
    "unknown": (["1"], COUNT + bytes(24), "elements of another storage"),
    "twice": (["0", "0"], 2 * (COUNT + bytes(24)), "elements of another storage"),
    "missing": ([], b"", "storage '0' of 24 bytes is missing"),
    "behind": (["0"], COUNT + bytes(25), "expected [0-9,]+ bytes, found"),
    "no keys": ([3], COUNT + bytes(24), "elements of another storage"),
}


@pytest.mark.parametrize("case", BARES)
def test_bare_files_that_cannot_be(tmp_path: Path, case: str) -> None:
    keys, storages, message = BARES[case]
    refused(tmp_path, make.bare(make.state(a=make.tensor()), keys, storages), message)


def test_a_bare_file_of_huge_storages(tmp_path: Path) -> None:
    """The place of the next one would be beyond what a file can have."""
    one, two = (make.tensor(make.storage(key, (1 << 62) - 1)) for key in "01")
    count = struct.pack("<q", (1 << 62) - 1)
    refused(tmp_path, make.bare(make.state(a=one, b=two), ["0", "1"], 9 * count), "expected .*byte")


def test_big_endian_bare_files_are_refused(tmp_path: Path) -> None:
    data = make.bare(make.state(a=make.tensor()), ["0"], COUNT + bytes(24))
    at = data.index(b"little_endian")
    refused(tmp_path, data[:at] + data[at:].replace(b"\x88", b"\x89", 1), "of little endian")


def test_torchscript_is_recognised(tmp_path: Path) -> None:
    data = make.packed(b"", {"constants.pkl": b"", "code/__torch__.py": b"", "data/0": b""})
    refused(tmp_path, data, r"TorchScript program, .*torch.save\(torch.jit.load\(FILE\).state_dict")


@pytest.mark.parametrize("order", ["little", "big"])
def test_byte_orders(tmp_path: Path, order: str) -> None:
    path = tmp_path / "x.pth"
    values = np.arange(6, dtype=np.float32)
    data = values.astype("<f4" if order == "little" else ">f4").tobytes()
    members = {"byteorder": order.encode(), "data/0": data}
    path.write_bytes(make.packed(make.state(a=make.tensor()), members))
    np.testing.assert_array_equal(pytorch.read(path)["a"], values.reshape(2, 3))


def test_a_file_that_is_cut_after_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(GOOD)
    tensors = pytorch.read(path)
    path.write_bytes(GOOD[:50])
    with pytest.raises(FormatError, match="ended while it was read"):
        tensors["a"]
