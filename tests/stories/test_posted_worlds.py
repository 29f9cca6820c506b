"""Programs that are posted events, in small worlds: whatever they answer and whenever the process dies, each gets
every event that it wants, in order.

Worlds from seeds mix this with all other trouble (simulation/plan_hooks.py).
"""

from __future__ import annotations

from typing import get_args

import pytest

from simulation.__main__ import carry_out, complaint
from simulation.plan import Act, Plan, Push, Say
from simulation.plan_hooks import Hook, Hooks, Welcome

PLACE = (0, 0)
TALK = (Act(2, Say(PLACE, "one")), Act(5, Say(PLACE, "two")), Act(9, Push(PLACE, "a push")))


@pytest.mark.parametrize("welcome", [each for each in get_args(Welcome) if each != "taken"])
def test_a_program_gets_every_event_in_order_whatever_becomes_of_its_posts(welcome: Welcome) -> None:
    """Three posts fare so, with two between that are taken; then the program is well, and switched on if it was off."""
    hook = Hook(0.5, frozenset(), private=True, welcomes=("taken", welcome, welcome, "taken", welcome))
    outcome = carry_out(Plan(1, 30, (1,), commit_ms=(0.5, 10), acts=TALK, hooks=Hooks((hook,))))
    assert not outcome.findings, "\n".join(complaint(outcome))
    assert outcome.told[f"post {welcome}"] >= (1 if welcome == "gone" else 3)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_while_it_is_written_down_how_far_a_program_has_come_costs_no_event(after: bool) -> None:
    """At the first, the second and the fourth of these writes."""
    deaths = tuple((number, after) for number in (1, 2, 4))
    hooks = Hooks((Hook(0.5, frozenset(), private=True),), deaths)
    outcome = carry_out(Plan(1, 30, (1,), commit_ms=(0.5, 10), acts=TALK, hooks=hooks))
    assert not outcome.findings, "\n".join(complaint(outcome))
    assert 3 == outcome.told["kills"]
