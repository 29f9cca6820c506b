"""A bound for the memory of a program and of each of its children.

The bound has to be set in the new process before the program begins. Python's own hook for that (`preexec_fn`) runs
Python between fork and exec and may hang where there are threads, as there are here; a shell is out of the
question. So a Python of a few lines sets it, and becomes the program.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_BECOME = """
import os, resource, sys
most = int(sys.argv[1])
_, hard = resource.getrlimit(resource.RLIMIT_AS)
most = most if hard == resource.RLIM_INFINITY else min(most, hard)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
os.execve(sys.argv[2], sys.argv[3:], os.environ)
"""


def limited(
    argv: Sequence[str], memory_mib: int | None, cwd: Path, environment: Mapping[str, str]
) -> Sequence[str]:
    """The argv that starts `argv` with so much address space; `argv` itself where there is no bound.

    Raises: FileNotFoundError, as starting it would.
    """
    if memory_mib is None:
        return argv
    program = found(argv[0], cwd, environment)
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(memory_mib * 1024 * 1024), program, *argv]


def found(program: str, cwd: Path, environment: Mapping[str, str]) -> str:
    """Where the program is: a path is taken from the working directory, a name looked for in PATH."""
    place = str(cwd / program) if os.sep in program else shutil.which(program, path=environment.get("PATH"))
    if place is None or not os.path.isfile(place):
        raise FileNotFoundError(program)
    return place
