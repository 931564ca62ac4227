"""Which dict of a PyTorch checkpoint has the weights, and their names without what wraps them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from facegen.errors import FormatError
from facegen.weights.checks import Path
from facegen.weights.torch_records import Tensor, kind

# Where several state_dicts lie in a checkpoint, the first of these is taken. Averages over the
# training are what its authors publish results of, and a generator is what is used afterwards.
PREFERRED = (
    *("params_ema", "state_dict_ema", "model_ema", "ema_state_dict", "g_ema", "ema"),
    *("netG_state_dict", "generator_state_dict", "netG", "generator"),
    *("model_state_dict", "state_dict", "model", "params"),
)
# What wraps a module, by the names that its tensors get: DataParallel's, torch.compile's.
_WRAPPERS = ("module.", "_orig_mod.")
# One of several modules, which alone is taken.
_GENERATORS = ("generator.", "netG.")
# Counts of batch norms and of averaged models, which are for training.
_COUNTS = ("num_batches_tracked", "n_averaged")
_DEPTH = 3  # of dicts in dicts


class Found(NamedTuple):
    tensors: dict[str, Tensor]
    where: Path  # for messages: the file, and which of its state_dicts where it has several
    part: str = ""  # which one that is, in words


def find(path: Path, content: object) -> Found:
    """The tensors of the state_dict that a checkpoint is, or has in it.

    Raises
    ------
    FormatError
        There is none, it holds something else than tensors, or nothing says which of several.
    """
    if not isinstance(content, dict):
        raise FormatError(f"{path}: expected a state_dict, found {kind(content)}")
    found = _state_dicts(content, (), set())
    if not found:
        raise FormatError(f"{path}: expected a state_dict, found a dict without tensors")
    keys, *others = sorted(found, key=_rank)
    where, part = path, ""
    if others:
        if _rank(keys) == _rank(others[0]):
            names = ", ".join(".".join(keys) for keys in list(found)[:8])
            raise FormatError(
                f"{path}: holds {len(found)} state_dicts ({names!r:.200}), expected one, or one "
                f"that is called {PREFERRED[0]}, state_dict or model"
            )
        part = f"{'.'.join(keys)}, the one taken of {len(found)} state_dicts"
        where = f"{path} ({part})"
    return Found(_unwrapped(where, found[keys]), where, part)


def _state_dicts(
    content: dict[str, object], keys: tuple[str, ...], seen: set[int]
) -> dict[tuple[str, ...], dict[str, object]]:
    """Dicts that hold tensors, by the keys that lead to them; each once.

    One with such dicts in it is none itself, whatever tensors stand beside them (a best accuracy,
    the state of random numbers).
    """
    found: dict[tuple[str, ...], dict[str, object]] = {}
    if id(content) in seen:
        return found
    seen.add(id(content))
    for key, value in content.items():
        if isinstance(value, dict) and len(keys) < _DEPTH:
            found |= _state_dicts(value, (*keys, key), seen)
    if not found and any(isinstance(value, Tensor) for value in content.values()):
        found[keys] = content
    return found


def _rank(keys: tuple[str, ...]) -> int:
    return min((PREFERRED.index(key) for key in keys if key in PREFERRED), default=len(PREFERRED))


def _unwrapped(where: Path, content: dict[str, object]) -> dict[str, Tensor]:
    tensors = {}
    for plain, name in plain_names(content).items():
        value = content[name]
        if not isinstance(value, Tensor):
            raise FormatError(f"{where}: {name!r:.100}: expected a tensor, found {kind(value)}")
        tensors[plain] = value
    return tensors


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """What tensors are called in their module -> their names, of which counts are left out."""
    plain = {name: name for name in names if name.rpartition(".")[2] not in _COUNTS}
    while prefix := _prefix(plain):
        plain = {n.removeprefix(prefix): f for n, f in plain.items() if n.startswith(prefix)}
    return plain


def _prefix(names: Collection[str]) -> str:
    """What all names begin with of a wrapper's; or some with of a generator's."""
    for prefix in _WRAPPERS:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    for prefix in _GENERATORS:
        if any(name.startswith(prefix) for name in names):
            return prefix
    return ""
