"""Compilers for the course's programs: which there are, and how a file asks to be built.

A program states its command in a comment, for those who type it, and this reads that very line:

    //   g++ -std=c++17 -O3 -march=native -pthread 01_naive.cpp -o rung && ./rung
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
from pathlib import Path

from facegen.errors import FacegenError

_COMMAND = re.compile(r"^//[ \t]+(?:g\+\+|nvcc) (.*?-o .+?)(?: && .*)?$", re.MULTILINE)
_DEFAULT_FLAGS = {
    ".cpp": ["-std=c++17", "-O3", "-march=native", "-pthread"],
    ".cu": ["-std=c++17", "-O3", "-arch=native"],
}
# Environment variable, and commands that are looked for.
_COMPILERS = {
    ".cpp": ("CXX", ["g++", "clang++", "c++"]),
    ".cu": ("NVCC", ["nvcc", "/usr/local/cuda/bin/nvcc"]),
}
_HINTS = {
    ".cpp": "install g++ (Debian, Ubuntu: apt install g++; macOS: xcode-select --install)",
    ".cu": "install NVIDIA's CUDA toolkit",
}


def find_compiler(source: Path) -> list[str]:
    """The command that compiles a file of C++ or CUDA, without flags.

    It is $CXX (for .cu $NVCC) where that is set, else the first that is found.

    Raises
    ------
    FacegenError
        None is there, or the file is of no such kind.
    """
    if source.suffix not in _COMPILERS:
        raise FacegenError(f"{source}: expected a file of C++ (.cpp) or CUDA (.cu)")
    variable, commands = _COMPILERS[source.suffix]
    try:
        named = shlex.split(os.environ.get(variable, ""))
    except ValueError as error:  # a quotation mark alone
        raise FacegenError(f"{variable}: expected a command, found {error}") from None
    if named:
        if shutil.which(named[0]) is None:
            raise FacegenError(f"{variable} names {named[0]}, which is no command here")
        return named
    for command in commands:
        if shutil.which(command):
            return [command]
    raise FacegenError(
        f"building {source.name} takes a compiler, and none of {', '.join(commands)} is here: "
        f"{_HINTS[source.suffix]}, or name one in {variable}"
    )


def has_compiler(suffix: str) -> bool:
    """Whether there is, or is named, a compiler for files of ".cpp" or ".cu"."""
    variable, commands = _COMPILERS[suffix]
    return bool(os.environ.get(variable)) or any(map(shutil.which, commands))


def flags_of(source: Path) -> list[str]:
    """What a file's own command hands to the compiler, the names of files left out."""
    text = source.read_text(encoding="utf-8", errors="replace")
    for match in _COMMAND.finditer(text):
        try:
            return _flags(shlex.split(match[1]))
        except ValueError:  # a sentence with an apostrophe, which begins as a command does
            continue
    return list(_DEFAULT_FLAGS[source.suffix])


def _flags(command: list[str]) -> list[str]:
    words = iter(command)
    flags = []
    for word in words:
        if word == "-o":
            next(words, None)
        elif word.startswith("-"):
            flags.append(_here(word))
    return flags


def _here(flag: str) -> str:
    """Compilers for Apple's processors know another word for the machine's own instructions."""
    on_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return "-mcpu=native" if on_apple and flag == "-march=native" else flag
