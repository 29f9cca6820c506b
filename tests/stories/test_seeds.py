"""Whole worlds from seeds: as many as fit into a budget, each with its own people, platform, disk and crashes.

`make sim` runs more of them, and repeats one: a failure here names its seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from simulation.__main__ import at_every_commit, carry_out, complaint
from simulation.plan import QQ_SEEDS, draw

pytestmark = pytest.mark.timeout(600)  # CPU time is what is budgeted; a busy machine may take longer for it
SLICES = 4
BUDGET_S = float(os.environ.get("SIM_BUDGET_S", "3"))
"""CPU time of each slice. The first seeds of a slice run in any case, so that a slow machine tests something too."""
LEAST = 4
QQ_EACH = 3
"""Every so manieth world of a slice has a bot on QQ."""


class SeedsRun(UserWarning):
    """How many worlds were tried; pytest prints it at the end."""


@pytest.mark.parametrize("slice_", range(SLICES))
def test_nothing_is_lost_and_nothing_is_lied_in_any_world(slice_: int) -> None:
    """Limits, lies, lost answers, crashes, full disks and sleeping hosts, in every mixture that a seed can think of."""
    began_s, seed, done = time.process_time(), 1 + slice_, 0
    while done < LEAST or time.process_time() - began_s < BUDGET_S:
        on_qq = done % QQ_EACH == QQ_EACH - 1
        outcome = carry_out(draw(QQ_SEEDS + seed if on_qq else seed))
        assert not outcome.findings, "\n".join(complaint(outcome))
        seed, done = seed + SLICES, done + 1
    spent_s = time.process_time() - began_s
    warnings.warn(SeedsRun(f"{done} worlds, {60 * done / spent_s:.0f} a minute and core"), stacklevel=1)


def test_the_same_seed_is_the_same_story(tmp_path: Path) -> None:
    """A failure that cannot be repeated is a rumour. Another process with other hashes tells the same story."""
    script = (
        "from simulation.plan import draw; from simulation.voyage import sail; print(sail(draw(3)).trace)"
    )
    traces = set()
    for hashes in ("1", "2"):
        environ = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": os.pathsep.join(["src", "tests"])}
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=environ,
            check=True,
            timeout=100,
        )
        traces.add(done.stdout.strip())
    assert 1 == len(traces)


def test_a_crash_at_some_commits_of_a_whole_world_is_survived() -> None:
    """Before and after it reaches the disk; `make sim SEED=… EVERY=1` tries all of them."""
    plans = list(at_every_commit(draw(12)))
    assert len(plans) > 20, "the plan is too short to tell anything"
    for plan in plans[:: len(plans) // 6]:
        outcome = carry_out(plan)
        assert not outcome.findings, f"{plan.acts[0]}\n" + "\n".join(complaint(outcome))
