"""Where the house stands, and how its sources are read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
DOCS = ROOT / "docs"


@cache
def sources(package: str = "yizhan") -> dict[str, ast.Module]:
    """Every module of a package by its dotted name, parsed."""
    return {
        _dotted(file): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted((SRC / package).rglob("*.py"))
    }


def _dotted(file: Path) -> str:
    parts = file.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: str, tree: ast.AST) -> Iterator[str]:
    """The dotted names that a tree imports, wherever it does; those under TYPE_CHECKING count.

    `from yizhan.core import lane` yields `yizhan.core.lane`: what is taken from a package is its module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the whole name"
            assert node.module is not None
            yield from (f"{node.module}.{name.name}" for name in node.names)


def pages() -> list[Path]:
    """Every page that a reader may open."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *SRC.rglob("*.md")])
