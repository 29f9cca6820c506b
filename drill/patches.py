"""The planted bugs, as their files tell them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@dataclass(frozen=True, slots=True)
class Bug:
    """`tells`: what it does. `kill`: the tests that are to notice, as pytest's arguments."""

    name: str
    file: Path
    tells: str
    kill: tuple[str, ...]


def bugs() -> list[Bug]:
    """Every planted bug, by name. Raises ValueError for a file without its header."""
    return [read(file) for file in sorted(HERE.glob("*.patch"))]


def read(file: Path) -> Bug:
    """One planted bug. Raises ValueError."""
    header = file.read_text(encoding="utf-8").partition("\ndiff --git ")[0].splitlines()
    kill = tuple(line.removeprefix("kill: ").strip() for line in header if line.startswith("kill: "))
    if not header or header[0].startswith("kill: ") or not kill:
        raise ValueError(f"{file.name} must begin with a sentence and at least one line `kill: tests/...`")
    return Bug(file.stem, file, header[0], kill)
