"""Where a bug is planted: a copy of the tree in a temporary directory, never the tree itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drill.patches import ROOT, Bug

LIMIT_S = 60
"""A bug that takes longer to find will be found by users."""
HANG_S = 50
"""A test that hangs fails before the limit, by its name."""


class NoCheckout(Exception):
    """Only git knows which files make up the tree."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`killed_by`: the first test that failed; empty if none did, and then `trouble` says what happened."""

    killed_by: str
    trouble: str
    took_s: float


@contextmanager
def copied() -> Iterator[Path]:
    """The tree as it lies here, with what has not been committed yet and without what git ignores.

    Raises: NoCheckout
    """
    with tempfile.TemporaryDirectory(prefix="yizhan-drill-") as place:
        tree = Path(place) / "tree"
        listed = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
        if listed.returncode:
            raise NoCheckout(f"{ROOT} is no git checkout: {listed.stderr.strip()}")
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, tree / name)
        yield tree


def refused(bug: Bug, tree: Path) -> str:
    """Why the patch does not apply; empty if it does."""
    return _apply(bug, tree, "--check").stderr.strip()


def drilled(bug: Bug) -> Outcome:
    """Plants the bug in a copy and lets its tests look for it."""
    with copied() as tree:
        if why := refused(bug, tree):
            return Outcome("", f"DOES NOT APPLY: {why.splitlines()[0]}", 0)
        _apply(bug, tree)
        return look(tree, ["-x", *bug.kill], LIMIT_S)


def look(tree: Path, selection: Sequence[str], limit_s: float) -> Outcome:
    """Runs tests of a copy against the copy's code."""
    began = time.monotonic()
    options = ["-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", "-o", f"timeout={HANG_S}"]
    command = [sys.executable, "-m", "pytest", *options, *selection]
    try:
        ran = _run(command, tree, limit_s)
    except subprocess.TimeoutExpired:
        return Outcome("", f"NOT KILLED in {limit_s:.0f} s: its tests did not end", limit_s)
    took_s = time.monotonic() - began
    failed = re.search(r"^FAILED (\S+::.+?)(?: - .*)?$", ran.stdout, re.MULTILINE)
    match ran.returncode:
        case 0:
            return Outcome("", "SURVIVED", took_s)
        case 1 if failed:
            return Outcome(failed[1], "", took_s)
        case 4:  # pytest's code for a selection that it cannot find
            return Outcome("", "NO SUCH TEST", took_s)
        case _:
            words = (ran.stdout + ran.stderr).strip().splitlines()
            return Outcome("", f"DOES NOT RUN: {words[-1] if words else ran.returncode}", took_s)


def _apply(bug: Bug, tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _run(["git", "apply", *options, str(bug.file)], tree)


def _run(command: Sequence[str], place: Path, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "PYTHONPATH": str(place / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CEILING_DIRECTORIES": str(place.parent),
    }
    return subprocess.run(
        command, cwd=place, env=environ, capture_output=True, text=True, timeout=limit_s, check=False
    )
