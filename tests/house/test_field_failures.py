"""`docs/field-failures.md` and the marks of the tests say the same, and none of the ninety-five is missing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.house.conftest import DOCS, ROOT

PAGE = DOCS / "field-failures.md"
ALL = [f"F{number:02d}" for number in range(1, 96)]
ROAD_OUT = {
    *(f"F{number:02d}" for number in [*range(1, 21), *range(37, 44)]),
    *("F74", "F76", "F77", "F78", "F95"),
}
"""Rows about sending: they are stories, none of them may be merely planned."""
LEFT_OUT = ("Planned: ", "Does not apply: ")
A_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+)`")


@dataclass(frozen=True)
class Row:
    """One failure as the page tells it."""

    id: str
    text: str

    @property
    def tests(self) -> set[str]:
        return set(A_TEST.findall(self.text))

    @property
    def reason(self) -> str:
        """Why no test covers it; empty if one does."""
        return next(
            (line.split(": ", 1)[1] for line in self.text.splitlines() if line.startswith(LEFT_OUT)), ""
        )


@cache
def rows() -> tuple[Row, ...]:
    _, *sections = re.split(r"^### (F\d\d)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return tuple(Row(*pair) for pair in zip(sections[::2], sections[1::2], strict=True))


def marks(file: Path) -> Iterator[tuple[str, str]]:
    """`tests/…::name` and the rows it is marked with."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.field":
                    yield f"{file.relative_to(ROOT)}::{node.name}", str(ast.literal_eval(decorator.args[0]))


@cache
def marked() -> dict[str, set[str]]:
    """Row → the tests that carry its mark."""
    found = defaultdict(set)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for test, row in marks(file):
            found[row].add(test)
    return dict(found)


def test_every_failure_is_told_once() -> None:
    """A row that is left out is a failure that may come back."""
    assert ALL == [row.id for row in rows()]


@pytest.mark.parametrize("row", rows(), ids=[row.id for row in rows()])
def test_the_page_and_the_marks_agree(row: Row) -> None:
    """Every test that a row names exists and carries its mark, and no test carries it unnamed."""
    assert row.tests == marked().get(row.id, set())


def test_no_mark_is_of_a_row_that_does_not_exist() -> None:
    assert set() == set(marked()) - set(ALL)


@pytest.mark.parametrize("row", rows(), ids=[row.id for row in rows()])
def test_every_row_has_a_test_or_a_reason(row: Row) -> None:
    """ "Planned" alone is no answer; what belongs to the road out has a story."""
    assert bool(row.tests) != bool(row.reason)
    if row.id in ROAD_OUT:
        assert any(test.startswith("tests/stories/test_field_") for test in row.tests), row.reason


def test_links_are_of_public_threads() -> None:
    """Evidence that nobody can open is none."""
    links = re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    threads = [link for link in links if link.startswith("http")]
    assert len(threads) > 200
    assert [] == [
        x for x in threads if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/issues/\d+", x)
    ]
