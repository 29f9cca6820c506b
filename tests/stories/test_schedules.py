"""Schedules over restarts, crashes and clocks that are set: each due time happens once, and shows what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stories.conftest import Says, Tale, in_virtual_time
from yizhan.core import schedule as rules
from yizhan.core.schedule import Plan
from yizhan.model import Schedule
from yizhan.ports import AgentFailed, Fired, Firing, Question
from yizhan.runtime import cron

BEAT_S = 300
BEAT = "every 5m"


async def _schedule(tale: Tale, when: str, text: str | None = "tick", **more: Any) -> str:
    body = {"when": when, "text": text, "to": [f"{tale.account}:{tale._person('Ann')}"]}
    answer = await tale.api("POST", "/v1/schedules", json=body | more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _runs(tale: Tale, schedule: str) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = await tale.api("GET", f"/v1/schedules/{schedule}/runs?limit=200")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"][::-1])


async def _change(tale: Tale, schedule: str, **change: Any) -> dict[str, Any]:
    answer = await tale.api("PATCH", f"/v1/schedules/{schedule}", json=change)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@in_virtual_time()
async def test_a_morning_of_it(tale: Tale) -> None:
    """Beat for beat, at its moment, and its history says what became of each."""
    await tale.ann_writes()
    schedule = await _schedule(tale, BEAT, name="beat")
    await tale.passes(5 * BEAT_S + 20)
    assert ["tick"] * 5 == tale.phone()
    runs = await _runs(tale, schedule)
    assert [("fired", ["delivered"], 0)] * 5 == [
        (run["state"], [message["state"] for message in run["messages"]], run["missed"]) for run in runs
    ]
    assert all(run["due_at"] == run["at"] for run in runs)
    assert 5 == len(await tale.events("schedule.run"))


@pytest.mark.field("F78")
@in_virtual_time()
async def test_a_run_whose_message_cannot_be_delivered_says_so(tale: Tale) -> None:
    """The job is not called well while nobody got anything: it waits, and then it expires as was said."""
    await tale.ann_writes()
    schedule = await _schedule(tale, "2m", expires_after_s=60)
    tale.wechat_refuses(for_s=3600)
    await tale.passes(140)
    (run,) = await _runs(tale, schedule)
    (message,) = run["messages"]
    assert ("waiting", "limit") == (message["state"], message["waiting_for"])
    assert message["next_attempt_at"] is not None
    await tale.passes(90)
    (run,) = await _runs(tale, schedule)
    assert ["expired"] == [message["state"] for message in run["messages"]]
    assert [] == tale.phone()


@pytest.mark.parametrize(
    ("missed", "said", "counted"), [("skip", 0, [5]), ("once", 1, [4]), ("all", 3, [2, 0, 0])]
)
def test_what_was_due_while_no_gateway_ran(tale: Tale, missed: str, said: int, counted: list[int]) -> None:
    """Off for five and a half beats; afterwards it goes on in its old beat."""

    @in_virtual_time()
    async def story(tale: Tale) -> None:
        await tale.ann_writes()
        schedule = await _schedule(tale, BEAT, missed=missed, missed_most=3)
        await tale.passes(10)
        await tale.dies(5.5 * BEAT_S)
        await tale.passes(20)
        assert said == len(tale.phone())
        runs = await _runs(tale, schedule)
        assert counted == [run["missed"] for run in runs]
        assert ["skipped" if missed == "skip" else "fired"] * len(counted) == [run["state"] for run in runs]
        await tale.passes(BEAT_S)
        assert said + 1 == len(tale.phone())

    story(tale=tale)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_the_commit_of_a_run(tale: Tale, after: bool) -> None:
    """Before it, nothing has happened and it happens then; after it, all of it has, and not again."""

    @in_virtual_time()
    async def story(tale: Tale) -> None:
        await tale.ann_writes()
        schedule = await _schedule(tale, BEAT)
        if after:
            _dies_after(tale, "fire_schedules")
        else:
            tale.dies_before("fire_schedules")
        await tale.passes(BEAT_S - 10)
        await tale.is_back()
        await tale.passes(20)
        assert ["tick"] == tale.phone()
        assert 1 == len(await _runs(tale, schedule))
        await tale.passes(BEAT_S)
        assert ["tick"] * 2 == tale.phone()
        assert [] == await tale.findings()

    story(tale=tale)


def _dies_after(tale: Tale, commit: str) -> None:
    from simulation.station import Crash

    gate = tale.station.gate

    def after_commit(label: str) -> None:
        if commit in label.split("+"):
            gate.struck.set()
            raise Crash

    gate.after_commit = after_commit  # type: ignore[method-assign]


@in_virtual_time()
async def test_a_laptop_that_sleeps_over_its_due_times(tale: Tale) -> None:
    """The lid is closed for five beats: one run for all of them, seconds after it is opened."""
    await tale.ann_writes()
    schedule = await _schedule(tale, BEAT)
    await tale.passes(BEAT_S / 2)
    tale.station.host.sleep(5 * BEAT_S * 1000)
    await tale.passes(20)
    assert ["tick"] == tale.phone()
    assert [4] == [run["missed"] for run in await _runs(tale, schedule)]


@in_virtual_time()
async def test_a_clock_that_was_wrong_for_a_while_costs_no_due_time_and_doubles_none(tale: Tale) -> None:
    """Set ahead by mistake, set right before a restart: what happened under the wrong clock does not happen
    again, and what is due by the right one does."""
    await tale.ann_writes()
    schedule = await _schedule(tale, BEAT, missed="all", missed_most=2)
    host = tale.station.host
    host.set_clock(3 * BEAT_S * 1000 + 100_000)
    await tale.passes(20)
    assert 2 == len(tale.phone()), "the last two of three"
    host.set_clock(-3 * BEAT_S * 1000 - 100_000)
    await tale.dies()
    await tale.passes(3 * BEAT_S)
    runs = await _runs(tale, schedule)
    assert len(runs) == len({run["due_at"] for run in runs})
    assert 3 == len(tale.phone()), "the one that was passed over under the wrong clock, and no other again"
    await tale.passes(BEAT_S)
    assert 4 == len(tale.phone())


@in_virtual_time()
async def test_pause_resume_edit_end_and_remove(tale: Tale) -> None:
    """What a person does to it takes hold at once."""
    await tale.ann_writes()
    schedule = await _schedule(tale, BEAT, text="one")
    assert "paused" == (await _change(tale, schedule, paused=True))["state"]
    await tale.passes(2.5 * BEAT_S)
    assert [] == tale.phone()
    resumed = await _change(tale, schedule, paused=False)
    assert 0 < tale.seconds_to(resumed["next_due_at"]) <= BEAT_S / 2
    await _change(tale, schedule, text="two", when="every 2m", ends_at=tale.in_(300))
    await tale.passes(500)
    assert ["two", "two"] == tale.phone()
    shown = (await tale.api("GET", f"/v1/schedules/{schedule}")).json()
    assert ("ended", None) == (shown["state"], shown["next_due_at"])
    assert 204 == (await tale.api("DELETE", f"/v1/schedules/{schedule}")).status_code
    assert 404 == (await tale.api("GET", f"/v1/schedules/{schedule}/runs")).status_code


@in_virtual_time()
async def test_run_now_is_one_run_for_a_key(tale: Tale) -> None:
    """Two operators press the same button, and a program repeats what it has heard no answer to."""
    await tale.ann_writes()
    schedule = await _schedule(tale, "0 0 1 1 *", paused=True)
    path, key = f"/v1/schedules/{schedule}/run", {"Idempotency-Key": "now"}
    first = await tale.api("POST", path, headers=key)
    again = await tale.api("POST", path, headers=key)
    assert (202, 200) == (first.status_code, again.status_code)
    assert first.json()["id"] == again.json()["id"]
    assert 202 == (await tale.api("POST", path)).status_code
    await tale.passes(5)
    assert ["tick"] * 2 == tale.phone()
    assert {"manual"} == {run["cause"] for run in await _runs(tale, schedule)}


@in_virtual_time()
async def test_several_chats_one_of_them_gone(tale: Tale) -> None:
    """The others get theirs, and the run names the one that took nothing."""
    await tale.ann_writes()
    await tale.writes("Bob")
    other = await tale.station.link(tale.world.add_user("Cid"))
    chats = [f"{tale.account}:{tale._person(who)}" for who in ("Ann", "Bob")]
    schedule = await _schedule(tale, "1m", to=[*chats, f"{other}:someone@im.wechat"])
    await tale.station.gateway.remove_account(other)
    await tale.passes(80)
    assert ["tick"] == tale.phone("Ann") == tale.phone("Bob")
    (run,) = await _runs(tale, schedule)
    assert ["delivered"] * 2 == [message["state"] for message in run["messages"]]
    assert ["unknown-account"] == [refused["reason"]["code"] for refused in run["refused"]]


@in_virtual_time()
async def test_more_in_the_same_minute_than_memory_holds(tale: Tale, monkeypatch: pytest.MonkeyPatch) -> None:
    """All run at once, none twice."""
    monkeypatch.setattr(cron, "BATCH", 3)
    monkeypatch.setattr(cron, "LOADED", 10)
    await tale.ann_writes()
    for number in range(23):
        await _schedule(tale, "1m", text=f"n{number}")
    await tale.passes(80)
    assert {f"n{number}" for number in range(23)} == set(tale.phone())
    assert 23 == len(tale.phone()) == len(await tale.events("schedule.run"))


@pytest.mark.parametrize("where", ["plan", "fire"])
def test_a_schedule_that_breaks_holds_up_no_other(
    tale: Tale, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It says so itself, raises an alert, and makes up for what it missed when it is well again."""
    sick: set[str] = set()

    @in_virtual_time()
    async def story(tale: Tale) -> None:
        await tale.ann_writes()
        sick.add(await _schedule(tale, BEAT, "late"))
        await _schedule(tale, BEAT)
        _breaks(tale, monkeypatch, where, sick)
        await tale.passes(2 * BEAT_S + 20)
        assert ["tick"] * 2 == tale.phone()
        (broken,) = sick
        shown = (await tale.api("GET", f"/v1/schedules/{broken}")).json()
        assert ("failing", "internal-error") == (shown["state"], shown["reason"]["code"])
        assert ["schedule"] == [alert["kind"] for alert in await tale.alerts()]
        sick.clear()
        await tale.passes(rules.AGAIN_MS / 1000 - BEAT_S)
        assert 1 == tale.phone().count("late")
        shown = (await tale.api("GET", f"/v1/schedules/{broken}")).json()
        assert ("active", None) == (shown["state"], shown["reason"])
        await tale.passes(90)
        assert ["cleared"] == [alert["state"] for alert in await tale.alerts()]

    story(tale=tale)


def _breaks(tale: Tale, monkeypatch: pytest.MonkeyPatch, where: str, sick: set[str]) -> None:
    """A mistake of ours that shows with these schedules only."""
    plan, store = cron.plan, tale.station.gateway.store
    fire = store.fire

    def planned(schedule: Schedule, now_ms: int) -> Plan:
        if where == "plan" and schedule.id in sick:
            raise KeyError("hour")
        return plan(schedule, now_ms)

    async def fired(firings: Sequence[Firing]) -> tuple[Fired, ...]:
        if where == "fire" and any(firing.runs and firing.following.id in sick for firing in firings):
            raise RuntimeError("what is this?")
        return await fire(firings)

    monkeypatch.setattr(cron, "plan", planned)
    monkeypatch.setattr(store, "fire", fired)


class _Weather(Says):
    def __init__(self) -> None:
        super().__init__("rain", takes_s=5)
        self.told: list[tuple[str, ...]] = []

    def answer(self, question: Question) -> AsyncIterator[str]:
        self.told.append((question.text, question.sender_name))
        return super().answer(question)


def test_a_question_for_the_agent(tale: Tale) -> None:
    """Asked at its time in each chat, answered as a push, and the run shows the turn and its message."""
    agent = _Weather()

    @in_virtual_time(agent)
    async def story(tale: Tale) -> None:
        await tale.ann_writes()
        await tale.passes(10)
        agent.told.clear()
        schedule = await _schedule(tale, "2m", prompt="weather?", text=None, name="weather")
        await tale.passes(122)
        assert ([("weather?", "weather")], ["rain"]) == (agent.told, tale.phone())
        await tale.dies()
        await tale.passes(20)
        assert ["rain"] * 2 == tale.phone()
        (run,) = await _runs(tale, schedule)
        assert (["done"], ["delivered"]) == (
            [turn["state"] for turn in run["turns"]],
            [message["state"] for message in run["messages"]],
        )
        (message,) = run["messages"]
        assert ("push", None) == (message["priority"], message["in_reply_to"])
        assert 1 == len(await tale.events("message.received")), "nobody else has written"
        assert 1 == len(await tale.events("schedule.run"))

    story(tale=tale)


def test_what_the_agent_says_for_a_schedule_waits_as_long_as_was_said(tale: Tale) -> None:
    """A weather of this morning is not wanted tonight."""

    @in_virtual_time(Says("rain", takes_s=30))
    async def story(tale: Tale) -> None:
        await tale.ann_writes()
        await tale.passes(60)
        schedule = await _schedule(tale, "2m", prompt="weather?", text=None, expires_after_s=90)
        tale.wechat_refuses(for_s=3600)
        await tale.passes(170)
        (run,) = await _runs(tale, schedule)
        assert ["waiting"] == [message["state"] for message in run["messages"]]
        await tale.passes(90)
        (run,) = await _runs(tale, schedule)
        assert ["expired"] == [message["state"] for message in run["messages"]]

    story(tale=tale)


def test_an_agent_that_fails_says_nothing_and_the_run_shows_why(tale: Tale) -> None:
    """A notice that nobody waits for would come every morning."""

    class Broken(Says):
        async def answer(self, question: Question) -> AsyncIterator[str]:
            raise AgentFailed("agent-unreachable", "nobody is there")
            yield ""

    @in_virtual_time(Broken())
    async def story(tale: Tale) -> None:
        schedule = await _schedule(tale, "1m", prompt="weather?", text=None)
        await tale.passes(80)
        (run,) = await _runs(tale, schedule)
        assert ["agent-unreachable"] == [turn["reason"]["code"] for turn in run["turns"]]
        assert [] == tale.phone()

    story(tale=tale)
