"""Schedules in small worlds: the process dies at a run, before the disk has it and after, and the host sleeps.

Worlds from seeds mix this with all other trouble (simulation/plan_schedules.py).
"""

from __future__ import annotations

import pytest

from simulation.__main__ import carry_out, complaint
from simulation.plan import Act, Host, Plan, Say
from simulation.plan_schedules import Schedules, Timed, When

PLACES = ((0, 0), (0, 1))
TALK = tuple(Act(0.5, Say(place, f"hello {place}")) for place in PLACES)
FORMS = (When("cron", 1), When("every", 1), When("in", 40))


@pytest.mark.parametrize(("missed", "after"), [("skip", False), ("once", True), ("all", False)])
def test_a_due_time_happens_once_or_is_told_as_missed_whatever_dies_and_sleeps(
    missed: str, after: bool
) -> None:
    """Killed at three runs, then asleep over several, with a pause and a push of the button between."""
    pressed = ((50.0, "k"), (51.0, "k"))
    timed = tuple(
        Timed(f"timed {n}", when, PLACES, 1, 900, missed, 3, by_hand=pressed) for n, when in enumerate(FORMS)
    )
    paused = Timed("paused", FORMS[0], PLACES[:1], 1, 900, missed, pauses=((50, 70),))
    deaths = tuple((number, after) for number in (1, 2, 4))
    nap = Act(100, Host(sleeps_s=290))
    schedules = Schedules((*timed, paused), deaths)
    plan = Plan(2, 110, (2,), commit_ms=(0.5, 10), acts=(*TALK, nap), schedules=schedules)
    outcome = carry_out(plan)
    assert not outcome.findings, "\n".join(complaint(outcome))
    told = outcome.told
    assert (3, 3) == (told["kills"], told["run manual fired"])
    assert told["run due fired"] >= 7
