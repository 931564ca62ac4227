"""What torch.save pickles, read as data: nothing of it is imported, called or run.

A pickle is a program for a stack machine, and whoever runs it trusts its author: its names are
imported, and what they stand for is called. Here it is interpreted opcode by opcode, of the about
30 that torch.save writes (protocol 2). A name is looked up in the tables of
`facegen.weights.torch_records` and nowhere else; any other is an error.

No opcode takes more than about 100 bytes besides what it has in the file, so their number bounds
the memory. Dicts keep their entries under strings alone: a key cannot be nested, nor be made to
collide.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from facegen.errors import FormatError
from facegen.weights.checks import Path
from facegen.weights.torch_records import (
    CALLS,
    NAMES,
    STORAGES,
    DamagedError,
    Name,
    Storage,
    count_of,
    kind,
)

MOST_BYTES = 16 << 20
MOST_OPCODES = 1_000_000  # a tensor takes about 25


class Pickle(NamedTuple):
    value: object
    storages: dict[str, Storage]  # by their keys
    end: int  # of the pickle in the data


def load(path: Path, data: bytes, start: int = 0) -> Pickle:
    """The pickle that begins at byte `start`.

    Raises
    ------
    FormatError
        It is damaged, or has a name that is in no table here.
    """
    reader = _Reader(path, data, start)
    try:
        return Pickle(reader.run(), reader.storages, reader.at)
    except (DamagedError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path}: not a valid PyTorch checkpoint: byte {reader.at:,} of its pickle: {error}"
        ) from error


class _Reader:
    """The stack machine: `stack` and what is remembered for later, `memo`."""

    def __init__(self, path: Path, data: bytes, at: int) -> None:
        self.path = path
        self.data = data
        self.at = at
        self.stack: list[Any] = []
        self.marks: list[int] = []  # lengths of the stack
        self.memo: list[Any] = []
        self.storages: dict[str, Storage] = {}

    def run(self) -> object:
        for _ in range(MOST_OPCODES):
            opcode = self.take(1)
            if opcode == pickle.STOP:
                return self.pop()
            if opcode not in _STEPS:
                raise DamagedError(
                    f"found opcode {opcode!r}, expected those of protocol 2 (torch.save's default)"
                )
            _STEPS[opcode](self)
        raise DamagedError(f"more than {MOST_OPCODES:,} opcodes")

    # What follows an opcode in the data.

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise DamagedError("it ends too early")
        self.at += size
        return taken

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def text(self, size: int, encoding: str = "utf-8") -> str:
        return self.take(size).decode(encoding, "surrogatepass")

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            raise DamagedError("a name without an end")
        line = self.text(end - self.at)
        self.at += 1
        return line

    # The stack.

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise DamagedError("nothing on its stack")
        return self.stack.pop()

    def popped(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def marked(self) -> list[Any]:
        """All since the last mark."""
        if not self.marks:
            raise DamagedError("no mark on its stack")
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def remember(self, index: int) -> None:
        """Picklers count up; a far index would take memory for all before it."""
        self.stack.append(value := self.pop())
        if index > len(self.memo):
            raise DamagedError(f"remembers value {index:,} after {len(self.memo):,}")
        self.memo[index : index + 1] = [value]

    def recall(self, index: int) -> None:
        if index >= len(self.memo):
            raise DamagedError(f"recalls value {index:,} of {len(self.memo):,}")
        self.stack.append(self.memo[index])

    # Containers.

    def extend(self, items: list[Any]) -> None:
        self.stack.append(target := self.pop())
        if isinstance(target, list):
            target += items
        elif not isinstance(target, Name):
            raise DamagedError(f"appends to {kind(target)}")

    def update(self, items: list[Any]) -> None:
        self.stack.append(target := self.pop())
        if len(items) % 2:
            raise DamagedError("a key without a value")
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update((key, value) for key, value in pairs if type(key) is str)
        elif not isinstance(target, Name):
            raise DamagedError(f"sets items of {kind(target)}")

    def build(self) -> None:
        """Attributes, as a state_dict has of its modules' versions: they are passed over."""
        target, _ = self.popped(2)
        if not isinstance(target, (dict, Name)):
            raise DamagedError(f"sets attributes of {kind(target)}")
        self.stack.append(target)

    # Names, and what is made by them.

    def name(self) -> None:
        found = f"{self.line()}.{self.line()}"
        if found not in NAMES:
            # Bare pickles have a class with its source; a model in a dict has PyTorch's layers.
            if self.stack in ([], ["module"]) or found.startswith("torch.nn.modules."):
                raise FormatError(
                    f"{self.path}: holds a whole model ({found!r:.100}), whose code would have to "
                    "run; save its weights alone where it does: torch.save(model.state_dict(), ...)"
                )
            raise FormatError(
                f"{self.path}: {found!r:.100} is not allowed in a file of weights: expected "
                "tensors and plain data alone, as torch.save(model.state_dict(), ...) writes them"
            )
        self.stack.append(NAMES[found])

    def call(self) -> None:
        function, arguments = self.popped(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise DamagedError(f"calls {kind(function)} with {kind(arguments)}")
        make = CALLS.get(function.name)
        self.stack.append(make(arguments) if make else function)

    def new(self) -> None:
        self.stack.append(self.popped(2)[0])
        if not isinstance(self.stack[-1], Name):
            raise DamagedError(f"makes an object of {kind(self.stack[-1])}")

    def storage(self) -> None:
        """A persistent id; in bare pickles it ends in None, or the storage is part of another."""
        match self.pop():
            case ("storage", Name(name=name), str(key), str(), count, *view) if (
                name in STORAGES and view in ([], [None])
            ):
                found = Storage(key, STORAGES[name], count_of(count))
            case _:
                raise DamagedError("a persistent id that is no storage's of a known type")
        known = self.storages.setdefault(key, found)
        if (known.dtype, known.count) != (found.dtype, found.count):
            raise DamagedError(f"storage {key!r:.100} is there with two types or sizes")
        self.stack.append(known)


def _expect_protocol(found: int) -> None:
    if found != 2:
        raise DamagedError(f"found protocol {found}, expected 2 (torch.save's default)")


_STEPS: dict[bytes, Callable[[_Reader], None]] = {
    pickle.PROTO: lambda r: _expect_protocol(r.number(1)),
    pickle.MARK: lambda r: r.marks.append(len(r.stack)),
    pickle.NONE: lambda r: r.stack.append(None),
    pickle.NEWTRUE: lambda r: r.stack.append(True),
    pickle.NEWFALSE: lambda r: r.stack.append(False),
    pickle.BININT: lambda r: r.stack.append(r.number(4, signed=True)),
    pickle.BININT1: lambda r: r.stack.append(r.number(1)),
    pickle.BININT2: lambda r: r.stack.append(r.number(2)),
    pickle.LONG1: lambda r: r.stack.append(r.number(r.number(1), signed=True)),
    pickle.BINFLOAT: lambda r: r.stack.append(*struct.unpack(">d", r.take(8))),
    pickle.BINUNICODE: lambda r: r.stack.append(r.text(r.number(4))),
    pickle.BINSTRING: lambda r: r.stack.append(r.text(r.number(4), "latin-1")),
    pickle.SHORT_BINSTRING: lambda r: r.stack.append(r.text(r.number(1), "latin-1")),
    pickle.EMPTY_TUPLE: lambda r: r.stack.append(()),
    pickle.TUPLE: lambda r: r.stack.append(tuple(r.marked())),
    pickle.TUPLE1: lambda r: r.stack.append(tuple(r.popped(1))),
    pickle.TUPLE2: lambda r: r.stack.append(tuple(r.popped(2))),
    pickle.TUPLE3: lambda r: r.stack.append(tuple(r.popped(3))),
    pickle.EMPTY_LIST: lambda r: r.stack.append([]),
    pickle.APPEND: lambda r: r.extend(r.popped(1)),
    pickle.APPENDS: lambda r: r.extend(r.marked()),
    pickle.EMPTY_DICT: lambda r: r.stack.append({}),
    pickle.SETITEM: lambda r: r.update(r.popped(2)),
    pickle.SETITEMS: lambda r: r.update(r.marked()),
    pickle.BUILD: _Reader.build,
    pickle.GLOBAL: _Reader.name,
    pickle.REDUCE: _Reader.call,
    pickle.NEWOBJ: _Reader.new,
    pickle.BINPERSID: _Reader.storage,
    pickle.BINPUT: lambda r: r.remember(r.number(1)),
    pickle.LONG_BINPUT: lambda r: r.remember(r.number(4)),
    pickle.BINGET: lambda r: r.recall(r.number(1)),
    pickle.LONG_BINGET: lambda r: r.recall(r.number(4)),
}
