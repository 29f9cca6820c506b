"""The planted bugs of `make drill` fit the tree, and the tests that are to find them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drill.field import refused
from drill.patches import Bug, bugs
from tests.house.conftest import ROOT

AT_LEAST = 16
BUGS = bugs()


def test_there_are_enough_bugs_to_tell_anything() -> None:
    assert AT_LEAST <= len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """A patch that no longer applies proves nothing; refresh it as `drill/__init__.py` says."""
    assert "" == refused(bug, ROOT)


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_bug_lies_in_our_code_and_names_its_hunters(bug: Bug) -> None:
    """It changes what we ship, never the tests, and its tests exist."""
    changed = re.findall(r"^\+\+\+ b/(.+)$", bug.file.read_text(encoding="utf-8"), re.MULTILINE)
    assert changed
    assert [] == [path for path in changed if not path.startswith("src/yizhan/")]
    assert [] == [test for test in bug.kill if not _exists(test)]


def _exists(test: str) -> bool:
    path, _, name = test.partition("::")
    file = ROOT / path
    if not name:
        return file.exists()
    return file.is_file() and re.search(rf"^(async )?def {name}\(", _text(file), re.MULTILINE) is not None


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
