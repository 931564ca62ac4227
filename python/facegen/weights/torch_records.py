"""What a PyTorch pickle may name, and the records that stand for it: where tensors lie.

These tables are all that a file's names are looked up in. What makes tensors has a function here,
which checks sizes and makes a record; plain data that stands beside weights stays a `Name`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from facegen.weights.checks import Shape

_MOST_DIMENSIONS = 16  # of weights; a pickle can have many of them checked by few opcodes
_MOST_NUMBER = 1 << 62

ELEMENT_BYTES = {
    "float32": 4, "float64": 8, "float16": 2, "bfloat16": 2,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
    "uint64": 8, "uint32": 4, "uint16": 2, "complex64": 8, "complex128": 16,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1,
}  # fmt: skip
STORAGES = {
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.storage.UntypedStorage": "uint8",
}
_DTYPES = {f"torch.{name}": name for name in ELEMENT_BYTES}


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """What the pickle knows by name alone; also what would have been made of it."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Numbers that lie elsewhere in the file, by a key."""

    key: str
    dtype: str
    count: int

    @property
    def size_bytes(self) -> int:
        return self.count * ELEMENT_BYTES[self.dtype]


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """Where the elements of a tensor lie in its storage; `offset` and `stride` count elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: Shape
    stride: tuple[int, ...]


class DamagedError(Exception):
    """What is there is nothing that torch.save writes; whoever reads the pickle says where."""


def kind(value: object) -> str:
    """What a value is, for a message."""
    return value.name if isinstance(value, Name) else type(value).__name__


def count_of(number: object) -> int:
    """The number, which must be a size, an offset or a stride."""
    return _counts((number,))[0]


def _counts(numbers: object) -> tuple[int, ...]:
    """The very same tuple: a pickle can make tensors of one again and again."""
    if not isinstance(numbers, tuple) or len(numbers) > _MOST_DIMENSIONS:
        raise DamagedError(f"expected a tuple of up to {_MOST_DIMENSIONS} sizes or strides")
    if not all(type(number) is int and 0 <= number < _MOST_NUMBER for number in numbers):
        raise DamagedError("expected a size, an offset or a stride")
    return numbers


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """Of (storage, offset, shape, stride, ...), and where version 3 has it the type."""
    match arguments:
        case (Storage() as storage, offset, shape, stride, *more):
            offset, shape, stride = count_of(offset), _counts(shape), _counts(stride)
        case _:
            raise DamagedError("a tensor of other arguments than torch.save writes")
    dtype, count = storage.dtype, storage.count
    if len(more) > 2:
        if not isinstance(more[2], Name) or more[2].name not in _DTYPES:
            raise DamagedError("a tensor of an unknown type")
        dtype = _DTYPES[more[2].name]
        count = storage.size_bytes // ELEMENT_BYTES[dtype]
    if len(shape) != len(stride):
        raise DamagedError(f"a tensor of {len(shape)} dimensions with {len(stride)} strides")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if prod(shape) and last >= count:
        raise DamagedError("a tensor beyond its storage's end")
    return Tensor(storage, dtype, offset, shape, stride)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    match arguments:
        case (Tensor() as tensor, *_):
            return tensor
    raise DamagedError("a parameter that is no tensor")


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    return _counts(arguments[0] if len(arguments) == 1 else None)


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """An empty one, which opcodes fill; one with items would be copied at every call."""
    if arguments:
        raise DamagedError("an OrderedDict with arguments, expected an empty one")
    return {}


CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": lambda arguments: _tensor(arguments[:4]),
    "torch._utils._rebuild_tensor_v2": lambda arguments: _tensor(arguments[:4]),
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
# What stands beside weights: settings, counts, histories. It stays a name, whatever is made of it.
_PASSED_OVER = (
    *("argparse.Namespace", "torch.device", "_codecs.encode", "collections.Counter"),
    *("collections.defaultdict", "numpy.dtype", "numpy.ndarray"),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core")
      for name in ("scalar", "_reconstruct")),
    *(f"{builtins}.{name}" for builtins in ("builtins", "__builtin__")
      for name in ("set", "frozenset", "complex", "bytearray", "int", "float", "list", "dict")),
)  # fmt: skip
NAMES = {name: Name(name) for name in (*CALLS, *STORAGES, *_DTYPES, *_PASSED_OVER)}
