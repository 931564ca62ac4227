"""What a reader says of a file where memory is short."""

from __future__ import annotations

import subprocess
import sys

_CHILD = """
import importlib, os, resource, sys
limit, target, *arguments = sys.argv[1:]
module, name = target.split(":")
function = getattr(importlib.import_module(module), name)
pages = int(open("/proc/self/statm").read().split()[0])  # of address space
most = pages * os.sysconf("SC_PAGESIZE") + int(limit)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    function(*map(eval, arguments))
    print("read")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def outcome_within(limit_bytes: int, target: str, *arguments: object) -> str:
    """The error that "module:function" raises in a process of its own, or "read".

    That process may take `limit_bytes` of address space more than after its imports; where it
    wants more the error is a MemoryError.
    """
    command = [sys.executable, "-c", _CHILD, str(limit_bytes), target]
    given = [repr(str(a) if hasattr(a, "__fspath__") else a) for a in arguments]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=True)
    return done.stdout.strip()
