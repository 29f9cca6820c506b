"""Agents that break, in every way and in every phase of their speech, and a gateway that is killed meanwhile.

Worlds from seeds mix this with all other trouble (simulation/plan_streams.py); here each case is a small world.
"""

from __future__ import annotations

from typing import get_args

import pytest

from simulation.__main__ import carry_out, complaint
from simulation.plan import Act, Plan, Say
from simulation.plan_streams import Fate, Phase, Streams
from simulation.voyage import Outcome

PLACE = (0, 0)
TALK = tuple(Act(2.0 * number, Say(PLACE, f"line {number}")) for number in range(4))


def world(fate: Fate, phase: Phase, **how: object) -> Plan:
    """The agent meets the same with each of its first three askings."""
    usual = {"sentences": 6, "slow_s": 0.1, "timeout_s": 5} | how
    streams = Streams((PLACE,), ((fate, phase),) * 3, **usual)  # type: ignore[arg-type]
    return Plan(seed=1, chaos_s=10, chats=(1,), commit_ms=(0.5, 10), acts=TALK, streams=streams)


def sailed(plan: Plan) -> Outcome:
    outcome = carry_out(plan)
    assert not outcome.findings, f"{plan.streams}\n" + "\n".join(complaint(outcome))
    return outcome


@pytest.mark.parametrize("phase", get_args(Phase))
@pytest.mark.parametrize("fate", [fate for fate in get_args(Fate) if fate != "whole"])
def test_whatever_an_agent_does_in_any_phase_each_message_is_answered_once_or_fails_visibly(
    fate: Fate, phase: Phase
) -> None:
    """Its first sentence went ahead, so that something is on the screen already when it breaks."""
    outcome = sailed(world(fate, phase, first_sentence="always"))
    assert outcome.told[f"agent {fate}"] >= 2, "the plan reaches nothing"


@pytest.mark.parametrize("phase", ["between", "after"])
def test_an_agent_that_says_the_same_again_after_a_crash_is_not_heard_twice(phase: Phase) -> None:
    """What it had said before stays on the screen, and only the rest is added."""
    assert sailed(world("killed", phase, first_sentence="always", same=True)).told["agent killed"] >= 2


@pytest.mark.parametrize("while_busy", ["queue", "steer", "interrupt"])
def test_who_writes_while_a_killed_gateway_asks_again_is_answered_too(while_busy: str) -> None:
    """The turn that was open begins again, and the message that came meanwhile has its turn."""
    sailed(world("killed", "between", while_busy=while_busy, slow_s=0.5, tells=True))
