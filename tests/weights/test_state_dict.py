"""Which dict of a checkpoint is taken, and the names in it."""

from __future__ import annotations

from typing import Any

import pytest

from facegen import FormatError
from facegen.weights.state_dict import PREFERRED, find
from facegen.weights.torch_records import Name, Storage, Tensor


def tensor() -> Tensor:
    return Tensor(Storage("0", "float32", 1), "float32", 0, (1,), (1,))


def state(*names: str) -> dict[str, Any]:
    return {name: tensor() for name in names}


BESIDE = {
    "epoch": 3,
    "accuracy": tensor(),
    "optimizer": {"state": {}, "param_groups": [1]},
    "args": Name("x"),
}


@pytest.mark.parametrize(
    "content",
    [
        state("a"),
        *({key: state("a")} | BESIDE for key in (*PREFERRED, "anything")),
        {"x": {"y": {"z": state("a")}}},
        {"model": state("a"), "best": tensor()},
        {"model": state("a"), "backup": state("b")},
        {"params": state("b"), "params_ema": state("a")},
        {"state_dict": state("b"), "ema": state("a")},
        {"netD_state_dict": state("b"), "netG_state_dict": state("a")},
        {"netD": {"state_dict": state("b")}, "netG": {"state_dict": state("a")}},
    ],
)
def test_the_dict_that_is_taken(content: dict[str, Any]) -> None:
    assert list(find("x.pth", content).tensors) == ["a"]


def test_messages_say_which_of_several() -> None:
    where = find("x.pth", {"params": state("b"), "params_ema": state("a")}).where
    assert where == "x.pth (params_ema, the one taken of 2 state_dicts)"
    assert find("x.pth", {"params": state("b")}).where == "x.pth"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "found a dict without tensors"),
        ({"a": 3, "b": [tensor()]}, "found a dict without tensors"),
        ({"w": {"x": {"y": {"z": state("a")}}}}, "found a dict without tensors"),
        ({"one": state("a"), "two": state("b")}, r"holds 2 state_dicts \('one, two'\), expected"),
        ({"model": {"g": state("a"), "d": state("b")}}, r"2 state_dicts \('model.g, model.d'\)"),
        ({"a": tensor(), "b": 3}, "'b': expected a tensor, found int"),
        (Name("argparse.Namespace"), "expected a state_dict, found argparse.Namespace"),
    ],
)
def test_no_dict_is_taken(content: Any, message: str) -> None:
    with pytest.raises(FormatError, match=f"^x.pth: .*{message}"):
        find("x.pth", content)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["_orig_mod.module.a"], ["a"]),
        (["module._orig_mod.a", "n_averaged"], ["a"]),
        (["module.a", "b"], ["module.a", "b"]),
        (["generator.a", "discriminator.a"], ["a"]),
        (["netG.module.a", "netD.module.b", "netD.module.num_batches_tracked"], ["a"]),
        (["modules.a"], ["modules.a"]),
        (["x.num_batches_tracked"], []),
    ],
)
def test_names_without_what_wraps_them(names: list[str], expected: list[str]) -> None:
    assert list(find("x.pth", state(*names)).tensors) == expected


def test_dicts_that_hold_one_another() -> None:
    loop: dict[str, Any] = {}
    loop |= {"a": loop, "b": {"a": loop, "model": state("a")}}
    assert list(find("x.pth", loop).tensors) == ["a"]
