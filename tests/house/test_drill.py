"""The planted bugs of `make drill` fit the tree, and the tests that are to find them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drill.field import drilled, refused
from drill.patches import Bug, bugs, read
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


HARMLESS = """\
Nothing is different, only a word of a docstring.
kill: tests/core/test_wakes.py

diff --git a/src/yizhan/core/backoff.py b/src/yizhan/core/backoff.py
--- a/src/yizhan/core/backoff.py
+++ b/src/yizhan/core/backoff.py
@@ -1,2 +1,2 @@
-{line}
+{line}  # a remark
 {next}
"""


def test_a_bug_that_nobody_notices_survives(tmp_path: Path) -> None:
    """A drill that always succeeds would be the worst of all bugs."""
    first, second, *_ = _text(ROOT / "src/yizhan/core/backoff.py").splitlines()
    outcome = drilled(_patch(tmp_path, HARMLESS.format(line=first, next=second)))
    assert ("", "SURVIVED") == (outcome.killed_by, outcome.trouble)


def test_a_patch_that_does_not_apply_fails(tmp_path: Path) -> None:
    outcome = drilled(_patch(tmp_path, HARMLESS.format(line="no such line", next="")))
    assert "" == outcome.killed_by
    assert outcome.trouble.startswith("DOES NOT APPLY")


def test_a_patch_without_hunters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kill"):
        _patch(tmp_path, "A sentence alone.\n\ndiff --git a/x b/x\n")


def _patch(place: Path, text: str) -> Bug:
    file = place / "harmless.patch"
    file.write_text(text, encoding="utf-8")
    return read(file)


def _exists(test: str) -> bool:
    path, _, name = test.partition("[")[0].partition("::")
    file = ROOT / path
    if not name:
        return file.exists()
    return file.is_file() and re.search(rf"^(async )?def {name}\(", _text(file), re.MULTILINE) is not None


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
