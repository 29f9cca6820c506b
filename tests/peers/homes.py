"""The homes of other people's programs: virtual environments of their own, made when first needed."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests" / "peers"
HOMES = ROOT / ".venv-peers"


@contextmanager
def alone() -> Iterator[None]:
    """One test process at a time makes a home."""
    HOMES.mkdir(exist_ok=True)
    with (HOMES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert 0 == done.returncode, f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}"


def made(name: str, requirements: Path, whole: bool = False) -> Path:
    """The interpreter of `.venv-peers/<name>`. Without a package index this fails, it does not skip: the project
    itself cannot be installed without one.

    Args:  whole  the requirements name everything: nothing has to be looked for. Most of what is installed is never
                  imported, so it is compiled when it is.
    """
    home = HOMES / name
    python, stamp = home / "bin" / "python", home / ".made-from"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    with alone():
        if not (stamp.exists() and stamp.read_text() == wanted):
            run(sys.executable, "-m", "venv", "--clear", home)
            bare = ["--no-compile", "--no-deps"] if whole else []
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *bare]
            run(*pip, "-r", requirements)
            stamp.write_text(wanted)
    return python
