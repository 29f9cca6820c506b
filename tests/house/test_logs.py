"""What a defect looks like in the log."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEFECT = """
import structlog
from yizhan.logs import configure

configure("info", "{style}")
log = structlog.get_logger("outbound")

def send(text, token):
    raise ValueError("no such part")

try:
    send("dear " + "diary", "secret-" + "token")
except ValueError:
    log.exception("loop.failed")
"""


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_defect_tells_its_place_and_never_what_people_wrote(style: str) -> None:
    """On a terminal the variables of every frame were drawn: texts and tokens, ready to be pasted into a report."""
    done = subprocess.run(
        [sys.executable, "-c", DEFECT.format(style=style)], capture_output=True, text=True, check=True
    )
    assert "ValueError: no such part" in done.stderr
    assert "in send" in done.stderr
    assert "dear diary" not in done.stderr
    assert "secret-token" not in done.stderr
